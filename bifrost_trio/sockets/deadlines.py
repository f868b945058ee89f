"""The deadlines of those who wait for a socket, kept to 50 ms.

Deadlines stand in buckets. A socket that waits again before its deadline is not moved: its bucket looks at it when it
is due and moves it then, so that a wait costs two assignments and no heap. A `move_on_after` costs 6 us.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import outcome
import trio

if TYPE_CHECKING:
    from bifrost_trio.sockets.stream import Socket

__all__ = ["BUCKET_SECONDS", "Deadlines"]

BUCKET_SECONDS = 0.05
"""Deadlines are kept to this: one sweep wakes all whose time ran out within it."""


class Deadlines:
    """The buckets, and the one task that sweeps them: it sleeps until the nearest is due."""

    def __init__(self) -> None:
        self._buckets: dict[int, set[Socket]] = {}
        self._nearest = math.inf
        self._scope: trio.CancelScope | None = None

    def __len__(self) -> int:
        return len(self._buckets)

    def schedule(self, socket: Socket) -> None:
        """Sees to it that the socket is looked at when its deadline is over."""
        bucket = int(socket.deadline / BUCKET_SECONDS) + 1
        if socket.bucket:
            if socket.bucket <= bucket:
                return
            self.forget(socket)
        socket.bucket = bucket
        members = self._buckets.get(bucket)
        if members is None:
            self._buckets[bucket] = members = set()
            if bucket < self._nearest:
                self._nearest = bucket
                if self._scope is not None:
                    self._scope.deadline = bucket * BUCKET_SECONDS
        members.add(socket)

    def forget(self, socket: Socket) -> None:
        if socket.bucket:
            members = self._buckets[socket.bucket]
            members.discard(socket)
            if not members:
                del self._buckets[socket.bucket]
            socket.bucket = 0

    async def run(self, clock: Callable[[], float]) -> None:
        while True:
            with trio.CancelScope(deadline=self._nearest * BUCKET_SECONDS) as scope:
                self._scope = scope
                await trio.sleep_forever()
            self._scope = None
            self._look(clock())
            self._nearest = min(self._buckets, default=math.inf)

    def _look(self, now: float) -> None:
        for bucket in sorted(b for b in self._buckets if b * BUCKET_SECONDS <= now):
            for socket in self._buckets.pop(bucket):
                socket.bucket = 0
                if socket.waiter is None:
                    continue
                if socket.ready:
                    # What it waits for has come, and it has only not been woken yet.
                    socket.wake(outcome.Value(None))
                elif socket.deadline <= now:
                    socket.wake(outcome.Error(trio.TooSlowError()))
                elif socket.deadline < math.inf:
                    self.schedule(socket)
