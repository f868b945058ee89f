"""How many connections a process takes, and what becomes of those beyond."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import trio
import trio.testing

from bifrost_trio.server import Server
from bifrost_trio.testing import gateway_in_memory
from tests.server.speaking import GET, Connect


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


async def asking(connect: Connect, number: int) -> list[trio.SocketStream]:
    """So many clients, each of which has sent its request; all have connected before the first one asks."""
    clients = [await connect() for _ in range(number)]
    for client in clients:
        await client.send_all(GET)
    return clients


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
        clients = await asking(connect, 5)
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
        clients = await asking(connect, 3)
        assert [await served(client) for client in clients] == [True, False, False]
        server.max_connections = 2
        assert [await served(client) for client in clients[1:]] == [True, False]
        # Fewer than there are: all stay.
        server.max_connections = 1
        clients[0].socket.close()
        assert not await served(clients[2])
        await clients[1].send_all(GET)
        assert await served(clients[1])
        clients[1].socket.close()
        assert await served(clients[2])


async def test_a_full_process_leaves_clients_to_another_one(
    tmp_path: Path, connect: Connect, autojump_clock: trio.testing.MockClock
) -> None:
    """Two that accept from one queue."""
    async with listening(tmp_path / "s", processes=2) as (full, other):
        full.max_connections = other.max_connections = 1
        clients = await asking(connect, 2)
        assert [await served(client) for client in clients] == [True, True]
        other.max_connections = 50
        clients = await asking(connect, 40)
        assert [await served(client) for client in clients] == [True] * 40
        assert (full.statistics().open, other.statistics().open) == (1, 41)
        assert (full.statistics().accepted, other.statistics().accepted) == (1, 41)
