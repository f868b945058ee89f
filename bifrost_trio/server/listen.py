"""Accepting connections, the tasks that serve them, draining."""

from __future__ import annotations

import logging
import socket as stdlib_socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from bifrost_trio.server.application import Application, Timeouts
from bifrost_trio.server.http1 import Http1Connection
from bifrost_trio.sockets import Poller, Room, Share, Socket, TlsSocket, accept_from, set_options

__all__ = ["OtherProtocols", "Server", "ServerStatistics"]

log = logging.getLogger("bifrost_trio.server")


class OtherProtocols(Protocol):
    """Serves connections that do not speak HTTP/1.1: HTTP/2 and WebSocket."""

    async def serve(self, socket: Socket, tls: TlsSocket | None, received: bytes) -> None:
        """``received`` are the bytes already read. Returns when the connection is over; does not close it."""

    def drain(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """Client connections: ``open`` now, ``idle`` of them between two requests; ``accepted`` so far. ``filled``: how
    often the last place was taken, so that the next one had to wait until another ended."""

    open: int
    idle: int
    accepted: int
    filled: int


class Server:
    """Serves an application on listening sockets until it is drained."""

    def __init__(
        self,
        application: Application,
        poller: Poller,
        *,
        timeouts: Timeouts | None = None,
        context: ssl.SSLContext | None = None,
        others: OtherProtocols | None = None,
        max_connections: int = 20_000,
        share: Share | None = None,
    ) -> None:
        """``share``: of what several processes accept from the same listeners."""
        self._application = application
        self._poller = poller
        # Both, and `max_connections`, may be changed at any time; connections that are open keep what they have.
        self.timeouts = timeouts or Timeouts()
        self.context = context
        self._room = Room(max_connections, share)
        self._others = others
        self._connections: set[Http1Connection] = set()
        self._accepted = 0
        self._listeners: Sequence[stdlib_socket.socket] = ()
        self._accepting = trio.CancelScope()
        self._serving = trio.CancelScope()
        self.draining = False

    async def serve(
        self,
        listeners: Sequence[stdlib_socket.socket],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Returns when it was drained and the last connection is over."""
        self._listeners = tuple(listeners)
        for listener in listeners:
            # `listen` has done so; it may be a listener of somebody else's.
            set_options(listener)
        if self._room.share is not None:
            self._room.share.tell(self._room.taken)
        with self._serving:
            async with trio.open_nursery() as connections:
                accept = partial(self.accept, connections=connections)
                task_status.started()
                with self._accepting:
                    async with trio.open_nursery() as accepting:
                        for listener in listeners:
                            accepting.start_soon(accept_from, listener, accept, self._room, self._poller)

    @property
    def max_connections(self) -> float:
        """Beyond it none is accepted until one ends."""
        return self._room.limit

    @max_connections.setter
    def max_connections(self, limit: float) -> None:
        self._room.limit = limit

    def accept(self, sock: stdlib_socket.socket, connections: trio.Nursery) -> None:
        """Takes a connected socket; its task runs in ``connections``. Whether there is room was asked before."""
        self._room.take()
        self._accepted += 1
        connections.start_soon(self._serve_connection, sock, name="a client's connection")

    async def _serve_connection(self, sock: stdlib_socket.socket) -> None:
        try:
            # A client writes as soon as it is connected: often its request is there before its connection was taken.
            socket = Socket(sock, self._poller, ready=True)
        except OSError:
            sock.close()
            self._room.leave()
            return
        tls = None
        try:
            if self.context is not None:
                tls = await self._shake_hands(socket, self.context)
                if tls is None:
                    return
            connection = Http1Connection(tls or socket, self._application, self.timeouts)
            connection.draining = self.draining
            self._connections.add(connection)
            try:
                received = await connection.run()
            finally:
                self._connections.discard(connection)
            if received is not None and self._others is not None:
                await self._others.serve(socket, tls, received)
        except Exception:
            log.exception("a connection failed inside the server")
        finally:
            (tls or socket).close()
            self._room.leave()

    async def _shake_hands(self, socket: Socket, context: ssl.SSLContext) -> TlsSocket | None:
        """TLS for HTTP/1.1; None if the peers do not agree on it, or if all is over that was spoken by HTTP/2."""
        tls = TlsSocket(socket, context, server_side=True)
        try:
            await tls.handshake(self.timeouts.handshake)
        except (OSError, trio.TooSlowError, trio.ClosedResourceError):
            return None
        if tls.ssl_object.selected_alpn_protocol() == "h2":
            if self._others is not None:
                await self._others.serve(socket, tls, b"")
            return None
        return tls

    def drain(self) -> None:
        """No new connections; idle ones end now, the others after their call, all after `Timeouts.drain` seconds."""
        if self.draining:
            return
        self.draining = True
        self._accepting.cancel()
        for listener in self._listeners:
            self._poller.unlisten(listener)
        if self._room.share is not None:
            self._room.share.tell(None)
            self._room.share = None
        for connection in list(self._connections):
            connection.drain()
        if self._others is not None:
            self._others.drain()
        self._serving.deadline = trio.current_time() + self.timeouts.drain

    def statistics(self) -> ServerStatistics:
        idle = sum(1 for connection in self._connections if connection.idle)
        return ServerStatistics(self._room.taken, idle, self._accepted, self._room.filled)
