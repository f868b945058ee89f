"""HTTP/2 and WebSocket: connections that are handed to Hypercorn.

Its import costs more than a tenth of a second: a process that never sees such a connection never pays them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from bifrost_trio.server.application import Timeouts
from bifrost_trio.server.handed_stream import HandedStream
from bifrost_trio.sockets import Socket, TlsSocket

__all__ = ["HypercornProtocols"]

END_OF_HEAD = b"\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0"
"""How HTTP/2 begins where it was not agreed on before (RFC 9113 section 3.4)."""


class HypercornProtocols:
    """The server's `OtherProtocols`. ``app`` is an ASGI application for ``http`` and ``websocket`` scopes.

    ``http2``: whether HTTP/2 is taken by prior knowledge. Both may be changed at any time, for connections to come.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], timeouts: Timeouts, *, http2: bool = True) -> None:
        self.timeouts = timeouts
        self.http2 = http2
        self._app = app
        self._drained = trio.Event()
        self._make: Any = None

    def load(self) -> None:
        """Imports Hypercorn now rather than for the first connection."""
        from bifrost_trio.server.hypercorn_connection import HandedConnection

        self._make = HandedConnection

    async def serve(self, socket: Socket, tls: TlsSocket | None, received: bytes) -> None:
        h2 = received.startswith(PREFACE) or (tls is not None and not received)
        if received.startswith(PREFACE) and not self.http2:
            return
        if not h2 and received.find(END_OF_HEAD) + len(END_OF_HEAD) != len(received):
            # A client of WebSocket waits for the answer before it sends anything else (RFC 6455 section 4.1).
            return
        if self._make is None:
            self.load()
        stream = HandedStream(socket, tls, received, self.timeouts.write)
        await self._make(self._app, self.timeouts, self._drained, stream, h2=h2, tls=tls is not None).run()

    def drain(self) -> None:
        """Idle connections end now, the others after the answers that are under way; new streams are refused."""
        self._drained.set()
