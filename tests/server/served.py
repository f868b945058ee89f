"""A gateway behind a real listening socket, in the process of the test."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio

from bifrost_trio.app import RunningGateway, open_gateway
from bifrost_trio.config import Config
from bifrost_trio.server import HypercornProtocols, Server, Timeouts
from bifrost_trio.sockets import listen
from bifrost_trio.transport import AsgiCalls


class Served:
    def __init__(self, gateway: RunningGateway, server: Server, port: int) -> None:
        self.gateway = gateway
        self.server = server
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    @property
    def open_calls(self) -> int:
        return self.gateway.assembly.inference.statistics().open

    @property
    def begun(self) -> int:
        statistics = self.gateway.assembly.inference.statistics()
        return statistics.open + statistics.settled

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, http1=False, http2=True, timeout=5)


@asynccontextmanager
async def serving(
    provider: Any, timeouts: Timeouts | None = None, context: ssl.SSLContext | None = None, **members: Any
) -> AsyncIterator[Served]:
    """A gateway in this process, on loopback, in front of ``provider``; ``members`` are its configuration's."""
    one = {
        "keys": [{"name": "k", "value": "sk-test", "models": ["*"], "weight": 1}],
        "network_config": {"base_url": f"http://127.0.0.1:{provider.port}"},
    }
    config = Config.from_dict({"providers": {"openai": one}, **members})
    timeouts = timeouts or Timeouts(drain=1.0)
    (listener,) = listen("127.0.0.1", 0)
    with listener:
        async with open_gateway(config) as gateway:
            others = HypercornProtocols(AsgiCalls(gateway, body_limit=timeouts.body), timeouts)
            server = Server(gateway, gateway.poller, timeouts=timeouts, context=context, others=others)
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve, [listener])
                yield Served(gateway, server, listener.getsockname()[1])
                nursery.cancel_scope.cancel()


async def until(what: Callable[[], bool]) -> None:
    with trio.fail_after(5):
        while not what():  # noqa: ASYNC110 - it happens on the other side of a socket
            await trio.sleep(0.005)
