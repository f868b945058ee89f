"""The keys of one call after a failure that another key may not have."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from bifrost_trio.errors import ProviderError, Retry
from bifrost_trio.workers.keys import Key

__all__ = ["Choose", "Rotation"]

Choose: TypeAlias = Callable[[Collection[str]], Key | None]
"""A key that is not among those named."""


class Rotation:
    """Which keys were tried in this round, which are out, and which the provider wants left alone for a while.

    A Retry-After belongs to its key: another key is asked at once, the same one not before the time is over.
    """

    __slots__ = ("_dead", "_rests", "_round", "_tried")

    def __init__(self) -> None:
        self._dead: set[str] = set()
        self._round: set[str] = set()
        self._tried: dict[str, tuple[Key, ProviderError]] = {}
        self._rests: dict[str, float] = {}

    def note(self, key: Key, error: ProviderError, now: float) -> None:
        if error.retry is Retry.WITHOUT_KEY:
            self._dead.add(key.name)
            self._tried.pop(key.name, None)
            return
        self._round.add(key.name)
        self._tried[key.name] = key, error
        if error.retry_after is not None:
            self._rests[key.name] = now + error.retry_after

    def fresh(self, choose: Choose, now: float) -> Key | None:
        """One that may be asked at once; None when each was tried, is out, or rests."""
        resting = {name for name, until in self._rests.items() if until > now}
        return choose({*self._dead, *self._round, *resting})

    def again(self, now: float, back_off: float) -> tuple[Key, ProviderError, float] | None:
        """Begins another round: the key that may be asked soonest, its last error, the seconds until then.

        None when all are out.
        """
        if not self._tried:
            return None
        self._round.clear()
        waits = {name: self._rests.get(name, now + back_off) - now for name in self._tried}
        soonest = min(waits, key=waits.__getitem__)
        self._rests.pop(soonest, None)
        return *self._tried[soonest], max(waits[soonest], 0.0)
