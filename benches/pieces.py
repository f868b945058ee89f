"""The pieces of a request, each measured by itself, in microseconds: the least of several rounds, because what others
do on the machine only adds.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from timeit import Timer
from typing import Any

import trio

from benches import test_path
from bifrost_trio._wire import (
    RequestReader,
    ResponseReader,
    render_answer,
    scan,
    scan_answer,
    splice_answer,
)
from bifrost_trio.app import open_gateway
from bifrost_trio.config import Config
from bifrost_trio.plugins import Plugin
from bifrost_trio.sockets import Poller, Socket
from bifrost_trio.sockets.stream import READ_SIZE
from bifrost_trio.types import Call

__all__ = ["best", "buffers", "each", "loopback", "rust", "stations", "system_calls", "waits"]

ROUNDS = 7
REQUEST = test_path.request(1024)
ANSWER = test_path.whole_answer()[0]
BODY = REQUEST.partition(b"\r\n\r\n")[2]
WHOLE = ANSWER.partition(b"\r\n\r\n")[2]
_PREFIX = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer sk-bench\r\ncontent-length: "
_EXTRA = b'"extra_fields":{"provider":"openai","latency":1}'


def best(what: Callable[[], object], seconds: float = 0.1) -> float:
    """Microseconds of one call: the least of some rounds."""
    timer = Timer(what)
    once = max(timer.timeit(100) / 100, 1e-8)
    number = max(int(seconds / once), 1)
    return min(timer.repeat(ROUNDS, number)) / number * 1e6


def rust() -> dict[str, float]:
    """The calls of one request, in their order."""
    requests, answers, envelope = RequestReader(), ResponseReader(), scan(BODY)
    headers = [(b"content-type", b"application/json"), (b"x-bf-provider", b"openai")]

    def read_answer() -> object:
        answers.expect()
        return answers.feed(ANSWER)

    return {
        "request head": best(lambda: requests.feed(REQUEST)),
        "scan of the body": best(lambda: scan(BODY)),
        "rendering of the request, model spliced": best(lambda: envelope.render(_PREFIX, BODY, "gpt-4o-mini")),
        "response head": best(read_answer),
        "scan of the answer": best(lambda: scan_answer("openai_chat", WHOLE)),
        "splice of the answer": best(lambda: splice_answer(WHOLE, _EXTRA)),
        "rendering of the answer": best(lambda: render_answer(200, headers, WHOLE)),
    }


class Keep(Plugin):
    """Keeps the last call, so that it can be settled again."""

    last: Call

    def before(self, call: Call) -> None:
        self.last = call


async def stations() -> dict[str, float]:
    """The path in memory, from the bytes of a head to the bytes of an answer, and the settling within it."""
    found: list[float] = []
    await test_path.measure(lambda once: found.append(best(once)), REQUEST, [ANSWER], [])
    keep, provider = Keep({}), test_path.Provider([ANSWER])
    config = Config.from_dict(test_path.CONFIGURATION, {})
    async with open_gateway(config, dial=provider.dial, make_plugins=lambda _: [keep]) as gateway:
        await test_path.serve(gateway, RequestReader(), REQUEST, test_path.Client())
        settle = best(lambda: gateway.telemetry.settle(keep.last))
    return {"path in memory": found[0], "settling": settle}


@contextlib.contextmanager
def loopback() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection, non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as one:
        one.connect(listener.getsockname())
        other, _ = listener.accept()
        with other:
            for end in (one, other):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield one, other


def system_calls() -> dict[str, float]:
    """Of one direction: a kilobyte written and read at the other end, TCP's own work included; a look at epoll."""
    with loopback() as (one, other), contextlib.closing(select.epoll()) as epoll:
        epoll.register(other, select.EPOLLIN | select.EPOLLET)

        def carry() -> None:
            one.send(REQUEST)
            other.recv(65536)

        return {"write and read": best(carry), "epoll": best(lambda: epoll.poll(0, 512))}


def buffers() -> dict[str, float]:
    """What a pool of buffers would save: a request in reads of new bytes, as it is, and in ones of a kept buffer, whose
    content is copied out because the call outlives the read. Sending it is in both."""
    found = {}
    for size in (1024, 102_400):
        data, kept = test_path.request(size), memoryview(bytearray(READ_SIZE * 2))
        with loopback() as (one, other):
            other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * len(data))
            name = f"a request of {size // 1024} KB"
            found[f"{name}, new bytes"] = best(lambda: (one.send(data), _new_bytes(other, len(data))))  # noqa: B023
            found[f"{name}, a kept buffer"] = best(lambda: (one.send(data), _kept_buffer(other, kept, len(data))))  # noqa: B023
    return found


def _new_bytes(end: socket.socket, size: int) -> bytes:
    pieces = []
    while size:
        with contextlib.suppress(BlockingIOError):
            pieces.append(end.recv(READ_SIZE))
            size -= len(pieces[-1])
    return b"".join(pieces)


def _kept_buffer(end: socket.socket, kept: memoryview, size: int) -> bytes:
    at = 0
    while at < size:
        with contextlib.suppress(BlockingIOError):
            at += end.recv_into(kept[at : at + READ_SIZE])
    return bytes(kept[:at])


async def waits() -> dict[str, float]:
    """Trio: its clock, a switch of tasks, and a byte there and back between two tasks that wait for it."""
    found = {"current_time": best(trio.current_time), "switch of tasks": await each(trio.lowlevel.checkpoint)}
    with loopback() as (one, other):
        found["byte to a task, wait_readable"] = await _ping(_ByTrio(one), _ByTrio(other)) / 2
    with loopback() as (one, other):
        async with trio.open_nursery() as nursery:
            poller = Poller()
            await nursery.start(poller.run)
            found["byte to a task, poller"] = await _ping(Socket(one, poller), Socket(other, poller)) / 2
            nursery.cancel_scope.cancel()
    return found


async def each(what: Callable[[], Any], number: int = 3000) -> float:
    spent = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(number):
            await what()
        spent.append((time.perf_counter() - begun) / number * 1e6)
    return min(spent)


class _ByTrio:
    """A connection as `Socket` is one, which waits with `trio.lowlevel.wait_readable`."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    async def receive(self, limit: float) -> bytes:
        await trio.lowlevel.wait_readable(self.end)
        return self.end.recv(65536)

    async def send(self, data: bytes, limit: float) -> None:
        self.end.send(data)


async def _ping(one: Any, other: Any) -> float:
    async def echo() -> None:
        while True:
            await other.send(await other.receive(60), 60)

    async def there_and_back() -> None:
        await one.send(b"x", 60)
        await one.receive(60)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        spent = await each(there_and_back)
        nursery.cancel_scope.cancel()
    return spent
