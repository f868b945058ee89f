"""Comments for clients that wait for a stream, so that nothing between here and there takes the silence for a death."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import trio

__all__ = ["Heartbeat"]


class Waiting(Protocol):
    """The client's end of a stream."""

    @property
    def waiting(self) -> bool:
        """Whether the client still waits for its first bytes."""

    def comment(self) -> None:
        """Sends a comment without waiting; never raises."""


class Heartbeat:
    """One queue and one task for all streams: the interval is the same for all, so the queue is in order of time.

    A stream costs one append; only one that has waited for ``interval`` seconds is looked at again.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._queue: deque[tuple[float, Waiting]] = deque()
        self._arrived = trio.Event()

    def watch(self, stream: Waiting, now: float) -> None:
        if not self._queue:
            self._arrived.set()
        self._queue.append((now + self.interval, stream))

    async def run(self) -> None:
        while True:
            if not self._queue:
                self._arrived = trio.Event()
                await self._arrived.wait()
            due, stream = self._queue[0]
            await trio.sleep_until(due)
            self._queue.popleft()
            if stream.waiting:
                stream.comment()
                self._queue.append((trio.current_time() + self.interval, stream))
