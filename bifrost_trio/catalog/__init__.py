"""The providers that need no code of their own: what they speak, where they live, how a key is shown to them.

``base_url`` is scheme, host and what stands before the provider's own paths, as in Bifrost's ``network_config``:
``https://api.openai.com``, to which the path of an operation (``/v1/chat/completions``) is added. An address copied
from an OpenAI SDK ends in ``/v1``; `Provider.trimmed` takes off an end with which the paths begin anyway.

A row holds what the provider's documentation says, named above it. A provider whose language is neither OpenAI's nor
Anthropic's stands in `NOT_YET`, with the reason.
"""

from bifrost_trio.catalog.provider import ANTHROPIC_PATHS, OPENAI_PATHS, Auth, Provider
from bifrost_trio.catalog.requests import REQUEST_TYPES
from bifrost_trio.catalog.rows import NOT_YET, PROVIDERS

__all__ = ["ANTHROPIC_PATHS", "NOT_YET", "OPENAI_PATHS", "PROVIDERS", "REQUEST_TYPES", "Auth", "Provider"]
