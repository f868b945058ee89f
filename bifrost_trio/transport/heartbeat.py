"""Comments for clients that wait for a stream, so that nothing between here and there takes the silence for a death."""

from __future__ import annotations

from collections import OrderedDict
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

    A stream costs one entry, which it takes out when it ends: what has ended is not kept for the interval's sake. The
    task runs in ``nursery`` as long as there are entries, so that nothing of a reloaded configuration's stays behind.
    """

    def __init__(self, interval: float, nursery: trio.Nursery) -> None:
        self.interval = interval
        self._nursery = nursery
        self._queue: OrderedDict[Waiting, float] = OrderedDict()
        self._running = False

    def watch(self, stream: Waiting, now: float) -> None:
        self._queue[stream] = now + self.interval
        if not self._running:
            self._running = True
            self._nursery.start_soon(self._run)

    def forget(self, stream: Waiting) -> None:
        self._queue.pop(stream, None)

    async def _run(self) -> None:
        while self._queue:
            stream, due = next(iter(self._queue.items()))
            if due > trio.current_time():
                # Whoever comes meanwhile is due later, and whoever leaves leaves the next one's time unchanged.
                await trio.sleep_until(due)
                continue
            if stream.waiting:
                stream.comment()
                self._queue[stream] = trio.current_time() + self.interval
                self._queue.move_to_end(stream)
            else:
                del self._queue[stream]
        self._running = False
