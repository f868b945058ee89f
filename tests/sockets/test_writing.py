"""When what is written goes out: at once, or at the end of a turn in which many write; what becomes of it otherwise."""

from __future__ import annotations

import contextlib
import socket as stdlib_socket
import struct

import pytest
import trio
import trio.testing

from bifrost_trio.sockets import Poller, Socket
from bifrost_trio.sockets.poller import CROWD
from bifrost_trio.sockets.stream import SENT_LATER
from tests.sockets.pairs import over_tcp, pair

FOREVER = 3600.0
MUCH = 8 * 1024 * 1024


def came(peer: stdlib_socket.socket) -> bytes:
    """What the kernel has for the peer just now."""
    try:
        return peer.recv(1 << 24)
    except BlockingIOError:
        return b""


async def test_with_few_at_once_bytes_go_out_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _):
        await socket.send(b"hello", FOREVER)
        assert came(peer) == b"hello"


async def test_in_a_crowd_they_go_out_at_the_end_of_the_turn(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, poller):
        poller.crowded = True
        await socket.send(b"one, ", FOREVER)
        await socket.send(b"two, ", FOREVER)
        assert socket.offer(b"three")
        assert came(peer) == b""
        await trio.lowlevel.checkpoint()
        assert came(peer) == b"one, two, three"


@pytest.mark.parametrize("number", [CROWD - 1, CROWD])
async def test_what_a_crowd_is(number: int, autojump_clock: trio.testing.MockClock) -> None:
    """All become readable in one turn; each answers; who reads last sees whether the first answer has gone out."""
    poller = Poller()
    seen: list[bytes] = []
    ends = [stdlib_socket.socketpair() for _ in range(number)]
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        sockets = [Socket(ours, poller) for ours, _ in ends]

        async def serve(socket: Socket) -> None:
            await socket.receive(FOREVER)
            await socket.send(b"answer", FOREVER)
            seen.append(b"".join(came(theirs) for _, theirs in ends))

        async with trio.open_nursery() as serving:
            for socket in sockets:
                serving.start_soon(serve, socket)
            await trio.testing.wait_all_tasks_blocked()
            for _, theirs in ends:
                theirs.setblocking(False)
                theirs.send(b"question")
        assert bool(b"".join(seen)) is (number < CROWD)
        await trio.lowlevel.checkpoint()
        seen.append(b"".join(came(theirs) for _, theirs in ends))
        assert b"".join(seen) == b"answer" * number
        for socket in sockets:
            socket.close()
        nursery.cancel_scope.cancel()
    for _, theirs in ends:
        theirs.close()


async def test_much_goes_out_at_once_and_behind_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, poller):
        poller.crowded = True
        await socket.send(b"first", FOREVER)
        assert socket.begin_send(bytes(SENT_LATER)) is None
        assert came(peer) == b"first" + bytes(SENT_LATER)


async def test_what_is_sent_now_goes_behind_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, poller):
        poller.crowded = True
        await socket.send(b"first, ", FOREVER)
        assert socket.send_now(b"second") == 6
        assert came(peer) == b"first, second"


async def test_closing_and_ending_send_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, poller):
        poller.crowded = True
        await socket.send(b"almost, ", FOREVER)
        socket.end()
        assert came(peer) == b"almost, "
    async with pair() as (socket, peer, poller):
        poller.crowded = True
        await socket.send(b"goodbye", FOREVER)
        socket.close()
        assert came(peer) == b"goodbye"
        assert peer.recv(1) == b""


async def test_a_reset_throws_away_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    async with pair(over_tcp) as (socket, peer, poller):
        poller.crowded = True
        await socket.send(b"half an answer", FOREVER)
        socket.reset()
        with pytest.raises(ConnectionResetError):
            peer.recv(1)


async def test_the_end_of_the_run_sends_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    poller = Poller()
    ours, peer = stdlib_socket.socketpair()
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        socket = Socket(ours, poller)
        poller.crowded = True
        await socket.send(b"last, ", FOREVER)
        nursery.cancel_scope.cancel()
    await socket.send(b"and after it", FOREVER)
    assert came(peer) == b"last, and after it"
    socket.close()
    peer.close()


def reset(peer: stdlib_socket.socket) -> None:
    peer.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@pytest.mark.parametrize("reading", [False, True])
async def test_a_peer_that_is_gone_has_hung_up(reading: bool, autojump_clock: trio.testing.MockClock) -> None:
    async with pair(over_tcp) as (socket, peer, poller), trio.open_nursery() as nursery:
        told: list[str] = []

        async def read() -> None:
            with contextlib.suppress(OSError):
                await socket.receive(FOREVER)
            told.append("reader woken")

        if reading:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
        else:
            socket.arm(lambda: told.append("hung up"))
        # Nothing of it is known here yet when the turn ends.
        poller.crowded = True
        socket.begin_send(b"to nobody")
        reset(peer)
        poller.flush()
        assert socket.hangup
        await trio.testing.wait_all_tasks_blocked()
        assert set(told) == ({"reader woken"} if reading else {"hung up"})


async def test_the_kernel_is_full_and_has_room_again(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, poller):
        peer.setblocking(False)
        sent = 0
        piece = bytes(range(256)) * 64
        while socket.offer(piece):
            sent += len(piece)
            poller.crowded = True
            await trio.lowlevel.checkpoint()
            assert sent < MUCH
        assert socket.full
        received = b""
        while socket.full:
            received += came(peer)
            await trio.testing.wait_all_tasks_blocked()
        assert socket.offer(b"more")
        await trio.lowlevel.checkpoint()
        received += came(peer)
        assert received == piece * (sent // len(piece)) + b"more"


async def test_draining_waits_for_the_kernel(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:
        while socket.offer(bytes(SENT_LATER)):
            pass
        began = trio.current_time()
        with pytest.raises(trio.TooSlowError):
            await socket.drain(30)
        assert trio.current_time() - began == pytest.approx(30, abs=0.1)
        assert socket.offer(b"the end") is False
        nursery.start_soon(socket.send, b"the end", FOREVER)
        received = b""
        while not received.endswith(b"the end"):
            received += came(peer)
            await trio.testing.wait_all_tasks_blocked()
        await socket.drain(0)


async def test_writing_to_a_closed_socket_is_an_error(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, _, poller):
        socket.close()
        for crowded in (False, True):
            poller.crowded = crowded
            with pytest.raises(OSError, match="closed"):
                socket.begin_send(b"x")


async def test_what_goes_wrong_within_a_turn_ends_the_run(autojump_clock: trio.testing.MockClock) -> None:
    """Trio drops an instrument that raises: from then on nobody would be woken, and nobody would know."""

    def fail() -> None:
        raise RuntimeError("a hang-up that nobody expected")

    with pytest.raises(ExceptionGroup) as raised:
        async with pair() as (socket, peer, _):
            socket.arm(fail)
            peer.close()
            await trio.sleep_forever()
    found: BaseException = raised.value
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert str(found) == "a hang-up that nobody expected"
