"""Workers that accept from one queue come to have the same number of connections."""

from __future__ import annotations

import os
import socket as stdlib_socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trio
import trio.testing

from bifrost_trio.sockets import Poller, Room, Shares, accept_from, listen
from bifrost_trio.sockets.listener import LEFT_SECONDS, PATIENCE


class Workers:
    """Rooms of so many workers that listen to one queue, and clients that connect to it."""

    def __init__(self, count: int, exits: ExitStack) -> None:
        shares = Shares.create(count)
        assert shares is not None
        exits.callback(shares.close)
        self.shares = shares
        self.rooms = [Room(share=shares.share(number)) for number in range(count)]
        (listener,) = listen("127.0.0.1", 0)
        self._exits = exits
        self._address = listener.getsockname()
        self.listeners = [exits.enter_context(listener)]
        self.listeners += [exits.enter_context(listener.dup()) for _ in range(count - 1)]

    async def accept(self, *numbers: int, poller: Poller | None = None) -> None:
        async with trio.open_nursery() as nursery:
            for number in numbers:
                room = self.rooms[number]
                assert room.share is not None
                room.share.tell(0)

                def handle(connection: stdlib_socket.socket, room: Room = room) -> None:
                    self._exits.enter_context(connection)
                    room.take()

                nursery.start_soon(accept_from, self.listeners[number], handle, room, poller)

    def connect(self, count: int) -> None:
        for _ in range(count):
            client = self._exits.enter_context(stdlib_socket.socket())
            client.connect(self._address)

    @property
    def taken(self) -> list[int]:
        return [room.taken for room in self.rooms]


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("by_poller", [False, True])
async def test_a_rush_is_shared(by_poller: bool, exits: ExitStack, autojump_clock: trio.testing.MockClock) -> None:
    workers = Workers(3, exits)
    async with trio.open_nursery() as nursery:
        poller = Poller() if by_poller else None
        if poller is not None:
            await nursery.start(poller.run)
        nursery.start_soon(lambda: workers.accept(0, 1, 2, poller=poller))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(4):
            workers.connect(30)
            await trio.sleep(1)
            assert min(workers.taken) >= 0.8 * max(workers.taken), workers.taken
        nursery.cancel_scope.cancel()
    assert sum(workers.taken) == 120


async def test_who_comes_later_or_has_lost_its_own_is_given_more(
    exits: ExitStack, autojump_clock: trio.testing.MockClock
) -> None:
    workers = Workers(2, exits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.accept, 0)
        workers.connect(20)
        await trio.sleep(1)
        assert workers.taken == [20, 0]
        nursery.start_soon(workers.accept, 1)
        await trio.testing.wait_all_tasks_blocked()
        workers.connect(15)
        await trio.sleep(1)
        assert workers.taken == [20, 15]
        for _ in range(12):
            workers.rooms[0].leave()
        workers.connect(5)
        await trio.sleep(1)
        assert workers.taken == [13, 15]
        nursery.cancel_scope.cancel()


async def test_what_one_that_hangs_does_not_take_is_taken(
    exits: ExitStack, autojump_clock: trio.testing.MockClock
) -> None:
    """It says that it accepts, and does not: a rush waits for it once, not for each connection."""
    workers = Workers(2, exits)
    workers.shares.share(1).tell(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.accept, 0)
        workers.connect(12)
        await trio.sleep(PATIENCE + 2 * LEFT_SECONDS)
        assert workers.taken == [12, 0]
        # Later it is given another chance, and the client does not wait longer than that.
        await trio.sleep(1)
        workers.connect(1)
        await trio.sleep(PATIENCE + 2 * LEFT_SECONDS)
        assert workers.taken == [13, 0]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["drains", "is gone"])
async def test_nothing_is_left_to_one_that_accepts_no_more(
    how: str, exits: ExitStack, autojump_clock: trio.testing.MockClock
) -> None:
    workers = Workers(2, exits)
    other = workers.shares.share(1)
    other.tell(0)
    if how == "drains":
        other.tell(None)
    else:
        workers.shares.retire(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.accept, 0)
        workers.connect(10)
        await trio.testing.wait_all_tasks_blocked()
        assert workers.taken == [10, 0]
        nursery.cancel_scope.cancel()


def test_the_numbers_are_those_of_all_processes() -> None:
    ours = Shares.create(2)
    assert ours is not None
    theirs = Shares(os.dup(ours.descriptor))
    first, second = ours.share(0), theirs.share(1)
    assert first.least is None
    second.tell(3)
    assert first.least == 3
    first.tell(2)
    assert not first.ahead
    assert second.ahead
    ours.close()
    theirs.close()
