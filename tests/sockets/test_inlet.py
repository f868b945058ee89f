"""Reading what has come, and when it came."""

from __future__ import annotations

import errno
import os
import socket as stdlib_socket
import sys
import time

import pytest
import trio

from bifrost_trio.sockets import Poller, PollingClock, Socket
from bifrost_trio.sockets.inlet import READ_SIZE, Inlet, note_arrivals, open_inlet
from tests.sockets.pairs import PATIENCE, over_tcp

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when bytes came")


def ends(
    connected: tuple[stdlib_socket.socket, stdlib_socket.socket], *, timed: bool = True
) -> tuple[Inlet, stdlib_socket.socket, stdlib_socket.socket]:
    ours, theirs = connected
    ours.setblocking(False)
    note_arrivals(ours)
    return open_inlet(ours, timed=timed), ours, theirs


@pytest.mark.parametrize("timed", [True, False])
def test_what_has_come_is_read_and_nothing_else(timed: bool) -> None:
    inlet, ours, theirs = ends(over_tcp(), timed=timed)
    with ours, theirs:
        assert inlet.receive() is None
        theirs.send(b"hello")
        assert inlet.receive() == b"hello"
        assert inlet.receive() is None
        theirs.sendall(bytes(READ_SIZE + 17))
        sizes = []
        while sum(sizes) < READ_SIZE + 17:
            sizes.append(len(inlet.receive() or b""))
        assert max(sizes) <= READ_SIZE
        theirs.shutdown(stdlib_socket.SHUT_WR)
        assert inlet.receive() == b""


@pytest.mark.parametrize("timed", [True, False])
def test_a_reset_is_an_error_of_its_kind(timed: bool) -> None:
    inlet, ours, theirs = ends(over_tcp(), timed=timed)
    with ours:
        theirs.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        theirs.close()
        with pytest.raises(ConnectionResetError) as caught:
            inlet.receive()
    assert (caught.value.errno, caught.value.strerror) == (errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def test_it_is_told_when_bytes_came_however_late_they_are_read() -> None:
    inlet, ours, theirs = ends(over_tcp())
    with ours, theirs:
        before = time.perf_counter()
        theirs.send(b"hello")
        after = time.perf_counter()
        while time.perf_counter() < after + 0.005:
            """They wait to be read."""
        assert inlet.receive() == b"hello"
        assert before <= inlet.came_at <= after


def test_a_connection_that_is_accepted_inherits_it() -> None:
    with stdlib_socket.create_server(("127.0.0.1", 0)) as listener:
        note_arrivals(listener)
        with stdlib_socket.socket() as theirs:
            theirs.connect(listener.getsockname())
            before = time.perf_counter()
            theirs.send(b"before it was accepted")
            after = time.perf_counter()
            ours, _ = listener.accept()
            with ours:
                ours.setblocking(False)
                inlet = open_inlet(ours, timed=True)
                assert inlet.receive() == b"before it was accepted"
                assert before <= inlet.came_at <= after


@pytest.mark.parametrize(("connected", "timed"), [(stdlib_socket.socketpair, True), (over_tcp, False)])
def test_where_nobody_knows_nothing_is_told(connected: object, timed: bool) -> None:
    assert callable(connected)
    inlet, ours, theirs = ends(connected(), timed=timed)
    with ours, theirs:
        theirs.send(b"hello")
        assert inlet.receive() == b"hello"
        assert inlet.came_at == 0.0


def test_who_was_closed_does_not_read_what_another_is_sent() -> None:
    """The kernel gives the smallest number that is free: the next connection has that of the one before."""

    async def run() -> None:
        poller = Poller()
        async with trio.open_nursery() as nursery:
            await nursery.start(poller.run)
            ours, theirs = over_tcp()
            number = ours.fileno()
            socket = Socket(ours, poller, ready=True)
            socket.close()
            next_ones = [over_tcp()]
            while number not in (fds := {end.fileno() for pair in next_ones for end in pair}) and len(fds) < 20:
                next_ones.append(over_tcp())
            assert number in fds
            for one, other in next_ones:
                one.send(b"for another")
                other.send(b"for another")
            with pytest.raises(OSError, match="closed"):
                await socket.receive(PATIENCE)
            socket.ready = True
            with pytest.raises(OSError, match="closed"):
                socket.receive_now()
            for end in (theirs, *(end for pair in next_ones for end in pair)):
                end.close()
            nursery.cancel_scope.cancel()

    trio.run(run, clock=PollingClock())


def test_waiting_ends_when_bytes_come_and_not_when_they_are_read() -> None:
    """Another task has the loop meanwhile: that is no wait for the peer."""

    async def run() -> tuple[float, float, float]:
        poller = Poller()
        async with trio.open_nursery() as nursery:
            await nursery.start(poller.run)
            ours, theirs = over_tcp()
            note_arrivals(ours)
            socket = Socket(ours, poller)
            with theirs:
                nursery.start_soon(busy, theirs)
                began = time.perf_counter()
                assert await socket.receive(PATIENCE) == b"hello"
                ended = time.perf_counter()
                socket.close()
            nursery.cancel_scope.cancel()
        return socket.waited, socket.came_at - began, ended - began

    async def busy(theirs: stdlib_socket.socket) -> None:
        theirs.send(b"hello")
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            """The loop is not to be had."""

    waited, came, took = trio.run(run, clock=PollingClock())
    assert took > 0.02
    assert came < took - 0.015
    assert 0.0 < waited <= came
