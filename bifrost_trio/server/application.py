"""What a server serves, and how long it waits for clients."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from bifrost_trio.errors import GatewayError
from bifrost_trio.types import Body, Request, Sink

__all__ = ["Application", "Timeouts"]


class Application(Protocol):
    """Called once for each request, in the connection's task. Answers errors itself; only cancellation comes out."""

    def __call__(self, request: Request, body: Body, sink: Sink) -> Awaitable[None]: ...

    async def refuse(self, error: GatewayError, sink: Sink) -> None:
        """Answers what never became a request."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: a whole head from its first byte; silence within a body; silence between requests; a write that does
    not move; a TLS handshake; calls in flight after a drain has begun."""

    head: float = 30.0
    body: float = 30.0
    keep_alive: float = 75.0
    write: float = 30.0
    handshake: float = 10.0
    drain: float = 30.0
