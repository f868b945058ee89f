"""The providers station: one attempt at one provider is one upstream request.

| file | what |
|---|---|
| `provider` | a provider: its endpoints, its address, its auth; an attempt from request to answer |
| `building` | a provider from its part of the configuration |
| `quirks` | what an OpenAI-compatible provider has otherwise than OpenAI |
| `listing` | a provider's own list of models |
| `rendering` | the head of an upstream request, made once per key and endpoint |
| `verdicts` | what a status and a body mean: an answer, or which error |
| `relay` | a stream handed on while it is read along; hold-back until the first real output |
"""

from bifrost_trio.providers.building import build_provider
from bifrost_trio.providers.listing import ProviderModel
from bifrost_trio.providers.provider import Endpoint, Provider, ProviderStatistics
from bifrost_trio.providers.rendering import Auth

__all__ = ["Auth", "Endpoint", "Provider", "ProviderModel", "ProviderStatistics", "build_provider"]
