"""What is asked: one table, from which everything else follows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["WORKLOADS", "Workload"]

MODELS = {"chat": "gpt-4o-mini", "embeddings": "text-embedding-3-small", "messages": "claude-sonnet-4-5"}
PATHS = {"chat": "/v1/chat/completions", "embeddings": "/v1/embeddings", "messages": "/v1/messages"}
DROP_IN = {**PATHS, "messages": "/anthropic/v1/messages"}


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of load. ``orders`` go to the mock in the prompt; ``seconds`` are those of a whole run.

    ``capacity``: it saturates the gateway's core, so that requests per second mean something. ``turns``: one client
    at a time, direct, nginx and gateway taking turns in blocks. ``provider``: who answers behind this project's
    gateway, where that is not the provider whose format the client speaks; other gateways are then left out.
    ``tls``: that provider is spoken to in TLS. ``than``: the plain workload that it is compared with.
    """

    name: str
    title: str
    seconds: float
    kind: str = "chat"
    stream: bool = False
    size: int = 1024
    orders: str = ""
    clients: int = 64
    spread_ms: int = 0
    leave: int = 0
    fallback: str | None = None
    capacity: bool = True
    turns: bool = False
    block: int = 50
    provider: str | None = None
    tls: bool = False
    than: str | None = None
    later: bool = False

    @property
    def paced_seconds(self) -> float:
        """How long one stream takes because the mock waits between chunks; 0.0 where it does not."""
        orders = dict(word.split("=") for word in self.orders.split())
        return int(orders.get("chunks", 0)) * int(orders.get("interval_us", 0)) / 1e6

    def lasts(self, seconds: float) -> float:
        """Seconds until the last answer, when requests are begun for ``seconds``."""
        if not self.paced_seconds:
            return seconds
        return math.ceil(seconds / self.paced_seconds) * self.paced_seconds

    @property
    def warming(self) -> Workload:
        """What is asked before it is measured: the same route with as many clients, but without pauses."""
        return replace(self, orders="chunks=3", spread_ms=0) if self.paced_seconds else self

    @property
    def passed_on(self) -> Workload:
        """What nginx is given of it: a plain proxy cannot fall back, so nothing fails there."""
        return replace(self, orders="", fallback=None) if self.fallback else self

    @property
    def own_gateway_only(self) -> bool:
        return self.provider is not None or self.fallback is not None or self.tls


_STREAM: dict[str, Any] = {"stream": True, "orders": "chunks=64"}


def _paced(name: str, title: str, clients: int, later: bool = False) -> Workload:
    orders = "chunks=64 interval_us=20000"
    return Workload(
        name, title, 2.5, stream=True, orders=orders, clients=clients, spread_ms=20, capacity=False, later=later
    )


def _in_turns(name: str, title: str, seconds: float, **rest: Any) -> Workload:
    return Workload(name, title, seconds, clients=1, capacity=False, turns=True, **rest)


def _later(name: str, title: str, **rest: Any) -> Workload:
    return Workload(name, title, 2.0, later=True, **rest)


def _by_own(name: str, title: str, **rest: Any) -> Workload:
    return Workload(name, title, 2.0, **rest)


WORKLOADS = {
    workload.name: workload
    for workload in [
        Workload("chat1k", "chat 1 KB", 3.0),
        Workload("chat100k", "chat 100 KB", 2.5, size=102_400),
        Workload("stream64", "stream 64 chunks", 2.5, stream=True, orders="chunks=64"),
        _paced("paced32", "stream 64 × 20 ms", 32),
        Workload("embed1k", "embeddings 1 KB", 2.0, kind="embeddings"),
        _in_turns("added1", "added latency", 2.5),
        _in_turns("first1", "first chunk", 1.5, stream=True, orders="chunks=3", block=20),
        # These need the gateway to do more than pass on.
        _by_own("to_anthropic", "OpenAI → Anthropic 1 KB", provider="anthropic", than="chat1k"),
        _by_own(
            "to_openai_stream",
            "Anthropic → OpenAI, 64 chunks",
            kind="messages",
            provider="openai",
            than="stream64",
            **_STREAM,
        ),
        _by_own("tls1k", "chat 1 KB, TLS to the provider", tls=True, than="chat1k"),
        _by_own("fallback1", "1 % of 500, fallback", orders="status=500 every=100", fallback="backup/gpt-4o-mini"),
        # Only when named, or with --all: more of the same, or more of the machine.
        _later("messages1k", "Anthropic 1 KB, same format", kind="messages", provider="anthropic"),
        _later(
            "to_anthropic_stream", "OpenAI → Anthropic, 64 chunks", provider="anthropic", than="stream64", **_STREAM
        ),
        _later("to_openai", "Anthropic → OpenAI 1 KB", kind="messages", provider="openai", than="chat1k"),
        _later("leave5", "5 % leave, chat", orders="delay_us=3000", leave=5, capacity=False),
        _later("leave5_stream", "5 % leave, 64 chunks", leave=5, **_STREAM),
        _paced("paced500", "500 streams 64 × 20 ms", 500, later=True),
        _paced("paced1000", "1,000 streams 64 × 20 ms", 1000, later=True),
    ]
}
