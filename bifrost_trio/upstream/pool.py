"""The connections of one provider. The pool decides synchronously and does I/O afterwards."""

from __future__ import annotations

import os
import socket as stdlib_socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import trio

from bifrost_trio._wire import Response
from bifrost_trio.errors import ConnectionBroken, ConnectTimeout, FirstOutputTimeout, ProviderTimeout, Unreachable
from bifrost_trio.sockets import Poller, Socket, TlsSocket, connect
from bifrost_trio.types import Clock
from bifrost_trio.upstream.connection import Begin, Connection, TimeLimits
from bifrost_trio.upstream.resolve import Resolver

__all__ = ["Dial", "Origin", "Pool", "PoolStatistics", "direct_dial"]

Dial: TypeAlias = Callable[[str, int, float], Awaitable[Socket]]
"""(host, port, limit in seconds) to a connected socket, with TCP_NODELAY where it is one of TCP. Raises OSError,
`trio.TooSlowError`."""

MAX_IDLE = 90.0
"""Seconds: routers on the way forget a silent connection without telling (some after two minutes or so), and a request
on it would wait for its whole limit. Go's client has the same number."""


STALE_SECONDS = 1.0
"""A connection that was closed while nobody used it breaks within a round trip; one that breaks later took the request,
and whether that may be sent again is for the attempts to say (RFC 9110 section 9.2.2)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a provider lives (RFC 9110 section 4.3.1). A key is only ever sent to its configured origin."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """As the Host header says it: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """``idle`` connections are open and unused, ``busy`` ones have an exchange; ``made`` counts all ever opened."""

    idle: int
    busy: int
    made: int
    stale_retries: int


def direct_dial(poller: Poller, resolver: Resolver | None = None) -> Dial:
    """Connects to each address in turn until one answers; the limit is for all of them together."""
    resolver = resolver or Resolver()

    async def dial(host: str, port: int, limit: float) -> Socket:
        deadline = trio.current_time() + limit
        with trio.fail_after(limit):
            addresses = await resolver.resolve(host, port)
        failure: Exception = OSError("the name has no address")
        for left, (family, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                return await connect(family, address, (deadline - trio.current_time()) / left, poller)
            except (OSError, trio.TooSlowError) as error:
                failure = error
        resolver.forget(host, port)
        raise failure

    return dial


def _why(error: OSError) -> str:
    """In words that name no address: the client reads them."""
    if isinstance(error, stdlib_socket.gaierror):
        return "its name is not known"
    return os.strerror(error.errno).lower() if error.errno else "no address answered"


class Pool:
    """Idle connections, newest first: those least used go stale together and are dropped when they hang up."""

    def __init__(
        self,
        origin: Origin,
        limits: TimeLimits,
        dial: Dial,
        *,
        context: ssl.SSLContext | None = None,
        clock: Clock = trio.current_time,
    ) -> None:
        self._now = clock
        self.origin = origin
        self.limits = limits
        self._dial = dial
        self._context = context
        self._idle: list[Connection] = []
        self._busy = 0
        self._made = 0
        self._stale_retries = 0
        self._closed = False

    def exchange(
        self, data: bytes, now: float, limit: float, overdue: type[ProviderTimeout] = FirstOutputTimeout
    ) -> Awaitable[tuple[Connection, Response]]:
        """`send` and `receive` in one."""
        return self.receive(self.send(data, now), data, limit, overdue)

    def send(self, data: bytes, now: float) -> Connection | None:
        """Sends a request on an idle connection, if there is one. ``now`` is the time on Trio's clock, which whoever
        calls has just read. `receive` has to follow."""
        while self._idle:
            connection = self._idle.pop()
            channel = connection.channel
            channel.on_hangup = None
            if channel.stale or connection.idle_since < now - MAX_IDLE:
                connection.close()
                continue
            self._busy += 1
            try:
                connection.send(data)
            except ConnectionBroken:
                self.drop(connection)
                self._stale_retries += 1
                break
            return connection
        return None

    async def receive(
        self,
        connection: Connection | None,
        data: bytes,
        limit: float,
        overdue: type[ProviderTimeout] = FirstOutputTimeout,
        begin: Begin | None = None,
    ) -> tuple[Connection, Response]:
        """The connection, a new one where ``send`` found none, and the head of the answer (see `Connection.read_head`).
        Whoever calls gives the connection back or drops it.

        A stale keep-alive connection is retried once on a new one, uncounted, only if it broke within `STALE_SECONDS`
        and nothing of the answer was read (RFC 9112 section 9.3.1).

        Raises Unreachable, ConnectTimeout, ConnectionBroken, MalformedAnswer, ``overdue``.
        """
        wasted = 0.0
        if connection is not None:
            try:
                return connection, await connection.read_head(limit, overdue, begin)
            except ConnectionBroken:
                wasted = connection.waited
                self.drop(connection)
                if connection.reader.begun or wasted > STALE_SECONDS:
                    raise
            except BaseException:
                self.drop(connection)
                raise
            self._stale_retries += 1
        connection = await self._connect()
        connection.setup_seconds += wasted
        try:
            connection.send(data)
            return connection, await connection.read_head(limit, overdue, begin)
        except BaseException:
            self.drop(connection)
            raise

    async def _connect(self) -> Connection:
        """Raises Unreachable, ConnectTimeout."""
        self._busy += 1
        began = trio.current_time()
        try:
            connection = Connection(await self._open())
        except trio.TooSlowError as error:
            self._busy -= 1
            raise ConnectTimeout(f"no connection to the provider within {self.limits.connect:g} s") from error
        except ssl.SSLError as error:
            self._busy -= 1
            raise Unreachable(f"TLS with the provider failed: {error.reason or 'certificate not accepted'}") from error
        except OSError as error:
            self._busy -= 1
            raise Unreachable(f"the provider cannot be reached: {_why(error)}") from error
        except BaseException:
            self._busy -= 1
            raise
        self._made += 1
        connection.setup_seconds = trio.current_time() - began
        return connection

    async def _open(self) -> Socket | TlsSocket:
        deadline = trio.current_time() + self.limits.connect
        socket = await self._dial(self.origin.host, self.origin.port, self.limits.connect)
        if self._context is None:
            return socket
        try:
            channel = TlsSocket(socket, self._context, host=self.origin.host)
            await channel.handshake(max(deadline - trio.current_time(), 0.0))
        except BaseException:
            socket.close()
            raise
        return channel

    def give_back(self, connection: Connection) -> None:
        """After an answer that was read to its end."""
        channel = connection.channel
        if self._closed or channel.hangup or not connection.reusable:
            self.drop(connection)
            return
        self._busy -= 1
        self._idle.append(connection)
        channel.on_hangup = self._drop_hung_up
        connection.idle_since = now = self._now()
        if self._idle[0].idle_since < now - MAX_IDLE:
            self._idle.pop(0).close()

    def _drop_hung_up(self) -> None:
        """An idle connection hung up: its descriptor is not kept until somebody would have borrowed it."""
        for connection in [c for c in self._idle if c.channel.hangup]:
            self._idle.remove(connection)
            connection.close()

    def drop(self, connection: Connection) -> None:
        """After anything else: the connection's state is unknown, so it is closed."""
        self._busy -= 1
        connection.close()

    def close(self) -> None:
        """Closes what is idle now, and what is busy when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(len(self._idle), self._busy, self._made, self._stale_retries)
