"""`Socket.pull`: bytes that are only passed on wake no task."""

from __future__ import annotations

import socket as stdlib_socket
from collections.abc import Callable

import pytest
import trio
import trio.testing

from bifrost_trio.sockets import Socket
from bifrost_trio.sockets.stream import READ_SIZE, READS_WITHOUT_WAIT
from tests.sockets.pairs import over_tcp, pair

FOREVER = 3600.0


class Taken:
    """What was given to `take`, which wants so many pieces."""

    def __init__(self, wanted: int = 1_000_000) -> None:
        self.pieces: list[bytes] = []
        self.wanted = wanted

    def __call__(self, data: bytes) -> bool:
        self.pieces.append(data)
        return bool(data) and len(self.pieces) < self.wanted


class Steps(trio.abc.Instrument):
    """Counts the steps of one task, from when it is known on."""

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task | None = None
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is self.task


async def test_pieces_are_taken_without_a_step_of_the_task(autojump_clock: trio.testing.MockClock) -> None:
    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    taken = Taken(wanted=10)
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:

        async def pull() -> None:
            steps.task = trio.lowlevel.current_task()
            await socket.pull(taken, FOREVER)

        nursery.start_soon(pull)
        await trio.testing.wait_all_tasks_blocked()
        assert steps.count == 0
        for number in range(10):
            peer.send(b"%d" % number)
            await trio.testing.wait_all_tasks_blocked()
            assert taken.pieces[number] == b"%d" % number
    trio.lowlevel.remove_instrument(steps)
    # The tenth piece was all that was wanted.
    assert steps.count == 1
    assert socket.waited == 0


async def test_what_had_come_before_is_taken_too(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _):
        peer.send(b"early")
        await trio.testing.wait_all_tasks_blocked()
        taken = Taken(wanted=1)
        await socket.pull(taken, FOREVER)
        assert taken.pieces == [b"early"]
        peer.send(b"late")
        assert await socket.receive(FOREVER) == b"late"


@pytest.mark.parametrize("waiting", [False, True])
@pytest.mark.parametrize("size", [READ_SIZE, READ_SIZE * 3 + 17, READ_SIZE * (READS_WITHOUT_WAIT * 2 + 1)])
async def test_all_that_is_there_is_taken(size: int, waiting: bool, autojump_clock: trio.testing.MockClock) -> None:
    sent = bytes(range(256)) * (size // 256 + 1)
    taken = bytearray()

    def take(data: bytes) -> bool:
        taken.extend(data)
        return len(taken) < len(sent)

    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:

        async def send() -> None:
            rest = memoryview(sent)
            while rest:
                try:
                    rest = rest[peer.send(rest) :]
                except BlockingIOError:
                    await trio.testing.wait_all_tasks_blocked()

        if waiting:
            nursery.start_soon(socket.pull, take, FOREVER)
            await trio.testing.wait_all_tasks_blocked()
            await send()
        else:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await socket.pull(take, FOREVER)
    assert taken == sent


@pytest.mark.parametrize("waiting", [False, True])
async def test_what_is_not_wanted_is_left(waiting: bool, autojump_clock: trio.testing.MockClock) -> None:
    """A read that filled the buffer is followed by another (rule 3), by whomever: no event will tell again."""
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:
        taken = Taken(wanted=1)
        if waiting:
            nursery.start_soon(socket.pull, taken, FOREVER)
            await trio.testing.wait_all_tasks_blocked()
        assert peer.send(bytes(READ_SIZE + 17)) == READ_SIZE + 17
        if not waiting:
            await socket.pull(taken, FOREVER)
        await trio.testing.wait_all_tasks_blocked()
        assert [len(piece) for piece in taken.pieces] == [READ_SIZE]
        assert await socket.receive(FOREVER) == bytes(17)


@pytest.mark.parametrize("ends", [lambda peer: peer.close(), lambda peer: peer.shutdown(stdlib_socket.SHUT_WR)])
async def test_the_end_is_taken(
    ends: Callable[[stdlib_socket.socket], None], autojump_clock: trio.testing.MockClock
) -> None:
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:
        taken = Taken()
        nursery.start_soon(socket.pull, taken, FOREVER)
        await trio.testing.wait_all_tasks_blocked()
        peer.send(b"last words")
        ends(peer)
        with trio.fail_after(1):
            await trio.testing.wait_all_tasks_blocked()
        assert taken.pieces == [b"last words", b""]


async def test_a_reset_is_raised(autojump_clock: trio.testing.MockClock) -> None:
    async with pair(over_tcp) as (socket, peer, _), trio.open_nursery() as nursery:

        async def pull() -> None:
            with pytest.raises(ConnectionResetError):
                await socket.pull(Taken(), FOREVER)

        nursery.start_soon(pull)
        await trio.testing.wait_all_tasks_blocked()
        peer.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()


@pytest.mark.parametrize("waiting", [False, True])
async def test_what_taking_raises_is_raised_to_the_puller(
    waiting: bool, autojump_clock: trio.testing.MockClock
) -> None:
    def take(data: bytes) -> bool:
        raise ValueError(data.decode())

    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:

        async def pull() -> None:
            with pytest.raises(ValueError, match="not this"):
                await socket.pull(take, FOREVER)

        if not waiting:
            peer.send(b"not this")
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(pull)
        await trio.testing.wait_all_tasks_blocked()
        if waiting:
            peer.send(b"not this")
        await trio.testing.wait_all_tasks_blocked()
        peer.send(b"but that")
        assert await socket.receive(FOREVER) == b"but that"


async def test_the_limit_is_from_piece_to_piece(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:
        taken = Taken()

        async def send() -> None:
            for _ in range(5):
                await trio.sleep(0.9)
                peer.send(b"x")

        nursery.start_soon(send)
        with pytest.raises(trio.TooSlowError):
            await socket.pull(taken, 1.0)
        assert taken.pieces == [b"x"] * 5
        assert trio.current_time() == pytest.approx(5 * 0.9 + 1.0, abs=0.1)
        assert socket.waited == pytest.approx(5 * 0.9 + 1.0, abs=0.1)


async def test_a_cancelled_pull_takes_nothing_more(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _):
        taken = Taken()
        with trio.move_on_after(1):
            await socket.pull(taken, FOREVER)
        peer.send(b"for somebody else")
        assert await socket.receive(FOREVER) == b"for somebody else"
        assert taken.pieces == []


async def test_taking_may_end_the_wait_itself(autojump_clock: trio.testing.MockClock) -> None:
    """A write to a client that has gone cancels the call whose bytes are being taken: nobody is woken twice."""
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:
        ended: list[str] = []
        scope = trio.CancelScope()

        def take(data: bytes) -> bool:
            scope.cancel()
            return data == b"go on"

        async def pull(socket: Socket) -> None:
            with scope:
                await socket.pull(take, FOREVER)
            ended.append("cancelled" if scope.cancelled_caught else "over")

        for said in (b"go on", b"stop"):
            scope = trio.CancelScope()
            nursery.start_soon(pull, socket)
            await trio.testing.wait_all_tasks_blocked()
            peer.send(said)
            await trio.testing.wait_all_tasks_blocked()
        assert ended == ["cancelled", "cancelled"]


async def test_a_closed_socket_ends_a_pull(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, _, _), trio.open_nursery() as nursery:

        async def pull() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await socket.pull(Taken(), FOREVER)

        nursery.start_soon(pull)
        await trio.testing.wait_all_tasks_blocked()
        socket.close()
