"""How many connections a process takes, and what becomes of those beyond."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from bifrost_trio.server import Server
from bifrost_trio.testing import gateway_in_memory

Connect = Callable[[], Awaitable[trio.SocketStream]]


@asynccontextmanager
async def listening(place: Path, processes: int = 1) -> AsyncIterator[list[Server]]:
    """Servers that accept from one Unix socket at ``place``, each with a descriptor of its own as processes have."""
    async with gateway_in_memory() as gateway, trio.open_nursery() as nursery:
        with ExitStack() as open_ones:
            listener = open_ones.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(place))
            listener.listen(100)
            listener.setblocking(False)
            servers = []
            for _ in range(processes):
                servers.append(Server(gateway.running, gateway.running.poller))
                await nursery.start(servers[-1].serve, [open_ones.enter_context(listener.dup())])
            yield servers
            nursery.cancel_scope.cancel()


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    made: list[trio.SocketStream] = []

    async def connect() -> trio.SocketStream:
        made.append(await trio.open_unix_socket(str(tmp_path / "s")))
        return made[-1]

    yield connect
    for stream in made:
        stream.socket.close()


HEALTH = b"GET /health HTTP/1.1\r\nhost: g\r\n\r\n"


async def served(client: trio.SocketStream) -> bool:
    """Whether the client gets its answer. One that is not accepted is neither answered nor sent away."""
    with trio.move_on_after(1):
        return (await client.receive_some()).startswith(b"HTTP/1.1 200")
    return False


async def test_no_more_connections_than_allowed(
    tmp_path: Path, connect: Connect, autojump_clock: trio.testing.MockClock
) -> None:
    """Those that are there are served; the others wait until one of them leaves."""
    async with listening(tmp_path / "s") as [server]:
        server.max_connections = 3
        clients = [await connect() for _ in range(5)]
        for client in clients:
            await client.send_all(HEALTH)
        assert [await served(client) for client in clients] == [True, True, True, False, False]
        assert (server.statistics().open, server.statistics().accepted, server.statistics().filled) == (3, 3, 1)
        clients[1].socket.close()
        assert [await served(client) for client in clients[3:]] == [True, False]
        assert (server.statistics().open, server.statistics().filled) == (3, 2)
        server.drain()
        assert await clients[0].receive_some() == b""


async def test_the_number_may_be_changed(
    tmp_path: Path, connect: Connect, autojump_clock: trio.testing.MockClock
) -> None:
    async with listening(tmp_path / "s") as [server]:
        server.max_connections = 1
        clients = [await connect() for _ in range(3)]
        for client in clients:
            await client.send_all(HEALTH)
        assert [await served(client) for client in clients] == [True, False, False]
        server.max_connections = 2
        assert [await served(client) for client in clients[1:]] == [True, False]
        # Fewer than there are: all stay.
        server.max_connections = 1
        clients[0].socket.close()
        assert not await served(clients[2])
        await clients[1].send_all(HEALTH)
        assert await served(clients[1])
        clients[1].socket.close()
        assert await served(clients[2])


async def test_a_full_process_leaves_clients_to_another_one(
    tmp_path: Path, connect: Connect, autojump_clock: trio.testing.MockClock
) -> None:
    """Two that accept from one queue."""
    async with listening(tmp_path / "s", processes=2) as (full, other):
        full.max_connections = other.max_connections = 1
        clients = [await connect() for _ in range(2)]
        for client in clients:
            await client.send_all(HEALTH)
        assert [await served(client) for client in clients] == [True, True]
        other.max_connections = 50
        clients = [await connect() for _ in range(40)]
        for client in clients:
            await client.send_all(HEALTH)
        assert [await served(client) for client in clients] == [True] * 40
        assert (full.statistics().open, other.statistics().open) == (1, 41)
        assert (full.statistics().accepted, other.statistics().accepted) == (1, 41)
