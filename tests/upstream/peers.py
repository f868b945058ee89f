"""Pools with a provider at their other end: one that plays scripts, or one that the test speaks for itself."""

from __future__ import annotations

import socket as stdlib_socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from bifrost_trio.errors import FirstOutputTimeout, ProviderTimeout
from bifrost_trio.sockets import Poller, Socket
from bifrost_trio.testing import ScriptedUpstream
from bifrost_trio.upstream import Dial, Origin, Pool, TimeLimits

__all__ = ["POST", "Peer", "ask", "pool_to", "request"]

POST = b"POST /v1/chat HTTP/1.1\r\nhost: up.test\r\ncontent-length: 2\r\n\r\n{}"


def request(size: int) -> bytes:
    """A request with a body of that many bytes."""
    return b"POST / HTTP/1.1\r\nhost: up.test\r\ncontent-length: %d\r\n\r\n%b" % (size, b"x" * size)


class Peer:
    """A provider whose connections the test itself reads and writes: ``streams``, in the order of their making."""

    def __init__(self) -> None:
        self.streams: list[trio.SocketStream] = []

    def attach(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._close_at_the_end)

    async def _close_at_the_end(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            for stream in self.streams:
                stream.socket.close()

    def dial(self, poller: Poller) -> Dial:
        async def connect(host: str, port: int, limit: float) -> Socket:
            ours, theirs = stdlib_socket.socketpair()
            theirs.setblocking(False)
            self.streams.append(trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
            return Socket(ours, poller)

        return connect


@asynccontextmanager
async def pool_to(
    upstream: ScriptedUpstream | Peer,
    limits: TimeLimits | None = None,
    *,
    context: ssl.SSLContext | None = None,
    host: str = "up.test",
) -> AsyncIterator[Pool]:
    poller = Poller()
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        upstream.attach(nursery)
        origin = Origin(host, 443 if context else 80, context is not None)
        pool = Pool(origin, limits or TimeLimits(), upstream.dial(poller), context=context)
        yield pool
        assert pool.statistics().busy == 0
        pool.close()
        assert pool.statistics().idle == 0
        assert poller.statistics().sockets == 0
        nursery.cancel_scope.cancel()


async def ask(
    pool: Pool, data: bytes = POST, limit: float = 60.0, overdue: type[ProviderTimeout] = FirstOutputTimeout
) -> tuple[int, bytes]:
    """One exchange, read to its end: status and body."""
    connection, response = await pool.exchange(data, trio.current_time(), limit, overdue)
    try:
        body = await connection.read_whole(response, limit)
    except BaseException:
        pool.drop(connection)
        raise
    pool.give_back(connection)
    return response.status, body
