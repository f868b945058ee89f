"""The path in memory: what a request costs in the gateway when no socket and no other task takes part.

``python -m pytest benches/test_path.py``. A call that finds bytes waiting never gives up its turn, so each is driven as
what it is, one synchronous run; one that waits fails here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, cast

import pytest

from benches.plugin_probe import Probe
from bifrost_trio._wire import RequestReader, render_answer
from bifrost_trio.app import RunningGateway, open_gateway
from bifrost_trio.config import Config
from bifrost_trio.plugins import Plugin
from bifrost_trio.sockets import Poller, Socket, Take
from bifrost_trio.types import Headers
from bifrost_trio.upstream import Dial

CHUNKS = 64
CONFIGURATION = {
    "providers": {
        "openai": {
            "keys": [{"name": "bench", "value": "sk-bench", "models": ["*"]}],
            "network_config": {"base_url": "http://127.0.0.1:1", "max_retries": 0},
        }
    }
}


class Provider:
    """A connection whose answers are already there (see `bifrost_trio.sockets.Channel`)."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.on_hangup: Callable[[], None] | None = None
        self.hangup = False
        self.stale = False
        self.waited = 0.0
        self.blocked = 0.0
        self._pieces = pieces
        self._waiting: Iterator[bytes] = iter(())

    async def receive(self, limit: float) -> bytes:
        return next(self._waiting)

    async def pull(self, take: Take, limit: float) -> None:
        while take(next(self._waiting)):
            pass

    def begin_send(self, data: bytes) -> None:
        self._waiting = iter(self._pieces)

    def send_now(self, data: bytes) -> int:
        self._waiting = iter(self._pieces)
        return len(data)

    def arm(self, on_hangup: Callable[[], None]) -> None: ...
    def close(self) -> None: ...
    def reset(self) -> None: ...

    def dial(self, poller: Poller) -> Dial:
        async def connect(host: str, port: int, limit: float) -> Socket:
            return cast("Socket", self)

        return connect


class Client:
    """Both a request's body, of which nothing is left to read, and the sink of its answer, rendered as it would be."""

    def __init__(self) -> None:
        self.status = 0
        self.size = 0

    async def receive(self) -> bytes:
        return b""

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.size += len(render_answer(status, headers, body, keep_alive=True, head=False))

    def start(self, status: int, headers: Headers) -> None:
        self.status = status

    async def write(self, data: bytes) -> None:
        self.size += len(data)

    def write_now(self, data: bytes) -> bool:
        self.size += len(data)
        return True

    async def finish(self, trailer: bytes = b"") -> None:
        self.size += len(trailer)

    blocked = 0.0
    arrived_at = 0.0

    def comment(self, head: Headers | None, data: bytes) -> bool:
        return False

    def reset(self) -> None:
        self.status = -1


def request(size: int, stream: bool = False) -> bytes:
    start = '{"model":"openai/gpt-4o-mini","messages":[{"role":"user","content":"'
    end = '"}]' + (',"stream":true' if stream else "") + "}"
    body = start + "x" * (size - len(start) - len(end)) + end
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {size}"
    return f"{head}\r\n\r\n{body}".encode()


def whole_answer() -> list[bytes]:
    text = "A gateway stands between a program and its models. " * 10
    body = (
        '{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{"index":'
        f'0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":256,'
        '"completion_tokens":96,"total_tokens":352}}'
    )
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return [(head + body).encode()]


def stream_answer() -> list[bytes]:
    """A head, and each chunk in a read of its own."""
    event = (
        'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini",'
        '"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
    )
    last = event.replace('{"content":"word "}', "{}").replace("null}]", '"stop"}]') + "data: [DONE]\n\n"
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    frames = [f"{len(text):x}\r\n{text}\r\n" for text in [*[event] * CHUNKS, last]]
    return [piece.encode() for piece in [head + frames[0], *frames[1:-1], frames[-1] + "0\r\n\r\n"]]


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Drives a call that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    pytest.fail("the call waited, although everything was there")


async def measure(benchmark: Any, data: bytes, answer: list[bytes], plugins: list[Plugin]) -> Client:
    """Benchmarks the request from the bytes of its head to the bytes of its answer; the last call's client."""
    provider = Provider(answer)
    reader = RequestReader()
    last = Client()

    async with open_gateway(
        Config.from_dict(CONFIGURATION, {}), dial=provider.dial, make_plugins=lambda _: plugins
    ) as gateway:
        # What is made once is made before: worker, connection, parser.
        await serve(gateway, reader, data, last)

        def once() -> None:
            nonlocal last
            last = Client()
            run(serve(gateway, reader, data, last))

        benchmark(once)
    return last


async def serve(gateway: RunningGateway, reader: RequestReader, data: bytes, client: Client) -> None:
    head = reader.feed(data)
    assert head is not None
    await gateway(head, client, client)


@pytest.mark.parametrize("plugins", [[], [Probe({})]], ids=["bare", "plugin"])
@pytest.mark.parametrize("size", [1024, 102_400])
async def test_chat(benchmark: Any, size: int, plugins: list[Plugin]) -> None:
    client = await measure(benchmark, request(size), whole_answer(), plugins)
    assert client.status == 200
    assert client.size > 900


@pytest.mark.parametrize("plugins", [[], [Probe({})]], ids=["bare", "plugin"])
async def test_stream(benchmark: Any, plugins: list[Plugin]) -> None:
    client = await measure(benchmark, request(1024, stream=True), stream_answer(), plugins)
    assert client.status == 200
    assert client.size > CHUNKS * 100
