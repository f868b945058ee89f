"""A rush of calls: not all are woken in one turn, and none of them loses by that."""

from __future__ import annotations

import contextlib
import socket as stdlib_socket

import pytest
import trio

from bifrost_trio.sockets import PollingClock, Socket
from bifrost_trio.sockets.poller import WOKEN_AT_ONCE, WOKEN_BESIDE_STREAMS
from tests.sockets.pairs import PATIENCE, flood, pair


@pytest.fixture
def clock() -> PollingClock:
    return PollingClock()


class Leaping(PollingClock):
    """A machine that stands still for a while is one on which time leaps."""

    def __init__(self) -> None:
        super().__init__()
        self._leapt = 0.0

    def leap(self, seconds: float) -> None:
        self._leapt += seconds

    def current_time(self) -> float:
        return PollingClock.current_time() + self._leapt


@pytest.fixture
def leaping() -> Leaping:
    return Leaping()


async def test_bytes_have_come_no_earlier_than_the_last_look(leaping: Leaping) -> None:
    async with pair() as (socket, peer, _):
        leaping.leap(100.0)
        # A turn in which nothing was found.
        await trio.sleep(0.001)
        peer.send(b"now")
        assert await socket.receive(PATIENCE) == b"now"
        assert trio.current_time() - 1.0 < socket.came_at <= trio.current_time()


async def test_what_came_in_time_is_not_too_late_because_others_go_first(leaping: Leaping) -> None:
    number = 3 * WOKEN_AT_ONCE
    async with pair() as (_, _, poller), trio.open_nursery() as nursery:
        peers, sockets, received = [], [], []

        async def read(socket: Socket) -> None:
            received.append(await socket.receive(1.0))

        for _ in range(number):
            ours, theirs = stdlib_socket.socketpair()
            peers.append(theirs)
            sockets.append(Socket(ours, poller))
            nursery.start_soon(read, sockets[-1])
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        for peer in peers:
            peer.send(b"x")
        leaping.leap(5.0)
    assert received == [b"x"] * number
    for sock in (*peers, *sockets):
        sock.close()


class Steps(trio.abc.Instrument):
    """How many of the tasks with one name had a step, turn by turn."""

    def __init__(self, name: str) -> None:
        self.of_turns = [0]
        self._name = name

    def before_io_wait(self, timeout: float) -> None:
        self.of_turns.append(0)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.of_turns[-1] += task.name == self._name


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("in_place", [True, False])
async def test_a_rush_does_not_hold_up_what_flows(stream: bool, in_place: bool, clock: PollingClock) -> None:
    """Beside a stream few are woken in one turn; where Trio would sleep over the rest, all. Each gets its own."""
    number = 2 * WOKEN_AT_ONCE + 5
    if not in_place:
        # Somebody else waits in Trio's place.
        clock.wait = lambda timeout: timeout
    async with pair() as (flowing, source, poller), trio.open_nursery() as nursery:
        peers, received = [], []
        done = trio.Event()

        async def read(socket: Socket) -> None:
            received.append(await socket.receive(PATIENCE))
            socket.close()
            if len(received) == number:
                done.set()

        for _ in range(number):
            ours, theirs = stdlib_socket.socketpair()
            peers.append(theirs)
            nursery.start_soon(read, Socket(ours, poller), name="reader")
        if stream:
            nursery.start_soon(flood, flowing, source, lambda: len(received) == number)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        steps = Steps("reader")
        trio.lowlevel.add_instrument(steps)
        for count, peer in enumerate(peers):
            peer.send(b"%d" % count)
        with trio.fail_after(PATIENCE):
            await done.wait()
        trio.lowlevel.remove_instrument(steps)
        for peer in peers:
            peer.close()
    assert sorted(map(int, received)) == list(range(number))
    most = max(steps.of_turns)
    if in_place:
        assert most <= (WOKEN_BESIDE_STREAMS if stream else WOKEN_AT_ONCE)
    else:
        assert most > WOKEN_AT_ONCE
        clock.wait = None


async def test_one_that_is_closed_before_its_turn_is_passed_over(clock: PollingClock) -> None:
    number = WOKEN_AT_ONCE + 10
    async with pair() as (_, _, poller), trio.open_nursery() as nursery:
        sockets, peers, received = [], [], 0

        async def read(socket: Socket) -> None:
            nonlocal received
            with contextlib.suppress(trio.ClosedResourceError, OSError):
                await socket.receive(PATIENCE)
                received += 1
                # Whoever comes first closes all.
                for other in sockets:
                    other.close()

        for _ in range(number):
            ours, theirs = stdlib_socket.socketpair()
            sockets.append(Socket(ours, poller))
            peers.append(theirs)
            nursery.start_soon(read, sockets[-1])
        await trio.lowlevel.checkpoint()
        for peer in peers:
            peer.send(b"x")
    for peer in peers:
        peer.close()
    # Those who had been woken found theirs closed.
    assert received == 1
