"""What a request costs, in numbers that no noise can move: steps of tasks, reads, writes, turns of the loop, modules.

A step of a task is Trio's switch to it; a turn is one wait of Trio's for I/O and one look into the poller's set.
"""

from __future__ import annotations

import socket as stdlib_socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import pytest
import trio

from bifrost_trio._wire import RequestReader, ResponseReader
from bifrost_trio.app import open_gateway
from bifrost_trio.server import Server
from bifrost_trio.sockets import Poller, PollingClock, Socket
from bifrost_trio.testing import config_for_tests
from bifrost_trio.upstream import Dial

BODY = b'{"model":"openai/m","messages":[{"role":"user","content":"' + b"Hello " * 160 + b'"}]}'
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    % len(BODY)
) + BODY
ANSWER = (
    b'{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}'
)
ANSWERED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER

OF_A_CALL = "a client's connection"
"""The name of the task in which a connection's calls are served."""


class Counted(stdlib_socket.socket):
    """A socket whose reads and writes are counted."""

    counts: ClassVar[Counter[str]] = Counter()

    def recv(self, *arguments: Any) -> bytes:
        self.counts["reads"] += 1
        return super().recv(*arguments)

    def send(self, *arguments: Any) -> int:
        self.counts["writes"] += 1
        return super().send(*arguments)


class Turns(trio.abc.Instrument):
    """Counts turns, and the steps of tasks by their names."""

    def __init__(self) -> None:
        self.turns = 0
        self.steps: Counter[str] = Counter()

    def before_io_wait(self, timeout: float) -> None:
        self.turns += 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps[task.name] += 1


@contextmanager
def counting() -> Iterator[Turns]:
    Counted.counts.clear()
    turns = Turns()
    trio.lowlevel.add_instrument(turns)
    try:
        yield turns
    finally:
        trio.lowlevel.remove_instrument(turns)


Serve = Callable[[stdlib_socket.socket], None]


@asynccontextmanager
async def counted_gateway(provide: Serve) -> AsyncIterator[Callable[[], stdlib_socket.socket]]:
    """A gateway whose sockets are `Counted`; ``provide`` is given the provider's end of each connection, the block a
    function that connects a client."""

    def pair() -> tuple[Counted, stdlib_socket.socket]:
        ours, theirs = stdlib_socket.socketpair()
        return Counted(ours.family, ours.type, ours.proto, ours.detach()), theirs

    def dial(poller: Poller) -> Dial:
        async def connect(host: str, port: int, limit: float) -> Socket:
            ours, theirs = pair()
            provide(theirs)
            return Socket(ours, poller)

        return connect

    async with open_gateway(config_for_tests(), dial=dial) as gateway, trio.open_nursery() as connections:
        server = Server(gateway, gateway.poller)

        def client() -> stdlib_socket.socket:
            ours, theirs = pair()
            server.accept(ours, connections)
            return theirs

        yield client
        connections.cancel_scope.cancel()


async def provide_in_turn(own: stdlib_socket.socket) -> None:
    with trio.socket.from_stdlib_socket(own) as sock:
        while data := await sock.recv(65536):
            assert data.endswith(BODY[-20:])
            await sock.send(ANSWERED)


async def ask_in_turn(own: stdlib_socket.socket, times: int, begun: Callable[[], Awaitable[None]]) -> None:
    sock = trio.socket.from_stdlib_socket(own)
    for number in range(times):
        if number == 1:
            await begun()
        await sock.send(REQUEST)
        assert (await sock.recv(65536)).endswith(b"}")


async def test_of_many_calls_at_once(autojump_clock: object) -> None:
    """64 clients, warm: for each call two steps of its own task, two reads, two writes, and no other task's step."""
    clients, times = 64, 11
    warm = 0
    all_warm = trio.Event()

    async def begun() -> None:
        nonlocal warm
        warm += 1
        if warm == clients:
            turns.steps.clear()
            Counted.counts.clear()
            all_warm.set()
        await all_warm.wait()

    async with trio.open_nursery() as nursery:
        with counting() as turns:
            async with counted_gateway(lambda own: nursery.start_soon(provide_in_turn, own)) as connect:
                own = [connect() for _ in range(clients)]
                async with trio.open_nursery() as asking:
                    for sock in own:
                        asking.start_soon(ask_in_turn, sock, times, begun)
                calls = clients * (times - 1)
                steps, counts = Counter(turns.steps), Counter(Counted.counts)
                for sock in own:
                    sock.close()
        nursery.cancel_scope.cancel()
    assert steps[OF_A_CALL] <= 2 * calls
    assert counts == {"reads": 2 * calls, "writes": 2 * calls}
    # What keeps the poller's set among those that Trio waits for has a step a turn, not one a call.
    ours = sum(count for name, count in steps.items() if name.startswith("bifrost_trio."))
    assert ours <= calls / 8


def provide_apart(own: stdlib_socket.socket) -> None:
    own.setblocking(True)
    with own:
        reader = RequestReader()
        while data := own.recv(65536):
            if reader.feed(data) is not None:
                own.sendall(ANSWERED)


def ask_apart(own: stdlib_socket.socket, times: int) -> None:
    own.setblocking(True)
    for _ in range(times):
        own.sendall(REQUEST)
        reader = ResponseReader()
        reader.expect()
        response = reader.feed(own.recv(65536))
        assert response is not None
        assert response.complete


@pytest.fixture(params=["as served", "under another clock"])
def clock(request: pytest.FixtureRequest) -> trio.abc.Clock | None:
    """``serve`` brings the clock in whose place the poller waits; another ASGI server does not."""
    return PollingClock() if request.param == "as served" else None


async def test_of_one_call_at_a_time(clock: trio.abc.Clock | None) -> None:
    """Client and provider in threads of their own, so that every turn is the gateway's."""
    most_steps, most_calls = (4, 12) if clock is None else (2, 8)
    times = 50
    before: tuple[int, int, Counter[str]] = 0, 0, Counter()

    def ask(own: stdlib_socket.socket) -> None:
        nonlocal before
        ask_apart(own, 10)
        before = turns.turns, sum(turns.steps.values()), Counter(Counted.counts)
        ask_apart(own, times)

    async with trio.open_nursery() as nursery:
        with counting() as turns:
            async with counted_gateway(
                lambda own: nursery.start_soon(trio.to_thread.run_sync, provide_apart, own)
            ) as connect:
                own = connect()
                await trio.to_thread.run_sync(ask, own)
                waits = turns.turns - before[0]
                steps = sum(turns.steps.values()) - before[1]
                counts = Counted.counts - before[2]
                own.close()
    # A few more are those of the thread's end.
    assert steps <= most_steps * times + 10
    assert counts == {"reads": 2 * times, "writes": 2 * times}
    # A turn is two system calls, Trio's wait and the look into the set; where Trio waits for the set as well, a third
    # one keeps it there.
    of_a_turn = 3 if clock is None else 2
    assert of_a_turn * waits + sum(counts.values()) <= most_calls * times + 30


HEAVY = ("alembic", "httpx", "mcp", "sqlalchemy", "starlette")


@pytest.mark.parametrize("of", ["bifrost_trio.serving", "bifrost_trio.app", "bifrost_trio.cli.serve"])
def test_what_is_not_used_is_not_imported(of: str) -> None:
    program = f"import sys, {of}; print(*sorted({{name.partition('.')[0] for name in sys.modules}} & {set(HEAVY)!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
