"""The loop of attempts: for each failure how many follow, with which key, after how long, and what the caller gets."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import trio
import trio.testing

from bifrost_trio.errors import (
    ConnectionBroken,
    ConnectTimeout,
    FirstOutputTimeout,
    GatewayError,
    IdleTimeout,
    KeyRefused,
    KeysExhausted,
    MalformedAnswer,
    ProviderAnswered,
    ProviderError,
    ProviderFault,
    RateLimited,
    RequestRefused,
    StreamFault,
    TotalTimeout,
    Unreachable,
    UnsupportedOperation,
)
from bifrost_trio.types import Attempt
from tests.workers.calls import Kept, make_call
from tests.workers.played import OK, Play, Played, attempts_of


def fault(status: int, after: float | None = None) -> ProviderAnswered:
    """What the verdicts make of a status; ``after`` is its Retry-After."""
    kinds = {401: KeyRefused, 402: KeyRefused, 403: KeyRefused, 408: ProviderFault, 429: RateLimited}
    kind = kinds.get(status) or (ProviderFault if status >= 500 else RequestRefused)
    return kind(status, f"status {status}", retry_after=after)


@dataclass(frozen=True)
class Row:
    """``plays`` are the provider's; then the keys of its attempts, the waits between them, and the error at the end."""

    plays: list[Play]
    used: str
    waits: list[float]
    error: type[GatewayError] | None = None
    keys: str = "a"
    retries: int = 2
    limit: float = 5.0


SAME_KEY = [
    *[fault(status) for status in (408, 500, 502, 503, 504, 520, 529)],
    Unreachable("refused"),
    ConnectionBroken("reset"),
    ConnectTimeout("late"),
    FirstOutputTimeout("late"),
    IdleTimeout("late"),
    MalformedAnswer("garbage"),
    StreamFault("overloaded", status=529),
]
NEVER = [*[fault(status) for status in (400, 404, 405, 410, 413, 415, 422, 451)], TotalTimeout("late")]


def named(error: Play) -> str:
    return f"{type(error).__name__} {getattr(error, 'status', '')}"


