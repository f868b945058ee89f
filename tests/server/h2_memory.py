"""HTTP/2 without a port, on Trio's virtual clock: a whole gateway behind one end of a socket pair."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from bifrost_trio.app import RunningGateway, open_gateway
from bifrost_trio.plugins import Plugin
from bifrost_trio.server import HypercornProtocols, Server, Timeouts
from bifrost_trio.testing import ScriptedUpstream, config_for_tests
from bifrost_trio.testing.home import away
from bifrost_trio.testing.pairs import socket_pair
from bifrost_trio.transport import AsgiCalls
from tests.server.h2_client import H2Client


class Kept(HypercornProtocols):
    """Keeps what it made, so that a test can look into the tables of a connection."""

    def load(self) -> None:
        super().load()
        make, self.connections = self._make, list[Any]()

        def keep(*given: Any, **named: Any) -> Any:
            self.connections.append(make(*given, **named))
            return self.connections[-1]

        self._make = keep


class MemoryH2:
    """One HTTP/2 connection to a gateway. ``client`` is its other end."""

    def __init__(self, running: RunningGateway, server: Server, others: Kept, client: H2Client) -> None:
        self.running = running
        self.server = server
        self.client = client
        self._others = others

    @property
    def protocol(self) -> Any:
        (connection,) = self._others.connections
        return connection.protocol

    @property
    def kept(self) -> dict[str, Any]:
        """Every table of the connection with an entry for a stream, where it is not empty."""
        protocol = self.protocol
        names = ("streams", "stream_buffers", "live", "_ended", "_sending", "_unread", "_waits")
        tables = {name: getattr(protocol, name) for name in names}
        tables["priority"] = protocol.priority._streams.keys() - {0}
        return {name: table for name, table in tables.items() if table}

    @property
    def away(self) -> list[str]:
        """What of the calls is not home; the connection itself stays, and is not one that the server calls idle."""
        return [one for one in away(self.running, self.server, 1) if "connections are not idle" not in one]

    @property
    def settled(self) -> int:
        return self.running.assembly.inference.statistics().settled


@asynccontextmanager
async def h2_in_memory(
    upstream: ScriptedUpstream, plugins: Sequence[Plugin] = (), timeouts: Timeouts | None = None
) -> AsyncIterator[MemoryH2]:
    timeouts = timeouts or Timeouts()
    async with trio.open_nursery() as nursery:
        upstream.attach(nursery)
        config = config_for_tests({"providers": {"openai": {"network_config": {"max_retries": 0}}}})
        async with open_gateway(config, dial=upstream.dial, make_plugins=lambda entries: [*plugins]) as gateway:
            others = Kept(AsgiCalls(gateway, body_limit=timeouts.body), timeouts)
            server = Server(gateway, gateway.poller, timeouts=timeouts, others=others)
            own, other = socket_pair()
            async with trio.open_nursery() as connections:
                server.accept(other, connections)
                client = H2Client(trio.SocketStream(trio.socket.from_stdlib_socket(own)))
                async with client.stream:
                    await client.begin()
                    yield MemoryH2(gateway, server, others, client)
                connections.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
