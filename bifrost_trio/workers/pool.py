"""A provider's workers: a Trio memory channel that holds the idle ones, not the jobs.

A call borrows a worker and does the work in its own task, so cancelling the call cancels the upstream request, and
tracebacks stay whole; the isolation, the bound and the order are those of a queue of jobs. The channel is never closed:
an old pool dies with its last call.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import trio

from bifrost_trio.errors import QueueFull

__all__ = ["Worker", "WorkerPool", "WorkerPoolStatistics"]

RETRY_AFTER_FULL = 1.0
"""Seconds that a client is told to wait when a provider's queue is full: places come free all the time."""

PATIENT_QUEUES = 10
"""Where a full queue is not answered at once: how many queues' worth may wait. Calls hold memory while they do, and
those at the end of a longer one would run out of patience."""


class Worker:
    """A place among a provider's N. ``number`` counts from 1; ``calls`` is how many it has served."""

    __slots__ = ("calls", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0


@dataclass(frozen=True, slots=True)
class WorkerPoolStatistics:
    """``made`` workers exist, of which ``idle`` wait for calls; ``waiting`` calls wait for a worker."""

    limit: int
    made: int
    idle: int
    waiting: int
    refused: int

    @property
    def busy(self) -> int:
        return self.made - self.idle


class WorkerPool:
    """At most ``limit`` calls at work and ``queue`` waiting, first come first served."""

    def __init__(self, provider: str, limit: int, queue: int, *, shed: bool = True, patience: float = 60.0) -> None:
        """``shed``: a full queue is answered at once; else calls beyond it wait too, up to `PATIENT_QUEUES` of it.

        All wait ``patience`` seconds at most.
        """
        self.provider = provider
        self.limit = limit
        self.queue = queue
        self.shed = shed
        self.patience = patience
        self._give, self._take = trio.open_memory_channel[Worker](math.inf)
        self._made = 0
        self._waiting = 0
        self._refused = 0

    @property
    def most_waiting(self) -> int:
        return self.queue if self.shed else PATIENT_QUEUES * max(self.queue, 1)

    def borrow_nowait(self) -> Worker | None:
        """An idle worker, or a new one while there may be more; None when all are at work."""
        try:
            worker = self._take.receive_nowait()
        except trio.WouldBlock:
            if self._made >= self.limit:
                return None
            self._made += 1
            worker = Worker(self._made)
        worker.calls += 1
        return worker

    async def borrow(self) -> Worker:
        """Waits its turn. Raises QueueFull. No await may stand between the return and the ``try`` that gives back."""
        if self._waiting >= self.most_waiting:
            self._refused += 1
            raise self._full(f"provider {self.provider} has {self.limit} calls at work and {self._waiting} waiting")
        self._waiting += 1
        try:
            with trio.fail_after(self.patience):
                worker = await self._take.receive()
        except trio.TooSlowError:
            self._refused += 1
            raise self._full(f"no worker of provider {self.provider} came free in {self.patience:g} s") from None
        finally:
            self._waiting -= 1
        worker.calls += 1
        return worker

    def _full(self, message: str) -> QueueFull:
        return QueueFull(message, code="queue_full", retry_after=RETRY_AFTER_FULL)

    def give_back(self, worker: Worker) -> None:
        """Never blocks."""
        self._give.send_nowait(worker)

    def statistics(self) -> WorkerPoolStatistics:
        idle = self._take.statistics().current_buffer_used
        return WorkerPoolStatistics(self.limit, self._made, idle, self._waiting, self._refused)
