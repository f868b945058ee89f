"""The gateway as a plain ASGI application: in memory with ``scope``, ``receive`` and ``send``, and under Hypercorn."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.app import RunningGateway, open_gateway
from bifrost_trio.app import app as the_app
from bifrost_trio.config import Config
from bifrost_trio.mock import serve_mock
from bifrost_trio.testing import End, Pause, ScriptedUpstream, config_for_tests, streamed
from bifrost_trio.transport import AsgiTransport

Message = MutableMapping[str, Any]
CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
PATH = "/v1/chat/completions"
FRAMES = [
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"lo"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


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


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_a_whole_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        exchange = await post(server).run()
        assert exchange.status == 200
        assert [message["type"] for message in exchange.sent] == ["http.response.start", "http.response.body"]
        assert exchange.headers["content-length"] == str(len(exchange.body))
        said = json.loads(exchange.body)
        assert said["choices"][0]["message"]["content"] == "You said: Hello"
        assert said["extra_fields"]["provider"] == "openai"
        assert not {"connection", "transfer-encoding", "date"} & set(exchange.headers)


async def test_a_stream(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(streamed([part for frame in FRAMES for part in (frame, Pause(1))]))
    async with served(upstream) as server:
        exchange = await post(server, {**CHAT, "stream": True}).run()
        assert (exchange.status, exchange.headers["content-type"]) == (200, "text/event-stream")
        assert exchange.headers["x-bf-provider"] == "openai"
        assert exchange.body == b"".join(FRAMES)
        assert len(exchange.sent) >= 1 + len(FRAMES)
        assert exchange.ended


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_body_in_several_messages(size: int, autojump_clock: trio.testing.MockClock) -> None:
    body = json.dumps(CHAT).encode()
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    async with served() as server:
        for parts in (pieces, [b"", *pieces, b""], [*pieces[:1], b"", *pieces[1:]]):
            exchange = await server.call("POST", PATH, *parts).run()
            assert exchange.status == 200
            assert exchange.read == len(parts)
            assert server.upstream.requests[-1].json == {**CHAT, "model": "m"}
        assert server.gateway.assembly.budget.statistics().in_flight == 0


ROUTES = {
    "health": ("GET", "/health", 200),
    "metrics": ("GET", "/metrics", 200),
    "models": ("GET", "/v1/models?provider=openai&page_size=1", 200),
    "head": ("HEAD", "/health", 200),
    "no route": ("GET", "/nothing", 404),
    "a wrong method": ("GET", PATH, 405),
    "no body": ("POST", PATH, 400),
}


@pytest.mark.parametrize(("method", "path", "status"), ROUTES.values(), ids=ROUTES)
async def test_the_other_routes(method: str, path: str, status: int, autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        exchange = await server.call(method, path).run()
        assert exchange.status == status
        assert exchange.ended


REFUSED: dict[str, tuple[dict[str, str], bytes, int]] = {
    "no JSON": ({}, b"{", 400),
    "a form": ({"content-type": "text/plain"}, b"x=y", 415),
    "a length beyond the limit": ({"content-length": "2000000"}, b"{}", 413),
    "a body beyond the limit": ({}, b'{"x":"' + b"a" * 2_000_000 + b'"}', 413),
    "a header of later": ({"x-bf-vk": "sk-bf-1"}, json.dumps(CHAT).encode(), 400),
    "names in capitals": ({"X-BF-VK": "sk-bf-1"}, json.dumps(CHAT).encode(), 400),
}


@pytest.mark.parametrize(("headers", "body", "status"), REFUSED.values(), ids=REFUSED)
async def test_refusals(
    headers: dict[str, str], body: bytes, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with served(settings={"client": {"max_request_body_size_mb": 1}}) as server:
        exchange = await post(server, body, **headers).run()
        assert exchange.status == status, exchange.body
        assert exchange.ended
        assert server.upstream.requests == []


@pytest.mark.parametrize("raw", [True, False])
async def test_the_path_is_taken_as_it_was_sent(raw: bool, autojump_clock: trio.testing.MockClock) -> None:
    """``raw_path`` is optional (ASGI, "HTTP connection scope")."""
    async with served() as server:
        exchange = server.call("GET", "/health")
        if not raw:
            exchange.scope["raw_path"] = None
        assert (await exchange.run()).status == 200
        exchange = server.call("GET", "/v1/models")
        exchange.scope["raw_path"] = b"/v1%2Fmodels"
        assert (await exchange.run()).status == 404


async def test_a_preflight_has_no_length(autojump_clock: trio.testing.MockClock) -> None:
    """RFC 9110 section 8.6: never with a 204."""
    async with served(settings={"client": {"allowed_origins": ["*"]}}) as server:
        headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
        exchange = await server.call("OPTIONS", PATH, headers=headers).run()
        assert (exchange.status, exchange.body) == (204, b"")
        assert "content-length" not in exchange.headers
        assert exchange.headers["access-control-allow-origin"] == "*"


# --- clients that leave -----------------------------------------------------------------------------------------------

LEAVING: dict[str, tuple[Any, dict[str, Any]]] = {
    "before the head": ("stall=head", CHAT),
    "within a whole answer": ("stall=body", CHAT),
    "before the first output": ("stall=body", {**CHAT, "stream": True}),
    "within a stream": (streamed(FRAMES[:2], end=End.STALL), {**CHAT, "stream": True}),
}


@pytest.mark.parametrize(("words", "body"), LEAVING.values(), ids=LEAVING)
async def test_a_client_that_leaves_cancels_the_upstream_request(
    words: Any, body: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    """At once, and it is no failure of the application's."""
    async with served(ScriptedUpstream(words)) as server, trio.open_nursery() as nursery:
        exchange = post(server, body)
        nursery.start_soon(exchange.run)
        await trio.sleep(3)
        assert server.upstream.statistics().answering == 1
        exchange.gone.set()
        await trio.testing.wait_all_tasks_blocked()
        assert server.upstream.statistics().abandoned == 1
        assert not exchange.ended
        assert_home(server)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_clears_up_is_not_disturbed(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    """Hypercorn tells of the disconnect and makes its connection ready again while it takes the last message."""
    async with served() as server:
        exchange = post(server, {**CHAT, "stream": stream})
        exchange.clears_up = True
        await exchange.run()
        assert exchange.ended
        assert exchange.cleared_up
        assert_home(server)


async def test_a_client_that_leaves_within_its_body(autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        exchange = post(server, b'{"model":')
        exchange.leaves_within_body = True
        exchange.gone.set()
        await exchange.run()
        assert exchange.sent == []
        assert server.upstream.requests == []
        assert_home(server)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_whose_send_fails(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        exchange = post(server, {**CHAT, "stream": stream})
        exchange.breaks = True
        await exchange.run()
        assert exchange.sent == []
        assert_home(server)


def assert_home(server: Server) -> None:
    assembly = server.gateway.assembly
    assert assembly.inference.statistics().open == 0
    assert assembly.attempts["openai"].pool.statistics().busy == 0
    assert assembly.budget.statistics().in_flight == 0


# --- answers that are not whole ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["cut-chunk=2", "cut-chunk=2 end=reset", "error-chunk=2 status=500", "garble=json"])
async def test_a_broken_stream_never_looks_whole(words: str, autojump_clock: trio.testing.MockClock) -> None:
    """The error is told in the stream, and the server hears of it too, or it would end the body properly."""
    settings = {"providers": {"openai": {"network_config": {"max_retries": 0}}}}
    async with served(ScriptedUpstream(f"{words} gap=1"), settings) as server:
        exchange = post(server, {**CHAT, "stream": True}, "/anthropic/v1/messages")
        with pytest.raises(Exception, match="broken off"):
            await exchange.run()
        assert exchange.status == 200
        assert not exchange.ended
        assert b'"type":"error"' in exchange.body
        assert b"message_stop" not in exchange.body
        assert_home(server)


# --- the other kinds of scope -----------------------------------------------------------------------------------------


async def test_a_websocket_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await server.app({"type": "websocket", "path": "/", "headers": []}, receive, send)
        assert [message["type"] for message in sent] == ["websocket.close"]


async def test_without_a_lifespan_every_request_is_told_so(autojump_clock: trio.testing.MockClock) -> None:
    for method, path in (("GET", "/health"), ("POST", PATH), ("GET", "/nothing")):
        exchange = await Exchange(the_app, method, path, (b"{}",), {}).run()
        assert (exchange.status, exchange.ended) == (500, True)
        said = json.loads(exchange.body)
        assert said["error"]["code"] == "no_lifespan"
        assert "lifespan" in said["error"]["message"]


async def test_after_the_shutdown_too(autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        app = server.app
    assert (await Exchange(app, "GET", "/health", (), {}).run()).status == 500


async def test_the_application_may_be_started_again(autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        app = server.app
    async with lifespan(app):
        assert (await Exchange(app, "GET", "/health", (), {}).run()).status == 200


CONFIGS = {
    "a misspelled provider": ({"providers": {"opnai": {}}}, "opnai"),
    "a plugin that is not there": ({"plugins": [{"name": "x", "enabled": True, "path": "nowhere:X"}]}, "nowhere"),
}


@pytest.mark.parametrize(("settings", "told"), CONFIGS.values(), ids=CONFIGS)
async def test_a_bad_configuration_is_told_to_the_server(
    settings: dict[str, Any], told: str, autojump_clock: trio.testing.MockClock
) -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[RunningGateway]:
        async with open_gateway(Config.from_dict(settings, {})) as gateway:
            yield gateway

    app = AsgiTransport(opened)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    [message] = sent
    assert message["type"] == "lifespan.startup.failed"
    assert told in message["message"]
    assert (await Exchange(app, "GET", "/health", (), {}).run()).status == 500


# --- under Hypercorn --------------------------------------------------------------------------------------------------

WITHOUT_LIFESPAN = """
from bifrost_trio.app import app as gateway

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await gateway(scope, receive, send)
"""


@asynccontextmanager
async def hypercorn(folder: Path, config: str | None, app: str = "bifrost_trio.app:app") -> AsyncIterator[int]:
    """Its port. Ends with SIGTERM and has to come to an end by itself then."""
    environ = {**os.environ} | ({"BIFROST_CONFIG": config} if config else {})
    command = [sys.executable, "-m", "hypercorn", "-k", "trio", "--bind", "127.0.0.1:0", app]
    process = await trio.lowlevel.open_process(
        command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said = b""
    try:
        assert process.stderr is not None
        while not (found := re.search(rb"Running on http://127\.0\.0\.1:(\d+)", said)):
            piece = await process.stderr.receive_some()
            assert piece, said.decode()
            said += piece
        yield int(found[1])
        process.terminate()
        async for piece in process.stderr:
            said += piece
        assert b"Traceback" not in said, said.decode()
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def spoken(port: int, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    """Status and body of one answer; the body as it was framed."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(rendered(path, body))
        answer = b"".join([bytes(piece) async for piece in stream])
    head, _, said = answer.partition(b"\r\n\r\n")
    return int(head[9:12]), said


def rendered(path: str, body: dict[str, Any] | None) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    head = f"{method} {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def written(folder: Path, port: int) -> str:
    network = {"base_url": f"http://127.0.0.1:{port}", "max_retries": 0}
    key = {"name": "k", "value": "sk-test", "models": ["*"]}
    path = folder / "gateway.json"
    path.write_text(json.dumps({"providers": {"openai": {"keys": [key], "network_config": network}}}))
    return str(path)


@pytest.mark.real_clock
async def test_under_hypercorn(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        mock = await nursery.start(partial(serve_mock, "127.0.0.1", 0))
        async with hypercorn(tmp_path, written(tmp_path, mock.port)) as port:
            assert await spoken(port, "/health") == (200, b'{"status":"ok"}')
            status, body = await spoken(port, PATH, CHAT)
            assert (status, json.loads(body)["extra_fields"]["provider"]) == (200, "openai")
            status, body = await spoken(port, PATH, {**CHAT, "stream": True})
            assert status == 200
            assert body.count(b"data: ") > 3
            assert body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            status, body = await spoken(port, "/anthropic/v1/messages", {"model": "nobody/x"})
            assert (status, json.loads(body)["type"]) == (404, "error")
            await one_connection(port)
            await leave_a_stream(port)
            await trio.sleep(0.5)
            assert mock.statistics().abandoned == 1
        nursery.cancel_scope.cancel()


async def one_connection(port: int) -> None:
    """Hypercorn keeps it alive behind each of our answers."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as connection:
        for stream in (False, True, False):
            data = rendered(PATH, {**CHAT, "stream": stream}).replace(b"connection: close\r\n", b"")
            await connection.send_all(data)
            received = b""
            while not received.endswith(b"0\r\n\r\n" if stream else b"}}"):
                received += await connection.receive_some()
            assert received.startswith(b"HTTP/1.1 200")


async def leave_a_stream(port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(rendered(PATH, {**CHAT, "model": "openai/mock-stall-output", "stream": True}))
        received = b""
        while b"data: " not in received:
            received += await stream.receive_some()


@pytest.mark.real_clock
async def test_a_broken_stream_under_hypercorn(tmp_path: Path) -> None:
    """It has no end there either; Hypercorn logs what the application raised to tell it so."""
    async with trio.open_nursery() as nursery:
        mock = await nursery.start(partial(serve_mock, "127.0.0.1", 0))
        with pytest.raises(AssertionError, match="AnswerNotWhole"):
            async with hypercorn(tmp_path, written(tmp_path, mock.port)) as port:
                words = [{"role": "user", "content": "[[mock cut-chunk=2 gap=0.1]] Hello"}]
                status, body = await spoken(port, PATH, {**CHAT, "messages": words, "stream": True})
                assert status == 200
                assert b"is_bifrost_error" in body
                assert not body.endswith(b"\r\n0\r\n\r\n")
        nursery.cancel_scope.cancel()


@pytest.mark.real_clock
async def test_under_hypercorn_without_a_lifespan(tmp_path: Path) -> None:
    (tmp_path / "without.py").write_text(WITHOUT_LIFESPAN)
    async with hypercorn(tmp_path, None, "without:app") as port:
        for body in (None, CHAT):
            status, said = await spoken(port, PATH, body)
            assert (status, json.loads(said)["error"]["code"]) == (500, "no_lifespan")


@pytest.mark.real_clock
async def test_hypercorn_does_not_start_with_a_bad_configuration(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"providers": {"opnai": {}}}')
    with pytest.raises(AssertionError, match="opnai"):
        async with hypercorn(tmp_path, str(path)):
            pass
