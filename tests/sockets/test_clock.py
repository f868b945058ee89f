"""The poller in Trio's place: what it hands on wakes nobody, and Trio misses nothing."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket as stdlib_socket
import struct
from collections.abc import Callable

import pytest
import trio

from bifrost_trio.sockets import Poller, PollingClock, Socket, accept_from, listen
from bifrost_trio.sockets.clock import find_trios_set
from bifrost_trio.sockets.poller import WOKEN_AT_ONCE, WOKEN_BESIDE_STREAMS
from tests.sockets.pairs import over_tcp, pair

FOREVER = 3600.0
PATIENCE = 20.0
"""For what must not take long, on a machine that has something else to do."""


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


class Turns(trio.abc.Instrument):
    def __init__(self) -> None:
        self.turns = 0
        self.steps = 0

    def before_io_wait(self, timeout: float) -> None:
        self.turns += 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1


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

        nursery.start_soon(read)
        turns = Turns()
        await trio.lowlevel.checkpoint()
        trio.lowlevel.add_instrument(turns)
        peer.send(b"once")
        while len(received) < 3:
            await trio.lowlevel.checkpoint()
        trio.lowlevel.remove_instrument(turns)
    assert received == [b"once", b"again", b"again"]


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
    assert turns.steps < 20


async def flood(socket: Socket, peer: stdlib_socket.socket, until: Callable[[], bool]) -> None:
    """Hands on pieces, one after the other, as long as they are asked for."""
    peer.setblocking(True)
    peer.sendall(b"piece")

    def take(data: bytes) -> bool:
        if until():
            return False
        peer.sendall(b"piece")
        return True

    await socket.pull(take, PATIENCE)


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

        async def send() -> None:
            for _ in range(4):
                await trio.sleep(0.15)
                peer.send(b"piece")
            peer.close()

        nursery.start_soon(send)
        began = trio.current_time()
        await socket.pull(bool, 0.25)
        assert socket.waited == pytest.approx(trio.current_time() - began, abs=0.05)
    clock.wait = None


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
