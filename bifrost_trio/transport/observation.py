"""``/health`` and ``/metrics``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bifrost_trio.types import Body, Request, Sink

__all__ = ["Observation"]

TEXT = b"text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text exposition format."""


class Observation:
    """What a watcher asks for."""

    def __init__(self, exposition: Callable[[], Awaitable[bytes]]) -> None:
        self._exposition = exposition

    async def health(self, request: Request, body: Body, sink: Sink) -> None:
        """200 as long as this process answers."""
        await sink.send(200, [(b"content-type", b"application/json")], b'{"status":"ok"}')

    async def metrics(self, request: Request, body: Body, sink: Sink) -> None:
        await sink.send(200, [(b"content-type", TEXT)], await self._exposition())
