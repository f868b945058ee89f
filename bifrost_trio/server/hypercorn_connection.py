"""Connections that Hypercorn serves. This module and `h2_guard` are the only ones that import it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from bifrost_trio.server.application import Timeouts
from bifrost_trio.server.h2_guard import NO_LIMIT, GuardedH2
from bifrost_trio.server.handed_stream import HandedStream

__all__ = ["HandedConnection", "hypercorn_config"]

LAST_WORDS_SECONDS = 1.0
"""How long a farewell to an idle client may take."""


def hypercorn_config(timeouts: Timeouts) -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("bifrost_trio.server")
    config.include_server_header = False
    config.keep_alive_timeout = timeouts.keep_alive
    config.max_app_queue_size = NO_LIMIT
    return config


class Handshake(H11Protocol):
    """WebSocket's opening handshake and what follows it. Never a second request: h11 would read it by other rules.

    A client that does not wait for the answer (RFC 6455 section 4.1) gets none: Hypercorn has no place for its frames.
    """

    _asked = _answered = False

    async def handle(self, event: Event) -> None:
        if isinstance(event, RawData) and event.data:
            if self._asked and not self._answered:
                await self.send(Closed())
                return
            self._asked = True
        await super().handle(event)

    async def stream_send(self, event: Any) -> None:
        self._answered = True
        await super().stream_send(event)

    async def _maybe_recycle(self) -> None:
        await self._close_stream()
        await self.can_read.set()
        await self.send(Closed())


class HandedConnection(TCPServer):
    """One connection, from the bytes already read to its end. ``drained`` is set when the process drains.

    ``h2``: HTTP/2 from its preface on, else WebSocket from the head of its handshake on.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        timeouts: Timeouts,
        drained: trio.Event,
        stream: HandedStream,
        *,
        h2: bool,
        tls: bool,
    ) -> None:
        context: Any = WorkerContext(None)
        context.terminated = drained
        given: Any = stream
        super().__init__(ASGIWrapper(app), hypercorn_config(timeouts), context, ConnectionState({}), given)
        self._asgi = app
        self._timeouts = timeouts
        self._handed = stream
        self._h2 = h2
        self._tls = tls
        self._over = False
        self._ended = False
        self._outgoing = bytearray()
        self._comes = trio.Event()
        self._taken = trio.Event()
        """Of what is in ``_outgoing``: the kernel has it, or the connection is broken."""

    async def run(self) -> None:
        """Serves until the connection is over, and closes it."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._converse()
                self._ended = True
                nursery.cancel_scope.cancel()
            await self._handed.aclose()
            await self._handed.linger()
        finally:
            self._handed.close()

    async def _write(self) -> None:
        """Alone hands bytes to the socket.

        A call that is cancelled while it sends takes no frame back, on which the headers of others may depend (RFC 7541
        section 2.2); and nothing is shielded, as it is in Hypercorn: a client that does not read would outlive the end
        of the server.

        What fails is told by the task that reads, which finds the stream broken, to all calls of the connection. Told
        by the call that sent it would end where that call itself is cancelled, and leave the rest waiting.
        """
        try:
            while True:
                await self._comes.wait()
                data, taken = bytes(self._outgoing), self._taken
                self._outgoing.clear()
                self._comes, self._taken = trio.Event(), trio.Event()
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._handed.send_all(data)
                taken.set()
        finally:
            if not self._ended:
                self._handed.abort()

    async def _converse(self) -> None:
        socket = self._handed.socket
        try:
            client, server = (
                parse_socket_addr(socket.family, name) for name in (socket.getpeername(), socket.getsockname())
            )
        except OSError:
            return
        async with TaskGroup() as task_group:
            self._task_group = task_group
            rest = (self.config, self.context, task_group, ConnectionState({}), self._tls, client, server)
            protocol: Any
            if self._h2:
                protocol = GuardedH2(self._asgi, self._timeouts.write, *rest, self.protocol_send)
            else:
                protocol = Handshake(self.app, *rest, self.protocol_send)
            self.protocol = protocol
            await protocol.initiate()
            await self.idle_task.restart(task_group, self._idle_timeout)
            await self._read_data()
            self._over = True
            await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._send(event.data)
        elif not (isinstance(event, Updated) and self._over):
            # When all is over, nobody would end the wait for an idle connection's next request.
            await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        self._outgoing += data
        self._comes.set()
        await self._taken.wait()

    async def _idle_timeout(self) -> None:
        with trio.move_on_after(self.config.keep_alive_timeout):
            await self.context.terminated.wait()
        with trio.move_on_after(LAST_WORDS_SECONDS, shield=True):
            if isinstance(self.protocol, GuardedH2):
                await self.protocol.say_goodbye()
            await self._initiate_server_close()
