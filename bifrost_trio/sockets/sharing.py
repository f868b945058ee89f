"""How the workers that accept from one queue come to have the same number of connections.

Whoever looks first takes what waits, and a process that is awake looks before one that has to be woken: without a rule
one worker has nearly all. So each tells the others its number, in memory that they share, and one that has more leaves
what waits to those that have less, for a moment.
"""

from __future__ import annotations

import mmap
import os
from typing import Self

__all__ = ["Share", "Shares"]

AHEAD = 8
"""A worker takes the next connection as long as it has no more than another one, and an eighth: with less of a lead,
those who come in a rush would be handed out one by one."""

_SLOT = 8


class Shares:
    """A number for each worker. Whose number is 0 accepts nothing, and is left nothing."""

    def __init__(self, descriptor: int) -> None:
        """``descriptor`` is that of another `Shares`, of this process or of the one that started it."""
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        self._numbers = memoryview(self._memory).cast("q")

    @classmethod
    def create(cls, count: int) -> Self | None:
        """For so many workers; None where the system has no memory to share by descriptor."""
        if not hasattr(os, "memfd_create"):
            return None
        descriptor = os.memfd_create("connections of workers")
        os.truncate(descriptor, count * _SLOT)
        return cls(descriptor)

    def share(self, number: int) -> Share:
        return Share(self._numbers, number)

    def retire(self, number: int) -> None:
        """The worker is gone, whatever it had."""
        self._numbers[number] = 0

    def close(self) -> None:
        self._numbers.release()
        self._memory.close()
        os.close(self.descriptor)


class Share:
    """One worker's own number, and what it says beside the others'."""

    __slots__ = ("_number", "_numbers")

    def __init__(self, numbers: memoryview[int], number: int) -> None:
        self._numbers = numbers
        self._number = number

    def tell(self, connections: int | None) -> None:
        """How many this worker has; None: it accepts no more."""
        self._numbers[self._number] = 0 if connections is None else connections + 1

    @property
    def least(self) -> int | None:
        """What the one has that has least of the others that accept; None if there is none."""
        others = [n - 1 for number, n in enumerate(self._numbers) if n and number != self._number]
        return min(others, default=None)

    @property
    def ahead(self) -> bool:
        """Whether this worker should leave the next connection to another one."""
        least, own = self.least, self._numbers[self._number] - 1
        return least is not None and own > least + own // AHEAD
