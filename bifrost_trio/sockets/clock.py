"""Trio's clock, and the place where the poller may wait.

Trio asks its clock how long it may sleep, once a turn, when no task can run. A clock that is asked can wait itself, on
a set in which Trio's own stands, and say afterwards that there is nothing left to sleep. So bytes that are only passed
on cost no turn of Trio's loop; and the poller's set need not stand among what Trio waits for, which must be entered
anew, by a task's step and a system call, whenever it has fired.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import trio

__all__ = ["PollingClock", "find_trios_set"]


class PollingClock(trio.abc.Clock):
    """For `trio.run`. Until a poller sets ``wait``, and where there is none, it is a clock like Trio's own.

    ``wait`` gets the seconds for which Trio may sleep, sleeps in its place, and gives those that are left.
    Only then does Trio see that all tasks are blocked: `trio.testing.wait_all_tasks_blocked` waits until then.
    """

    def __init__(self) -> None:
        self.wait: Callable[[float], float] | None = None

    def start_clock(self) -> None:
        """Nothing to do: the time is the machine's."""

    current_time = staticmethod(time.perf_counter)

    def deadline_to_sleep_time(self, deadline: float) -> float:
        timeout = deadline - self.current_time()
        return timeout if self.wait is None else self.wait(timeout)


async def find_trios_set() -> int | None:
    """The descriptor of the epoll set on which this run of Trio waits; None where it cannot be told.

    Trio shows it to nobody, the kernel does: it is the set that has the descriptor for which a task of ours waits
    (proc_pid_fdinfo(5), ``tfd``).
    """
    reading, writing = os.pipe()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.wait_readable, reading)
            # Two steps: one may come before the other task's first.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            found = _sets_with(reading)
            nursery.cancel_scope.cancel()
    finally:
        trio.lowlevel.notify_closing(reading)
        os.close(reading)
        os.close(writing)
    return found[0] if len(found) == 1 else None


def _sets_with(member: int) -> list[int]:
    """The epoll sets of this process in which a descriptor stands; none where the kernel does not tell."""
    found = []
    for entry in Path("/proc/self/fdinfo").glob("*"):
        try:
            lines = entry.read_text().splitlines()
        except OSError:
            # The listing's own descriptor is listed, and closed by now.
            continue
        if any(line.startswith("tfd:") and int(line.split()[1]) == member for line in lines):
            found.append(int(entry.name))
    return found
