"""A gateway as processes of its own, and a provider for it that the test holds in its hands."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.server.speaking import Connect


class Provider:
    """Speaks OpenAI's chat completions on loopback. A stream's end waits for ``let_go``, where ``hold`` is set."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[dict[str, Any]] = []
        self.hold = False
        self.cut = False
        """Whether a stream breaks off after its first event."""
        self.whole: dict[str, Any] = dict(WHOLE)
        self.let_go = trio.Event()
        self.open_streams = 0
        self.left = 0
        """Streams whose gateway hung up before their end."""

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, self._connection, 0, host="127.0.0.1"))
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started()

    async def _connection(self, stream: trio.SocketStream) -> None:
        received = b""
        try:
            while data := await stream.receive_some():
                received += data
                head, end, rest = received.partition(b"\r\n\r\n")
                found = re.search(rb"(?i)content-length: *(\d+)", head)
                length = int(found[1]) if found else 0
                if end and len(rest) >= length:
                    received = rest[length:]
                    await self._answer(stream, json.loads(rest[:length] or b"{}"))
        except (trio.BrokenResourceError, ExceptionGroup):
            pass

    async def _answer(self, stream: trio.SocketStream, request: dict[str, Any]) -> None:
        self.requests.append(request)
        if not request.get("stream"):
            body = json.dumps(self.whole).encode()
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
            )
            return
        await stream.send_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        await self._chunk(stream, event({"content": "one"}))
        if self.cut:
            raise trio.BrokenResourceError("as asked")
        self.open_streams += 1
        try:
            if self.hold:
                await self._wait_or_leave(stream)
        finally:
            self.open_streams -= 1
        await self._chunk(stream, event({"content": " two"}) + event({}, "stop") + b"data: [DONE]\n\n")
        await stream.send_all(b"0\r\n\r\n")

    async def _wait_or_leave(self, stream: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                if not await stream.receive_some():
                    self.left += 1
                    raise trio.BrokenResourceError("the gateway hung up")

            nursery.start_soon(watch)
            await self.let_go.wait()
            nursery.cancel_scope.cancel()

    async def _chunk(self, stream: trio.SocketStream, data: bytes) -> None:
        await stream.send_all(b"%x\r\n%b\r\n" % (len(data), data))


WHOLE = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "small",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    chunk = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "small",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


class Gateway:
    """A running ``python -m bifrost_trio.serving``. ``said`` is what it wrote to its standard error."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.url = ""
        self.said = self.wrote = ""
        self._says = trio.Event()

    async def until_ready(self) -> None:
        while not (found := re.search(r"listening on (https?://[^ ,]+)", self.wrote)):
            assert self.process.returncode is None, f"the gateway ended before it listened: {self.said}"
            await self._says.wait()
        self.url = found[1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def listen_to(self) -> None:
        """Its standard error."""
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            self.said += data.decode()
            self._heard()

    async def read(self) -> None:
        """Its standard output: the address, and a line for each call."""
        assert self.process.stdout is not None
        async for data in self.process.stdout:
            self.wrote += data.decode()
            self._heard()

    def _heard(self) -> None:
        self._says.set()
        self._says = trio.Event()

    async def until_said(self, text: str) -> None:
        with trio.fail_after(9):
            while text not in self.said:
                await self._says.wait()

    async def until_accepting(self, times: int) -> None:
        """Until workers have begun to accept so many times, as its log tells."""
        with trio.fail_after(9):
            while self.said.count("accepts connections") < times:
                await self._says.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @asynccontextmanager
    async def streaming(self, body: dict[str, Any]) -> AsyncIterator[Streaming]:
        """A client of the gateway within a stream."""
        async with (
            httpx.AsyncClient(base_url=self.url) as client,
            client.stream("POST", "/v1/chat/completions", json=body) as answer,
        ):
            pieces = answer.aiter_text()
            assert "one" in await anext(pieces)
            yield Streaming(client, pieces)


class Streaming:
    """A client that has received the first event of its stream. ``pieces`` are those to come."""

    def __init__(self, client: httpx.AsyncClient, pieces: AsyncIterator[str]) -> None:
        self.client = client
        self.pieces = pieces

    async def rest(self) -> str:
        return "".join([piece async for piece in self.pieces])

    async def cut_within(self, seconds: float) -> None:
        """Asserts that the stream breaks off, and in time."""
        with trio.fail_after(seconds), pytest.raises(httpx.TransportError):
            await self.rest()


@pytest.fixture(autouse=True)
def _logger_as_before() -> Iterator[None]:
    """`serve` gives the gateway's loggers a handler of their own, also in the process of a test."""
    logger = logging.getLogger("bifrost_trio")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture(autouse=True)
def _no_unforeseen_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that a client or a signal does is an error of the gateway's own."""
    yield
    errors = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= 40]
    assert not errors, errors


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    """Opens connections to the Unix socket ``s`` in ``tmp_path``; those that are left open end with the test."""
    made: list[trio.SocketStream] = []

    async def connect() -> trio.SocketStream:
        made.append(await trio.open_unix_socket(str(tmp_path / "s")))
        return made[-1]

    yield connect
    for stream in made:
        stream.socket.close()


StartGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def provider(nursery: trio.Nursery) -> Provider:
    made = Provider()
    await nursery.start(made.serve)
    return made


@pytest.fixture
def config(provider: Provider, tmp_path: Path) -> Path:
    """A configuration file with one provider, ``openai``, which is `provider`."""
    path = tmp_path / "config.json"
    _write_config(path, provider, "openai")
    return path


@pytest.fixture
def write_config() -> Callable[..., None]:
    return _write_config


def _write_config(path: Path, provider: Provider, *names: str, server: dict[str, Any] | None = None) -> None:
    one = {
        "keys": [{"name": "k", "value": "sk-test", "models": ["*"], "weight": 1}],
        "network_config": {"base_url": f"http://127.0.0.1:{provider.port}"},
    }
    path.write_text(json.dumps({"providers": dict.fromkeys(names, one), "server": server or {}}, indent=1))


@pytest.fixture
async def start_gateway(nursery: trio.Nursery) -> AsyncIterator[StartGateway]:
    """Starts ``python -m bifrost_trio.serving`` with the arguments given and waits until it listens."""
    started: list[Gateway] = []

    async def start(*arguments: object, ready: bool = True) -> Gateway:
        command = [sys.executable, "-m", "bifrost_trio.serving", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        gateway = Gateway(await trio.lowlevel.open_process(command, env=os.environ, **pipes))
        started.append(gateway)
        nursery.start_soon(gateway.listen_to)
        nursery.start_soon(gateway.read)
        if ready:
            with trio.fail_after(8):
                await gateway.until_ready()
        return gateway

    yield start
    for gateway in started:
        if gateway.process.returncode is None:
            gateway.process.kill()
        await gateway.process.wait()


@pytest.fixture
def chat() -> Callable[..., dict[str, Any]]:
    """The body of a chat completion request."""

    def body(model: str = "openai/small", **members: Any) -> dict[str, Any]:
        return {"model": model, "messages": [{"role": "user", "content": "hi"}], **members}

    return body


@pytest.fixture
def ask() -> Callable[..., Awaitable[tuple[int, str]]]:
    """One request on a connection of its own: status and body. Cheaper by far than a new httpx client."""

    async def ask(gateway: Gateway, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
        data = json.dumps(body).encode() if body is not None else b""
        method = "POST" if body is not None else "GET"
        head = f"{method} {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-type: application/json\r\n"
        async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
            await stream.send_all(head.encode() + b"content-length: %d\r\n\r\n" % len(data) + data)
            answer = b"".join([piece async for piece in stream])
        if not answer:
            raise trio.BrokenResourceError("no answer came")
        head_out, _, body_out = answer.partition(b"\r\n\r\n")
        return int(head_out.split()[1]), body_out.decode()

    return ask
