"""A provider as its part of the configuration has it: who is connected to, for how long, with whose trust."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme

from bifrost_trio.catalog import PROVIDERS
from bifrost_trio.config import Config
from bifrost_trio.formats import FORMATS
from bifrost_trio.providers import Provider, build_provider
from bifrost_trio.sockets import Socket
from bifrost_trio.types import Operation
from bifrost_trio.upstream import Dial, Origin, TimeLimits

KEYS = [{"name": "main", "value": "sk-1", "models": ["*"]}]


class Dials:
    """Counts what was made to connect with; nothing is ever connected to."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> Dial:
        self.made += 1

        async def connect(host: str, port: int, limit: float) -> Socket:
            raise AssertionError("nobody connects here")

        return connect


def built(name: str = "openai", dials: Dials | None = None, **entry: Any) -> Provider:
    entry.setdefault("keys", KEYS)
    return build_provider(Config.from_dict({"providers": {name: entry}}).providers[name], dials or Dials())


def origins(provider: Provider) -> list[Origin]:
    return [pool.origin for pool in provider.pools]


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_row_of_the_catalogue_can_be_built(name: str) -> None:
    base = PROVIDERS[name].base_url or "https://customer.test"
    provider = built(name, network_config={"base_url": base}, keys=[] if PROVIDERS[name].key_less else KEYS)
    assert provider.name == name
    assert provider.endpoints
    assert all(endpoint.path.startswith("/") for endpoint in provider.endpoints.values())
    assert len(origins(provider)) == 1
    assert provider.statistics().name == name


def test_what_is_offered_in_which_format() -> None:
    offered = {(op.value, stream): e.format.name for (op, stream), e in built("openai").endpoints.items()}
    both = {"chat_completion": "openai_chat", "text_completion": "openai_completions", "responses": "openai_responses"}
    for operation, format in both.items():
        assert offered[operation, False] == offered[operation, True] == format
    assert offered["embedding", False] == "openai_embeddings"
    anthropic = built("anthropic").endpoints
    assert anthropic[Operation.CHAT_COMPLETION, True].format is FORMATS["anthropic"]
    assert anthropic[Operation.COUNT_TOKENS, False].path == "/v1/messages/count_tokens"
    assert (Operation.EMBEDDING, False) not in anthropic


def test_the_limits_of_the_file() -> None:
    network = {
        "connect_timeout_in_seconds": 1,
        "first_output_timeout_in_seconds": 2,
        "stream_idle_timeout_in_seconds": 3,
        "default_request_timeout_in_seconds": 4,
    }
    [pool] = built(network_config=network).pools
    assert pool.limits == TimeLimits(1, 2, 3, 4)
    [pool] = built().pools
    assert pool.limits == TimeLimits(5, 60, 60, 300)


def test_one_resolver_a_provider_and_one_pool_an_origin() -> None:
    dials = Dials()
    paths = {
        "embedding": "https://other.test/embed",
        "responses": "https://other.test:443/responses",
        "text_completion": "https://other.test:8443/complete",
        "chat_completion": "/chat",
    }
    custom = {"base_provider_type": "openai", "request_path_overrides": paths}
    provider = built("own", dials, network_config={"base_url": "http://up.test"}, custom_provider_config=custom)
    assert dials.made == 1
    expected = {Origin("up.test", 80, False), Origin("other.test", 443, True), Origin("other.test", 8443, True)}
    assert set(origins(provider)) == expected
    assert len(origins(provider)) == 3
    connections = provider.statistics().connections
    assert set(connections) == {"up.test", "other.test", "other.test:8443"}


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.test", Origin("api.test", 443, True)),
        ("http://127.0.0.1:8080", Origin("127.0.0.1", 8080, False)),
        ("http://[::1]:8080/llm", Origin("::1", 8080, False)),
        ("https://API.Test/", Origin("api.test", 443, True)),
    ],
)
def test_the_origin(url: str, origin: Origin) -> None:
    assert origins(built(network_config={"base_url": url})) == [origin]


def contexts_of(**network: Any) -> list[ssl.SSLContext]:
    made: list[ssl.SSLContext] = []

    def context_of(*, ca_pem: str | None, verify: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=ca_pem)
        context.check_hostname = verify
        context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
        made.append(context)
        return context

    config = Config.from_dict({"providers": {"openai": {"keys": KEYS, "network_config": network}}})
    build_provider(config.providers["openai"], Dials(), context_of)
    return made


def test_whose_certificates_are_believed() -> None:
    pem = trustme.CA().cert_pem.bytes().decode()
    [usual] = contexts_of()
    assert usual.verify_mode is ssl.CERT_REQUIRED
    [own] = contexts_of(ca_cert_pem=pem)
    assert len(own.get_ca_certs()) == 1
    [blind] = contexts_of(insecure_skip_verify=True)
    assert blind.verify_mode is ssl.CERT_NONE
    assert contexts_of(base_url="http://up.test") == []
