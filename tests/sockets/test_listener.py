"""Accepting: one that comes alone at once, a rush in lots, so that other workers get theirs."""

from __future__ import annotations

import socket as stdlib_socket

import trio
import trio.testing

from bifrost_trio.sockets import accept_from, listen
from bifrost_trio.sockets.listener import ACCEPTS_PER_WAKE, RUSH_SECONDS


def connected(listener: stdlib_socket.socket) -> stdlib_socket.socket:
    client = stdlib_socket.socket()
    client.connect(listener.getsockname())
    return client


class Turns(trio.abc.Instrument):
    """Counts Trio's waits for I/O: between two of them a task has one step."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_a_rush_is_taken_in_lots(autojump_clock: trio.testing.MockClock) -> None:
    """The first alone, so that it is served before the queue is looked at again; then so many a turn at most."""
    (listener,) = listen("127.0.0.1", 0)
    clients = [connected(listener) for _ in range(ACCEPTS_PER_WAKE * 2 + 5)]
    turns = Turns()
    trio.lowlevel.add_instrument(turns)
    taken: list[int] = []

    def handle(connection: stdlib_socket.socket) -> None:
        taken.append(turns.count)
        connection.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_from, listener, handle)
        while len(taken) < len(clients):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(turns)
    lots = [taken.count(turn) for turn in dict.fromkeys(taken)]
    assert lots == [1, ACCEPTS_PER_WAKE, ACCEPTS_PER_WAKE, 4]
    for sock in (*clients, listener):
        sock.close()


async def test_one_now_and_then_is_taken_at_once(autojump_clock: trio.testing.MockClock) -> None:
    (listener,) = listen("127.0.0.1", 0)
    taken: list[float] = []

    def handle(connection: stdlib_socket.socket) -> None:
        taken.append(trio.current_time())
        connection.close()

    came: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_from, listener, handle)
        for pause in (1.0, RUSH_SECONDS / 2, 1.0, RUSH_SECONDS * 2):
            await trio.sleep(pause)
            came.append(trio.current_time())
            connected(listener).close()
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert taken == came
    listener.close()
