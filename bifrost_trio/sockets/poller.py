"""One edge-triggered epoll set per process, waited for by one Trio task, and the deadlines of those who wait.

Why not `trio.lowlevel.wait_readable` for each read: it adds the descriptor to Trio's own set before the wait and takes
it out after, two system calls a read, against one `epoll_wait` for all that became readable together. Where
epoll does not exist, `wait_readable` serves (`Socket` asks `edge_triggered`), and a hang-up is seen on the next write.

The rules that keep this sound:

1. Only the function that set ``waiter`` to None in the same synchronous step may reschedule: poller, sweep, close and
   ``abort_fn`` all go through `Socket.wake`. (A second reschedule of one task ends the whole run.)
2. RDHUP, HUP and ERR set a sticky ``hangup``; while it is set the socket stays ready until a read said the end.
3. ``ready`` is cleared before a read and set again after one that filled the buffer.
4. Closing: wake the waiter, `notify_closing`, unregister, leave the table, then close.
5. One reader per socket.
6. No await and no exception between ``poll()`` and the end of its batch: that makes reuse of descriptors safe.
7. After 16 reads without a wait, one checkpoint: otherwise there is neither fairness nor cancellation.
8. The set is made after the worker process has started, and is closed with its run.

Deadlines stand in buckets of 50 ms. A socket that waits again before its deadline is not moved: its bucket looks at it
when it is due and moves it then, so that a wait costs two assignments and no heap. A `move_on_after` costs 6 us.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import outcome
import trio
from trio.lowlevel import wait_readable

if TYPE_CHECKING:
    from bifrost_trio.sockets.stream import Socket

__all__ = ["BUCKET_SECONDS", "Poller", "PollerStatistics"]

BUCKET_SECONDS = 0.05
"""Deadlines are kept to this: one sweep wakes all whose time ran out within it."""

BATCH = 512
"""Events taken from the kernel at once; what is left keeps the set readable."""


@dataclass(frozen=True, slots=True)
class PollerStatistics:
    """``sockets`` in the set, ``waiting`` for bytes, ``buckets`` of deadlines."""

    sockets: int
    waiting: int
    buckets: int


class Poller:
    """The epoll set and the sweep. `run` belongs into a nursery that lives as long as any socket."""

    def __init__(self) -> None:
        self.edge_triggered = hasattr(select, "epoll")
        self.sockets: dict[int, Socket] = {}
        self.clock: Callable[[], float] = trio.current_time
        self._epoll = select.epoll() if self.edge_triggered else None
        self._buckets: dict[int, set[Socket]] = {}
        self._nearest = math.inf
        self._sweep_scope: trio.CancelScope | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        # The clock itself: trio.current_time looks for it anew each time, which costs more than the time.
        self.clock = trio.lowlevel.current_clock().current_time
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sweep)
            task_status.started()
            try:
                if self._epoll is None:
                    await trio.sleep_forever()
                else:
                    await self._poll(self._epoll)
            finally:
                if self._epoll is not None:
                    trio.lowlevel.notify_closing(self._epoll.fileno())
                    self._epoll.close()
                    self._epoll = None

    async def _poll(self, epoll: select.epoll) -> None:
        descriptor = epoll.fileno()
        sockets = self.sockets
        reschedule = trio.lowlevel.reschedule
        gone = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
        while True:
            await wait_readable(descriptor)
            now = self.clock()
            for fd, events in epoll.poll(0, BATCH):
                socket = sockets.get(fd)
                if socket is None:
                    continue
                socket.ready = True
                if events & gone:
                    socket.hangup = True
                    if socket.waiter is None and socket.on_hangup is not None:
                        socket.on_hangup()
                waiter = socket.waiter
                if waiter is not None:
                    socket.waiter = None
                    socket.waited += now - socket.waits_since
                    reschedule(waiter)

    def register(self, socket: Socket) -> None:
        if self._epoll is not None:
            self.sockets[socket.fd] = socket
            self._epoll.register(socket.fd, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)

    def unregister(self, socket: Socket) -> None:
        if self._epoll is not None and self.sockets.pop(socket.fd, None) is not None:
            self._epoll.unregister(socket.fd)
        self._leave_bucket(socket)

    # --- deadlines ---

    def schedule(self, socket: Socket) -> None:
        """Sees to it that the socket is looked at when its deadline is over."""
        bucket = int(socket.deadline / BUCKET_SECONDS) + 1
        if socket.bucket:
            if socket.bucket <= bucket:
                return
            self._leave_bucket(socket)
        socket.bucket = bucket
        members = self._buckets.get(bucket)
        if members is None:
            self._buckets[bucket] = members = set()
            if bucket < self._nearest:
                self._nearest = bucket
                if self._sweep_scope is not None:
                    self._sweep_scope.deadline = bucket * BUCKET_SECONDS
        members.add(socket)

    def _leave_bucket(self, socket: Socket) -> None:
        if socket.bucket:
            members = self._buckets[socket.bucket]
            members.discard(socket)
            if not members:
                del self._buckets[socket.bucket]
            socket.bucket = 0

    async def _sweep(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._nearest * BUCKET_SECONDS) as scope:
                self._sweep_scope = scope
                await trio.sleep_forever()
            self._sweep_scope = None
            self._look(self.clock())
            self._nearest = min(self._buckets, default=math.inf)

    def _look(self, now: float) -> None:
        for bucket in sorted(b for b in self._buckets if b * BUCKET_SECONDS <= now):
            for socket in self._buckets.pop(bucket):
                socket.bucket = 0
                if socket.waiter is None:
                    continue
                if socket.deadline <= now:
                    socket.wake(outcome.Error(trio.TooSlowError()))
                elif socket.deadline < math.inf:
                    self.schedule(socket)

    def statistics(self) -> PollerStatistics:
        waiting = sum(1 for socket in self.sockets.values() if socket.waiter is not None)
        return PollerStatistics(len(self.sockets), waiting, len(self._buckets))