ROWS: dict[str, Row] = {
    "success": Row([OK], "a", []),
    "success with many keys": Row([OK], "a", [], keys="abc"),
    # The same key after a back-off of 0.5 · 2ⁿ seconds, five at most.
    **{f"{named(e)} once": Row([e, OK], "aa", [0.5], keys="ab") for e in SAME_KEY},
    **{f"{named(e)} for ever": Row([e], "aaa", [0.5, 1], type(e), keys="ab") for e in SAME_KEY},
    "no retries": Row([fault(500)], "a", [], ProviderFault, retries=0),
    "one retry": Row([fault(500)], "aa", [0.5], ProviderFault, retries=1),
    "doubled up to the limit": Row([fault(503)], "aaaaaaa", [0.5, 1, 2, 4, 5, 5], ProviderFault, retries=6),
    "a lower limit": Row([fault(503)], "aaaa", [0.5, 0.7, 0.7], ProviderFault, retries=3, limit=0.7),
    "success at last": Row([fault(500), ConnectionBroken("cut"), OK], "aaa", [0.5, 1]),
    # One attempt for what cannot succeed.
    **{f"{named(e)} is final": Row([e], "a", [], type(e), keys="abc", retries=5) for e in NEVER},
    "the request cannot be served": Row([UnsupportedOperation("no")], "a", [], UnsupportedOperation, keys="ab"),
    "final after a retry": Row([fault(500), fault(400)], "aa", [0.5], RequestRefused),
    # 429: the next key at once; when all were tried, a back-off, and begin again.
    "429 and another key": Row([fault(429), OK], "ab", [0], keys="ab"),
    "429 with each of three keys": Row([fault(429)], "abc", [0, 0], RateLimited, keys="abc"),
    "429 with both keys": Row([fault(429), fault(429), OK], "aba", [0, 1], keys="ab"),
    "429 for ever with two keys": Row([fault(429)], "abab", [0, 1, 0], RateLimited, keys="ab", retries=3),
    "429 with one key": Row([fault(429)], "aaa", [0.5, 1], RateLimited),
    "429 without retries": Row([fault(429)], "a", [], RateLimited, keys="ab", retries=0),
    # Retry-After holds for the same key, not for another one; beyond the limit it is the caller's to wait for.
    "429 and when": Row([fault(429, 3.25), OK], "aa", [3.25]),
    "429 and at once": Row([fault(429, 0.0), OK], "aa", [0]),
    "429 and when, twice": Row([fault(429, 2), fault(429, 4), OK], "aaa", [2, 4]),
    "429 and when, another key": Row([fault(429, 3), OK], "ab", [0], keys="ab"),
    "429 and when, the last key": Row([fault(429, 3), fault(429, 2), OK], "abb", [0, 2], keys="ab"),
    "429 and just the limit": Row([fault(429, 5.0), OK], "aa", [5]),
    "429 and too late": Row([fault(429, 5.01)], "a", [], RateLimited),
    "429 and too late, another key": Row([fault(429, 60), OK], "ab", [0], keys="ab"),
    "429 and too late with both keys": Row([fault(429, 60)], "ab", [0], RateLimited, keys="ab", retries=5),
    "503 and when": Row([fault(503, 1.5), OK], "aa", [1.5], keys="ab"),
    "503 and too late": Row([fault(503, 30)], "a", [], ProviderFault, keys="ab"),
    "each key rests as long as it was told": Row(
        [fault(429, 4), fault(429, 1), fault(429, 9), fault(500), OK], "abbaa", [0, 1, 3, 4], keys="ab", retries=4
    ),
    "a key that rests is not asked at once": Row([fault(429, 3), fault(401), OK], "aba", [0, 3], keys="ab"),
    "the one without a time is asked first": Row([fault(429, 3), fault(429), OK], "abb", [0, 1], keys="ab"),
    "the wait that is left is too long": Row([fault(429, 9), fault(401)], "ab", [0], RateLimited, keys="ab"),
    # 401, 402, 403: the key is out for this call.
    **{f"{s} and another key": Row([fault(s), OK], "ab", [0], keys="ab") for s in (401, 402, 403)},
    "401 with one key": Row([fault(401)], "a", [], KeysExhausted),
    "401 without retries": Row([fault(401)], "a", [], KeysExhausted, keys="ab", retries=0),
    "401 with every key": Row([fault(401)], "abc", [0, 0], KeysExhausted, keys="abc", retries=9),
    "401 with more keys than attempts": Row([fault(401)], "abc", [0, 0], KeysExhausted, keys="abcdef"),
    "a dead key does not come back": Row(
        [fault(401), fault(429)], "abbb", [0, 1, 2], RateLimited, keys="ab", retries=3
    ),
    "the last living key dies": Row([fault(429), fault(401)], "aba", [0, 1], KeysExhausted, keys="ab", retries=9),
    "a fault in between": Row([fault(429), fault(500), OK], "abb", [0, 1], keys="ab"),
    "429 and when, then a fault": Row([fault(429, 2), fault(500), OK], "aaa", [2, 1]),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_what_follows_a_failure(row: Row, autojump_clock: trio.testing.MockClock) -> None:
    provider = Played(*row.plays)
    attempts = attempts_of(provider, row.keys, retries=row.retries, limit=row.limit)
    call = make_call()
    reply = Kept(call)
    if row.error is None:
        await attempts(call, reply)
        assert (reply.status, reply.body) == (200, OK.body)
    else:
        with pytest.raises(row.error) as caught:
            await attempts(call, reply)
        assert type(caught.value) is row.error
        assert reply.state == "new"
        if isinstance(caught.value, ProviderError):
            assert caught.value.provider == "p"
    assert "".join(provider.keys) == row.used
    assert len(provider.keys) <= 1 + row.retries
    assert provider.waits == pytest.approx(row.waits)
    assert call.outcome.back_off_seconds == pytest.approx(sum(row.waits))
    assert attempts.pool.statistics().busy == 0
    assert_trail(call.trail, row)


def assert_trail(trail: list[Attempt], row: Row) -> None:
    """An entry for each attempt, with what became of it."""
    plays = [row.plays[min(number, len(row.plays) - 1)] for number in range(len(row.used))]
    expected = [
        ("p", "m", key, play.status, play.kind) if isinstance(play, GatewayError) else ("p", "m", key, 200, "success")
        for key, play in zip(row.used, plays, strict=True)
    ]
    assert [(a.provider, a.model, a.key, a.status, a.kind) for a in trail] == expected


async def test_keys_that_are_all_refused(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(KeysExhausted) as caught:
        await attempts_of(Played(fault(403)), "ab")(call := make_call(), Kept(call))
    error = caught.value
    assert (error.status, error.code, error.fallback) == (502, "upstream_credentials_exhausted", True)
    assert isinstance(error.__cause__, KeyRefused)
    assert "sk-" not in error.message


async def test_a_retry_after_beyond_the_limit_reaches_the_caller(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(RateLimited) as caught:
        await attempts_of(Played(fault(429, 77)))(call := make_call(), Kept(call))
    assert caught.value.retry_after == 77
    assert trio.current_time() == 0


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.8), (0.25, 0.9), (1.0, 1.2)])
async def test_back_off_is_spread(chance: float, factor: float, autojump_clock: trio.testing.MockClock) -> None:
    provider = Played(fault(500))
    attempts = attempts_of(provider, retries=5, chance=lambda: chance)
    with pytest.raises(ProviderFault):
        await attempts(call := make_call(), Kept(call))
    assert provider.waits == pytest.approx([seconds * factor for seconds in (0.5, 1, 2, 4, 5)])
