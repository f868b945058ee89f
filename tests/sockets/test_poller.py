"""The rules of the edge-triggered set (top of `bifrost_trio.sockets.poller`), a test for each; deadlines."""

from __future__ import annotations

import os
import socket as stdlib_socket
import struct

import outcome
import pytest
import trio
import trio.testing

from bifrost_trio.sockets import Socket
from bifrost_trio.sockets.stream import READ_SIZE, READS_WITHOUT_WAIT
from tests.sockets.pairs import over_tcp, pair

FOREVER = 3600.0
DAY = 86_400.0


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_read_waits_for_bytes_and_gets_them(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, poller), trio.open_nursery() as nursery:
        received: list[bytes] = []

        async def read() -> None:
            received.append(await socket.receive(FOREVER))

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        assert received == []
        assert poller.statistics().waiting == 1
        peer.send(b"hello")
    assert received == [b"hello"]


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_rule_1_cancel_and_wake_in_one_tick(cancel_first: bool, autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, _, _), trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        ended: list[str] = []

        async def read() -> None:
            with scope:
                try:
                    await socket.receive(FOREVER)
                except OSError:
                    ended.append("woken")
                await trio.lowlevel.checkpoint()
                ended.append("not cancelled")
            ended.append("left")

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        wake = [scope.cancel, lambda: socket.wake(outcome.Error(OSError("woken")))]
        for act in wake if cancel_first else reversed(wake):
            act()
        # A second wake finds nobody: two reschedules of one task would end the run.
        socket.wake(outcome.Value(None))
    assert ended == (["left"] if cancel_first else ["woken", "left"])
    assert socket.waiter is None


async def test_rule_2_data_and_end_in_one_event(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _):
        peer.send(b"last words")
        peer.close()
        assert await socket.receive(FOREVER) == b"last words"
        assert await socket.receive(FOREVER) == b""
        assert await socket.receive(FOREVER) == b""
        assert socket.hangup


async def test_rule_2_data_and_reset(autojump_clock: trio.testing.MockClock) -> None:
    async with pair(over_tcp) as (socket, peer, _):
        peer.send(b"last words")
        peer.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        with pytest.raises(ConnectionResetError):
            while await socket.receive(FOREVER):
                pass
        assert socket.hangup


