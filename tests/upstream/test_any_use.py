"""Whatever providers and callers do at once, every connection is counted, and closed or home."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ProviderError
from bifrost_trio.testing import Connecting, End, Pause, Received, Script, ScriptedUpstream
from bifrost_trio.upstream import TimeLimits
from tests.upstream.peers import ask, pool_to, request

CONNECTING = [*[Connecting.AT_ONCE] * 20, Connecting.REFUSED, Connecting.HANGS]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"


def whim(chance: random.Random) -> Script:
    """An answer: whole, slow, cut, silent, or one behind which the connection is closed, at once or later."""
    body = b"x" * chance.choice([0, 2, 5_000, 200_000])
    answer = HEAD % len(body) + body
    cut = answer[: chance.randrange(len(answer))]
    return chance.choice(
        [
            *[Script([answer])] * 6,
            Script([answer[:20], Pause(chance.random()), answer[20:]]),
            Script([answer], End.CLOSE),
            Script([answer, Pause(0.3)], End.CLOSE),
            Script([cut], chance.choice([End.CLOSE, End.RESET, End.STALL])),
            Script([], chance.choice([End.CLOSE, End.RESET, End.STALL])),
            Script([b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + body], End.CLOSE),
            Script([answer + b"more"]),
            Script([b"garbage\r\n\r\n"]),
        ]
    )


@pytest.mark.parametrize("seed", range(20))
async def test_any_use(seed: int, autojump_clock: trio.testing.MockClock) -> None:
    chance = random.Random(seed)
    upstream = ScriptedUpstream(lambda _: whim(chance))
    ends = {"served": 0, "failed": 0, "left": 0}
    async with pool_to(upstream, TimeLimits(connect=1.0)) as pool:

        async def call() -> None:
            await trio.sleep(chance.uniform(0, 20))
            upstream.connecting = chance.choice(CONNECTING)
            with trio.move_on_after(chance.choice([0.01, 0.5, 1e6, 1e6])):
                try:
                    status, body = await ask(pool, request(chance.choice([2, 300_000])), limit=2.0)
                    assert status == 200
                    assert body == b"x" * len(body)
                    ends["served"] += 1
                except ProviderError:
                    ends["failed"] += 1
                return
            ends["left"] += 1

        async with trio.open_nursery() as nursery:
            for _ in range(120):
                nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        now = pool.statistics()
        assert now.busy == 0
        assert upstream.statistics().open == now.idle
        assert sum(ends.values()) == 120
        assert ends["served"] > 30


async def test_a_connection_never_serves_two_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Each answer repeats its request; nobody ever gets another one's."""

    def repeat(received: Received) -> Script:
        answer = HEAD % len(received.body) + received.body
        return Script([answer[:30], Pause(len(received.body) % 7 / 10), answer[30:]])

    async with pool_to(ScriptedUpstream(repeat)) as pool:

        async def call(number: int) -> None:
            await trio.sleep(number % 11 / 10)
            with trio.move_on_after(0.2 if number % 5 == 0 else 1e6):
                assert await ask(pool, request(number)) == (200, b"x" * number)

        async with trio.open_nursery() as nursery:
            for number in range(1, 150):
                nursery.start_soon(call, number)
        assert pool.statistics().made < 149
