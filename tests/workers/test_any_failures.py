"""Whatever a provider does, in any order, with any keys: the promises of the loop of attempts hold."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing

from bifrost_trio.errors import (
    ConnectionBroken,
    GatewayError,
    KeyRefused,
    ProviderAnswered,
    ProviderError,
    ProviderFault,
    RateLimited,
    RequestRefused,
    Retry,
)
from bifrost_trio.types import Call, Reply, WholeAnswer
from bifrost_trio.workers import Key
from tests.workers.calls import Kept, make_call
from tests.workers.played import OK, attempts_of

LIMIT = 5.0


class Whims:
    """Fails as chance has it. ``log`` is (key, when, error) of each attempt; None for an answer."""

    name = "p"

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.log: list[tuple[str, float, ProviderError | None]] = []

    async def __call__(self, call: Call, reply: Reply, key: Key) -> WholeAnswer:
        await trio.sleep(self.chance.choice([0, 0.1, 3]))
        error = self.whim()
        self.log.append((key.name, trio.current_time(), error))
        if error is not None:
            raise error
        return OK

    def whim(self) -> ProviderError | None:
        after = self.chance.choice([None, None, 0.0, 0.2, 1.0, 4.9, 5.0, 5.1, 60.0])
        limited = RateLimited(429, "later", retry_after=after)
        fault = ProviderFault(503, "busy", retry_after=after)
        others = [None, KeyRefused(401, "no"), ConnectionBroken("cut"), RequestRefused(400, "bad")]
        return self.chance.choices([limited, fault, *others], [8, 3, 2, 4, 2, 0.5])[0]


def assert_promises(log: list[tuple[str, float, ProviderError | None]], retries: int) -> None:
    assert 1 <= len(log) <= 1 + retries
    for number, (key, when, error) in enumerate(log[:-1]):
        assert error is not None, "an answer is not asked for again"
        assert error.retry is not Retry.NEVER
        later = [(k, t) for k, t, _ in log[number + 1 :]]
        if error.retry is Retry.WITHOUT_KEY:
            assert key not in {k for k, _ in later}, "a key that was refused came back"
        if isinstance(error, ProviderAnswered) and error.retry_after is not None:
            times = [t for k, t in later if k == key]
            assert not times or times[0] >= when + error.retry_after - 1e-6, "a key was asked before its time"
        if error.retry is Retry.SAME_KEY:
            assert later[0][0] == key


@pytest.mark.parametrize("seed", range(150))
async def test_any_failures(seed: int, autojump_clock: trio.testing.MockClock) -> None:
    chance = random.Random(seed)
    retries = chance.randint(0, 8)
    provider = Whims(chance)
    keys = "abcde"[: chance.randint(1, 5)]
    attempts = attempts_of(provider, keys, retries=retries, limit=LIMIT, chance=chance.random, workers=2)
    call = make_call()
    reply = Kept(call)
    leaves = chance.choice([1.0, 4.0, 1e6, 1e6])
    error: GatewayError | None = None
    with trio.move_on_after(leaves) as scope:
        try:
            await attempts(call, reply)
        except ProviderError as caught:
            error = caught
    pool = attempts.pool.statistics()
    assert (pool.busy, pool.waiting) == (0, 0)
    if scope.cancelled_caught:
        assert len(call.trail) <= 1 + retries
        return
    assert_promises(provider.log, retries)
    assert [attempt.key for attempt in call.trail] == [key for key, _, _ in provider.log]
    last = provider.log[-1][2]
    assert (reply.state == "sent") == (last is None) == (error is None)
    assert call.outcome.back_off_seconds <= retries * LIMIT * 1.2 + 1e-6