async def test_rule_3_a_read_that_filled_the_buffer_is_followed_by_another(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sent = bytes(READ_SIZE + 17)
    async with pair() as (socket, peer, _):
        peer.setblocking(True)
        peer.sendall(sent)
        received = b""
        while len(received) < len(sent):
            received += await socket.receive(FOREVER)
        assert received == sent
        assert not socket.ready


async def test_rule_4_closing_wakes_the_reader(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, _, poller), trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await socket.receive(FOREVER)

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        socket.close()
        socket.close()
        assert poller.statistics().sockets == 0
        assert poller.statistics().buckets == 0
    assert poller.sockets == {}


async def test_rule_5_one_reader(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, _, _), trio.open_nursery() as nursery:
        nursery.start_soon(socket.receive, FOREVER)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await socket.receive(FOREVER)
        nursery.cancel_scope.cancel()


async def test_rule_6_a_socket_closed_within_a_batch_is_skipped(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (first, first_peer, poller):
        ours, second_peer = stdlib_socket.socketpair()
        second = Socket(ours, poller)
        closed: list[str] = []

        def close_both() -> None:
            closed.append("hung up")
            first.close()
            second.close()

        first.arm(close_both)
        second.arm(close_both)
        first_peer.close()
        second_peer.close()
        await trio.testing.wait_all_tasks_blocked()
        assert closed == ["hung up"]
        assert poller.sockets == {}


async def test_rule_7_others_run_between_reads_that_never_wait(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:
        peer.setblocking(True)
        reads = 0
        other_ran_after: list[int] = []

        async def other() -> None:
            other_ran_after.append(reads)

        peer.send(b"x")
        await socket.receive(FOREVER)
        nursery.start_soon(other)
        for _ in range(READS_WITHOUT_WAIT * 4):
            peer.send(b"x")
            socket.ready = True
            await socket.receive(FOREVER)
            reads += 1
        # Trio shuffles the tasks of one turn: the other one runs in this turn or in the next.
        assert len(other_ran_after) == 1
        assert other_ran_after[0] in (READS_WITHOUT_WAIT - 1, READS_WITHOUT_WAIT * 2 - 1)


async def test_rule_8_a_set_belongs_to_its_run(autojump_clock: trio.testing.MockClock) -> None:
    before = descriptors()
    async with pair() as (_, _, poller):
        assert poller.statistics().sockets == 1
        # The set itself, and the two ends of the pair.
        assert descriptors() == before + 3
    assert descriptors() == before


async def test_a_hang_up_is_told_only_while_nobody_reads(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:
        told: list[str] = []
        socket.arm(lambda: told.append("gone"))
        nursery.start_soon(socket.receive, FOREVER)
        await trio.testing.wait_all_tasks_blocked()
        peer.close()
        await trio.testing.wait_all_tasks_blocked()
        assert told == []
        socket.arm(lambda: told.append("gone before"))
        assert told == ["gone before"]


async def test_a_hang_up_is_told_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _):
        told: list[str] = []
        socket.arm(lambda: told.append("gone"))
        peer.shutdown(stdlib_socket.SHUT_WR)
        await trio.testing.wait_all_tasks_blocked()
        assert told == ["gone"]


@pytest.mark.parametrize("limit", [0.2, 1.0, 60.0])
async def test_a_wait_ends_at_its_limit(limit: float, autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, _, _):
        began = trio.current_time()
        with pytest.raises(trio.TooSlowError):
            await socket.receive(limit)
        assert limit <= trio.current_time() - began <= limit + 0.1


async def test_limits_that_differ_from_wait_to_wait(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _):
        for limit in (60.0, 0.5, 5.0, 0.1):
            peer.send(b"x")
            assert await socket.receive(limit) == b"x"
            began = trio.current_time()
            with pytest.raises(trio.TooSlowError):
                await socket.receive(limit)
            assert limit <= trio.current_time() - began <= limit + 0.1


async def test_bytes_in_time_leave_no_deadline_behind(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, poller), trio.open_nursery() as nursery:

        async def send_late() -> None:
            for _ in range(5):
                await trio.sleep(0.9)
                peer.send(b"x")

        nursery.start_soon(send_late)
        for _ in range(5):
            assert await socket.receive(1.0) == b"x"
        await trio.sleep(5)
        assert poller.statistics().buckets == 0


async def test_the_time_waited_is_told(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:

        async def send_late() -> None:
            await trio.sleep(3)
            peer.send(b"x")

        nursery.start_soon(send_late)
        await socket.receive(FOREVER)
        assert socket.waited == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("pulled", [False, True])
async def test_a_wait_that_ends_with_a_reset_is_told_too(pulled: bool, autojump_clock: trio.testing.MockClock) -> None:
    """By it is judged whether a provider may have taken the request."""
    async with pair(over_tcp) as (socket, peer, _), trio.open_nursery() as nursery:

        async def reset_late() -> None:
            await trio.sleep(3)
            peer.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()

        nursery.start_soon(reset_late)
        with pytest.raises(ConnectionResetError):
            await (socket.pull(bool, FOREVER) if pulled else socket.receive(FOREVER))
        assert socket.waited == pytest.approx(3, abs=0.1)


async def test_a_pull_that_was_woken_for_nothing_goes_on_waiting(autojump_clock: trio.testing.MockClock) -> None:
    """What was idle before it does not count as waited for."""
    async with pair(over_tcp) as (socket, peer, _), trio.open_nursery() as nursery:
        peer.send(b"first")
        await socket.receive(FOREVER)
        await trio.sleep(10)
        nursery.start_soon(socket.pull, bool, FOREVER)
        await trio.sleep(1)
        socket.ready = True
        assert socket.pump(trio.current_time())
        await trio.sleep(1)
        peer.close()
    assert socket.waited == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("how", ["cancelled", "timed out", "closed"])
async def test_a_wait_for_nothing_is_told_too(how: str, autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, _, _), trio.open_nursery() as nursery:

        async def read() -> None:
            try:
                await socket.receive(3 if how == "timed out" else FOREVER)
            except (trio.TooSlowError, trio.ClosedResourceError):
                pass

        nursery.start_soon(read)
        await trio.sleep(3 + (how == "timed out"))
        if how == "closed":
            socket.close()
        nursery.cancel_scope.cancel()
    assert socket.waited == pytest.approx(3, abs=0.1)


async def test_a_bucket_does_not_outlive_its_sockets(autojump_clock: trio.testing.MockClock) -> None:
    """A day is what a reader has while a large request goes out: such buckets would pile up until then."""
    async with pair() as (first, first_peer, poller):
        ours, second_peer = stdlib_socket.socketpair()
        second = Socket(ours, poller)
        for socket, peer in ((first, first_peer), (second, second_peer)):
            peer.send(b"x")
            # Not ready until the set has told: so the read waits, and leaves its deadline behind.
            assert await socket.receive(DAY) == b"x"
        assert poller.statistics().buckets == 1
        first.close()
        assert poller.statistics().buckets == 1
        second.close()
        assert poller.statistics().buckets == 0
        second_peer.close()


async def test_a_nearer_deadline_leaves_no_empty_bucket(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, poller):
        for limit in (DAY, DAY / 2, 60, 1):
            peer.send(b"x")
            assert await socket.receive(limit) == b"x"
            assert poller.statistics().buckets == 1
        await trio.sleep(2)
        assert poller.statistics().buckets == 0


async def test_a_full_socket_is_waited_for_and_given_up(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, _peer, _):
        began = trio.current_time()
        with pytest.raises(trio.TooSlowError):
            await socket.send(bytes(10_000_000), 30)
        assert trio.current_time() - began == pytest.approx(30, abs=0.1)


async def test_a_slow_reader_gets_everything(autojump_clock: trio.testing.MockClock) -> None:
    sent = bytes(range(256)) * 8192
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:
        received = bytearray()

        async def read_slowly() -> None:
            while len(received) < len(sent):
                await trio.sleep(0.01)
                received.extend(peer.recv(65536))

        nursery.start_soon(read_slowly)
        await socket.send(sent, 30)
    assert bytes(received) == sent


async def test_a_cancelled_read_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with pair() as (socket, peer, _):
        with trio.move_on_after(1):
            await socket.receive(FOREVER)
        peer.send(b"still here")
        assert await socket.receive(FOREVER) == b"still here"
