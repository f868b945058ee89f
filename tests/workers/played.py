"""A provider that plays what it is told, behind real workers, keys and attempts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from bifrost_trio.errors import ProviderError
from bifrost_trio.types import Call, Reply, WholeAnswer
from bifrost_trio.workers import Attempts, Key, Keys, RetryPolicy, WorkerPool
from bifrost_trio.workers.attempts import Provider

__all__ = ["OK", "Play", "Played", "attempts_of"]

OK = WholeAnswer(200, [(b"content-type", b"application/json")], b'{"ok":true}')

Play: TypeAlias = WholeAnswer | BaseException | Callable[[Call, Reply], Awaitable[WholeAnswer | None]] | None
"""An answer, an error, a function that does the attempt; None for a stream that was written."""


class Played:
    """Plays ``plays`` one after another, the last one for ever. ``keys`` and ``times`` are those of the attempts."""

    name = "p"

    def __init__(self, *plays: Play) -> None:
        self.plays = plays
        self.keys: list[str] = []
        self.times: list[float] = []

    async def __call__(self, call: Call, reply: Reply, key: Key) -> WholeAnswer | None:
        play = self.plays[min(len(self.keys), len(self.plays) - 1)]
        self.keys.append(key.name)
        self.times.append(trio.current_time())
        if isinstance(play, BaseException):
            raise again(play)
        return await play(call, reply) if callable(play) else play

    @property
    def waits(self) -> list[float]:
        """Seconds between one attempt and the next."""
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


def again(error: BaseException) -> BaseException:
    """The same error, raised anew: what it was raised from before is forgotten."""
    if isinstance(error, ProviderError):
        error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def attempts_of(
    provider: Provider,
    keys: str = "a",
    *,
    retries: int = 2,
    limit: float = 5.0,
    chance: Callable[[], float] = lambda: 0.5,
    workers: int = 1,
    queue: int = 10,
) -> Attempts:
    """A letter for each key, taken in that order; without other ``chance`` the back-off is 0.5, 1, 2 … seconds."""
    pool = WorkerPool(provider.name, workers, queue)
    of = Keys(provider.name, [Key(name, f"sk-{name}") for name in keys], direct=True, chance=lambda: 0.0)
    return Attempts(pool, of, provider, RetryPolicy(retries, 0.5, limit), chance=chance)
