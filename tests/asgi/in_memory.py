"""An ASGI server in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from bifrost_trio.app import RunningGateway, open_gateway
from bifrost_trio.testing import ScriptedUpstream, config_for_tests
from bifrost_trio.transport import AsgiTransport
from tests.server.speaking import CHAT, FRAMES, PATH

__all__ = ["CHAT", "FRAMES", "PATH", "Exchange", "Message", "Server", "lifespan", "post", "served"]

Message = MutableMapping[str, Any]


class Server:
    """An ASGI server in memory, which runs the lifespan and one call at a time."""

    def __init__(self, app: AsgiTransport, gateway: list[RunningGateway], upstream: ScriptedUpstream) -> None:
        self.app = app
        self.upstream = upstream
        self._gateway = gateway

    @property
    def gateway(self) -> RunningGateway:
        return self._gateway[-1]

    def call(self, method: str, path: str, *pieces: bytes, headers: dict[str, str] | None = None) -> Exchange:
        return Exchange(self.app, method, path, pieces, headers or {})


class Exchange:
    """One request and what came of it; ``sent`` are the application's messages."""

    def __init__(
        self, app: AsgiTransport, method: str, path: str, pieces: tuple[bytes, ...], headers: dict[str, str]
    ) -> None:
        path, _, query = path.partition("?")
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        self.sent: list[Message] = []
        self.read = 0
        self.gone = trio.Event()
        self.breaks = False
        self.clears_up = self.cleared_up = False
        self.leaves_within_body = False
        self._app = app
        self._pieces = pieces or (b"",)

    async def run(self) -> Exchange:
        await self._app(self.scope, self._receive, self._send)
        return self

    async def _receive(self) -> Message:
        await trio.lowlevel.checkpoint()
        if self.read < len(self._pieces):
            self.read += 1
            more = self.read < len(self._pieces) or self.leaves_within_body
            return {"type": "http.request", "body": self._pieces[self.read - 1], "more_body": more}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        if self.breaks:
            raise OSError("the connection is gone")
        self.sent.append(message)
        if self.clears_up and not message.get("more_body", True):
            self.gone.set()
            await trio.sleep(1)
            self.cleared_up = True

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def ended(self) -> bool:
        return len(self.sent) > 1 and not self.sent[-1]["more_body"]


@asynccontextmanager
async def served(
    upstream: ScriptedUpstream | None = None, settings: dict[str, Any] | None = None
) -> AsyncIterator[Server]:
    upstream = upstream or ScriptedUpstream()
    running: list[RunningGateway] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[RunningGateway]:
        async with open_gateway(config_for_tests(settings), dial=upstream.dial) as gateway:
            running.append(gateway)
            yield gateway

    app = AsgiTransport(opened)
    async with trio.open_nursery() as nursery:
        upstream.attach(nursery)
        async with lifespan(app):
            yield Server(app, running, upstream)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def lifespan(app: AsgiTransport) -> AsyncIterator[None]:
    said, hears = trio.open_memory_channel[Message](1)
    says, heard = trio.open_memory_channel[Message](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, {"type": "lifespan", "asgi": {"version": "3.0"}}, heard.receive, said.send)
        await says.send({"type": "lifespan.startup"})
        assert await hears.receive() == {"type": "lifespan.startup.complete"}
        yield
        await says.send({"type": "lifespan.shutdown"})
        assert await hears.receive() == {"type": "lifespan.shutdown.complete"}


def post(server: Server, body: dict[str, Any] | bytes = CHAT, path: str = PATH, **headers: str) -> Exchange:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.call("POST", path, data, headers={"content-type": "application/json", **headers})
