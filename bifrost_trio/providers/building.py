"""A provider from its part of the configuration."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import trio

from bifrost_trio.catalog import Provider as Row
from bifrost_trio.config import NetworkConfig, ProviderConfig
from bifrost_trio.formats import FORMATS
from bifrost_trio.providers.provider import Endpoint, Provider
from bifrost_trio.providers.quirks import Quirks
from bifrost_trio.providers.rendering import Auth
from bifrost_trio.providers.verdicts import LONG
from bifrost_trio.sockets import client_context
from bifrost_trio.types import Clock, Operation
from bifrost_trio.upstream import Dial, Origin, Pool, TimeLimits

__all__ = ["build_provider"]

LANGUAGES = {
    "openai": {
        Operation.CHAT_COMPLETION: "openai_chat",
        Operation.TEXT_COMPLETION: "openai_completions",
        Operation.EMBEDDING: "openai_embeddings",
        Operation.RESPONSES: "openai_responses",
    },
    "anthropic": {
        Operation.CHAT_COMPLETION: "anthropic",
        Operation.COUNT_TOKENS: "anthropic_count_tokens",
    },
}
"""Which format an operation has in a provider's language; what is not here is not offered in this version."""


class ContextOf(Protocol):
    """As `bifrost_trio.sockets.client_context`. Reading the system's authorities takes 20 ms: worth sharing."""

    def __call__(self, *, ca_pem: str | None, verify: bool) -> ssl.SSLContext: ...


def build_provider(
    config: ProviderConfig,
    dial: Callable[[], Dial],
    context_of: ContextOf = client_context,
    clock: Clock = trio.current_time,
) -> Provider:
    """``dial`` makes what connects to this provider alone: its resolver and its threads are nobody else's."""
    pools = _Pools(config, dial(), context_of, clock)
    row = config.row
    endpoints: dict[tuple[Operation, bool], Endpoint] = {}
    for operation, name in LANGUAGES[row.format].items():
        for stream in (False, True):
            path = config.path(operation.value, stream=stream)
            if path is not None and config.allows_request(operation.value, stream=stream):
                pool, path = pools.locate(path)
                endpoints[operation, stream] = Endpoint(FORMATS[name], path, pool)
    models_path = config.path(Operation.LIST_MODELS.value)
    return Provider(
        config.name,
        endpoints,
        Auth(row.auth.header.encode(), row.auth.prefix.encode()),
        headers=_headers(row, config.network_config),
        quirks=Quirks(row.renames, row.unsupported) if row.renames or row.unsupported else None,
        models=pools.locate(models_path) if models_path is not None else None,
        raw_request=config.send_back_raw_request,
        raw_response=config.send_back_raw_response,
        # What the operator has set is not the client's to change; the catalogue's own are.
        pinned=[name.lower().encode("ascii") for name in config.network_config.extra_headers],
        secrets=[value for value in map(_plain, config.network_config.extra_headers.values()) if len(value) >= LONG],
        clock=clock,
    )


def _headers(row: Row, network: NetworkConfig) -> list[tuple[bytes, bytes]]:
    said = {**dict(row.headers), **{name.lower(): _plain(value) for name, value in network.extra_headers.items()}}
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in said.items()]


def _plain(value: object) -> str:
    reveal = getattr(value, "reveal", None)
    return str(reveal() if reveal is not None else value)


class _Pools:
    """The pools of one provider: one for each origin that its paths lead to, which is almost always one."""

    def __init__(self, config: ProviderConfig, dial: Dial, context_of: ContextOf, clock: Clock) -> None:
        self._clock = clock
        self._context_of = context_of
        self._base = urlsplit(config.base_url)
        self._dial = dial
        self._network = config.network_config
        self._made: dict[Origin, Pool] = {}

    def locate(self, path: str) -> tuple[Pool, str]:
        """The pool and the path on its origin; ``path`` may be a whole URL (``request_path_overrides``)."""
        if "://" in path:
            parts = urlsplit(path)
            target = parts.path or "/"
            if parts.query:
                target += "?" + parts.query
        else:
            parts = self._base
            target = self._base.path.rstrip("/") + path
        tls = parts.scheme == "https"
        origin = Origin(parts.hostname or "", parts.port or (443 if tls else 80), tls)
        pool = self._made.get(origin)
        if pool is None:
            context = self._tls() if tls else None
            pool = Pool(origin, self._limits(), self._dial, context=context, clock=self._clock)
            self._made[origin] = pool
        return pool, target

    def _limits(self) -> TimeLimits:
        network = self._network
        return TimeLimits(
            network.connect_timeout_in_seconds,
            network.first_output_timeout_in_seconds,
            network.stream_idle_timeout_in_seconds,
            network.default_request_timeout_in_seconds,
        )

    def _tls(self) -> ssl.SSLContext:
        pem = self._network.ca_cert_pem
        return self._context_of(ca_pem=_plain(pem) if pem else None, verify=not self._network.insecure_skip_verify)
