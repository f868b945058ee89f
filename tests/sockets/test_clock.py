"""The poller in Trio's place: what it hands on wakes nobody, and Trio misses nothing."""

from __future__ import annotations

import os
import select
import signal
import socket as stdlib_socket
import struct
import time
from collections import Counter

import pytest
import trio

from bifrost_trio.sockets import Poller, PollingClock, Socket, accept_from, listen
from bifrost_trio.sockets.clock import find_trios_set
from tests.sockets.pairs import PATIENCE, flood, over_tcp, pair

FOREVER = 3600.0


@pytest.fixture
def clock() -> PollingClock:
    return PollingClock()


class Turns(trio.abc.Instrument):
    def __init__(self) -> None:
        self.turns = 0
        self.steps: Counter[str] = Counter()

    def before_io_wait(self, timeout: float) -> None:
        self.turns += 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps[task.name] += 1


async def test_the_set_on_which_trio_waits_is_found() -> None:
    found = await find_trios_set()
    assert found is not None
    assert os.readlink(f"/proc/self/fd/{found}") == "anon_inode:[eventpoll]"
    # It is the one in which something stands for which a task waits.
    ours, theirs = stdlib_socket.socketpair()
    with ours, theirs, select.epoll() as outer:
        outer.register(found, select.EPOLLIN)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.wait_readable, ours)
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            assert outer.poll(0) == []
            theirs.send(b"x")
            assert outer.poll(0) == [(found, select.EPOLLIN)]
        trio.lowlevel.notify_closing(ours)


async def test_a_clock_without_a_poller_is_one_like_any_other(clock: PollingClock) -> None:
    began = trio.current_time()
    await trio.sleep(0.01)
    assert trio.current_time() >= began + 0.01
    with trio.move_on_after(0.01) as scope:
        await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_bytes_wake_their_reader_by_one_step(clock: PollingClock) -> None:
    async with pair() as (socket, peer, poller), trio.open_nursery() as nursery:
        assert clock.wait == poller.wait
        received: list[bytes] = []

        async def read() -> None:
            for _ in range(3):
                received.append(await socket.receive(PATIENCE))
                peer.send(b"again")

            done.set()

        done = trio.Event()
        nursery.start_soon(read, name="reader")
        turns = Turns()
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        trio.lowlevel.add_instrument(turns)
        peer.send(b"once")
        await done.wait()
        trio.lowlevel.remove_instrument(turns)
    assert received == [b"once", b"again", b"again"]
    # One for each: no other step stands between the bytes and their reader.
    assert turns.steps["reader"] <= 3


async def test_what_is_only_handed_on_costs_no_turn(clock: PollingClock) -> None:
    """A thousand pieces, each of which came while Trio slept: the peer sends the next one when it was answered."""
    pieces = 1000
    async with pair(over_tcp) as (socket, peer, _), trio.open_nursery() as nursery:
        peer.setblocking(True)
        taken: list[bytes] = []

        def send() -> None:
            for _ in range(pieces):
                peer.sendall(b"piece")
                assert peer.recv(10) == b"taken"
            peer.sendall(b"end")

        def take(data: bytes) -> bool:
            taken.append(data)
            socket.begin_send(b"taken")
            return data != b"end"

        nursery.start_soon(trio.to_thread.run_sync, send)
        turns = Turns()
        trio.lowlevel.add_instrument(turns)
        await socket.pull(take, PATIENCE)
        trio.lowlevel.remove_instrument(turns)
    assert taken == [b"piece"] * pieces + [b"end"]
    assert turns.turns < 20
    assert turns.steps.total() < 20


async def test_trio_is_not_forgotten_behind_a_stream_without_a_pause(clock: PollingClock) -> None:
    """Deadlines, other sockets, threads and signals, while there is always something to hand on."""
    done: list[str] = []

    async def sleep() -> None:
        await trio.sleep(0.01)
        done.append("deadline")

    async def wait(ours: stdlib_socket.socket) -> None:
        await trio.lowlevel.wait_readable(ours)
        done.append("socket")

    async def thread() -> None:
        await trio.to_thread.run_sync(lambda: None)
        done.append("thread")

    async def receive_signal(task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGUSR2) as signals:
            task_status.started()
            async for _ in signals:
                done.append("signal")
                return

    ours, theirs = stdlib_socket.socketpair()
    with trio.fail_after(PATIENCE), ours, theirs:
        async with pair() as (socket, peer, _), trio.open_nursery() as nursery:
            for task in (sleep, thread):
                nursery.start_soon(task)
            nursery.start_soon(wait, ours)
            await nursery.start(receive_signal)
            theirs.send(b"x")
            os.kill(os.getpid(), signal.SIGUSR2)
            await flood(socket, peer, lambda: len(done) == 4)
        trio.lowlevel.notify_closing(ours)
    assert sorted(done) == ["deadline", "signal", "socket", "thread"]


async def test_a_limit_holds_while_others_are_handed_on(clock: PollingClock) -> None:
    async with pair() as (socket, peer, poller), trio.open_nursery() as nursery:
        ours, silent = stdlib_socket.socketpair()
        with silent:
            quiet = Socket(ours, poller)
            over = False

            async def wait() -> None:
                nonlocal over
                with pytest.raises(trio.TooSlowError):
                    await quiet.receive(0.05)
                over = True

            nursery.start_soon(wait)
            await flood(socket, peer, lambda: over)
            quiet.close()


@pytest.mark.parametrize("in_place", [True, False])
async def test_a_limit_is_not_used_up_by_what_came_in_time(in_place: bool, clock: PollingClock) -> None:
    """Pieces that come within the limit, each of them after the half of it."""
    if not in_place:
        clock.wait = lambda timeout: timeout
    async with pair() as (socket, peer, _), trio.open_nursery() as nursery:

        def send() -> None:
            # In a thread, so that Trio has nothing to wake for in between.
            for _ in range(3):
                time.sleep(0.3)  # noqa: TID251 - in a thread of its own it stops nobody
                peer.send(b"piece")
            peer.close()

        nursery.start_soon(trio.to_thread.run_sync, send)
        began = trio.current_time()
        await socket.pull(bool, 0.38)
        assert socket.waited == pytest.approx(trio.current_time() - began, abs=0.05)
    clock.wait = None


async def test_what_a_crowd_wrote_goes_out_before_the_wait(clock: PollingClock) -> None:
    async with pair() as (socket, peer, poller):
        poller.crowded = True
        await socket.send(b"written", FOREVER)
        peer.setblocking(True)
        assert await trio.to_thread.run_sync(peer.recv, 100) == b"written"


async def test_a_write_to_one_who_is_gone_wakes_the_reader(clock: PollingClock) -> None:
    async with pair(over_tcp) as (socket, peer, poller), trio.open_nursery() as nursery:
        over = trio.Event()
        ended: list[str] = []

        async def read() -> None:
            try:
                await socket.receive(FOREVER)
            except OSError:
                ended.append("broken")
            else:
                ended.append("ended")
            over.set()

        nursery.start_soon(read)
        await trio.lowlevel.checkpoint()
        poller.crowded = True
        socket.begin_send(b"to nobody")
        peer.close()
        with trio.fail_after(PATIENCE):
            await over.wait()
    assert len(ended) == 1


def connect_to(listener: stdlib_socket.socket) -> None:
    with stdlib_socket.socket() as client:
        client.connect(listener.getsockname())


async def test_connections_are_taken(clock: PollingClock) -> None:
    poller = Poller()
    (listener,) = listen("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        came = trio.Event()

        def handle(connection: stdlib_socket.socket) -> None:
            connection.close()
            came.set()

        nursery.start_soon(accept_from, listener, handle, None, poller)
        with trio.fail_after(PATIENCE):
            await trio.to_thread.run_sync(connect_to, listener)
            await came.wait()
        nursery.cancel_scope.cancel()
    listener.close()


async def test_a_second_poller_waits_in_the_usual_way(clock: PollingClock) -> None:
    async with pair() as (_, _, first), pair() as (socket, peer, second), trio.open_nursery() as nursery:
        assert clock.wait == first.wait != second.wait
        nursery.start_soon(trio.to_thread.run_sync, peer.send, b"to the second")
        assert await socket.receive(PATIENCE) == b"to the second"
    assert clock.wait is None
    await trio.sleep(0.001)


@pytest.mark.parametrize("where", ["hang-up", "accepting", "sending"])
@pytest.mark.parametrize("in_place", [True, False])
async def test_what_goes_wrong_while_waiting_ends_the_run(where: str, in_place: bool, clock: PollingClock) -> None:
    if not in_place:
        clock.wait = lambda timeout: timeout
    poller = Poller()
    ours, theirs = over_tcp()
    (listener,) = listen("127.0.0.1", 0)

    def fail(*taken: stdlib_socket.socket) -> None:
        for sock in taken:
            sock.close()
        raise RuntimeError("a defect")

    async def provoke() -> None:
        await nursery.start(poller.run)
        if where == "hang-up":
            Socket(ours, poller).arm(fail)
            theirs.close()
        elif where == "sending":
            socket = Socket(ours, poller)
            socket.arm(fail)
            poller.crowded = True
            socket.begin_send(b"to one who is gone")
            theirs.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, struct.pack("ii", 1, 0))
            theirs.close()
        else:
            nursery.start_soon(accept_from, listener, fail, None, poller)
            await trio.to_thread.run_sync(connect_to, listener)
        await trio.sleep(PATIENCE)

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a defect"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(provoke)
    for sock in (ours, theirs, listener):
        sock.close()
    # The run itself goes on, with a clock like any other.
    if in_place:
        assert clock.wait is None
    clock.wait = None
    await trio.sleep(0.001)
