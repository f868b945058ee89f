"""What stands around an attempt: the worker and its way home, the commit, the client that leaves, the caller's keys."""

from __future__ import annotations

import gc

import pytest
import trio
import trio.testing

from bifrost_trio.errors import (
    ClientGone,
    ConnectionBroken,
    GatewayError,
    IdleTimeout,
    KeyRefused,
    KeysExhausted,
    NoEligibleKey,
    ProviderFault,
    QueueFull,
    RateLimited,
    StreamFault,
)
from bifrost_trio.types import Call, Options, Reply, WholeAnswer
from bifrost_trio.workers import Workers
from tests.workers.calls import Kept, make_call
from tests.workers.played import OK, Play, Played, attempts_of


async def test_the_worker_is_at_home_before_the_client_is_written_to() -> None:
    attempts = attempts_of(Played(OK))
    call = make_call()

    class Slow(Kept):
        async def send(self, status: int, headers: object, body: bytes) -> None:
            assert attempts.pool.statistics().busy == 0
            assert call.trail[0].kind == "success"
            await super().send(status, [], body)

    await attempts(call, reply := Slow(call))
    assert reply.state == "sent"


async def test_a_worker_waits_for_nobody_during_a_back_off(autojump_clock: trio.testing.MockClock) -> None:
    """One worker serves another call while the first one sits out its back-off."""
    provider = Played(ProviderFault(503, "busy", retry_after=4), OK)
    attempts = attempts_of(provider)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(attempts, first := make_call(), Kept(first))
        await trio.testing.wait_all_tasks_blocked()
        assert attempts.pool.statistics().busy == 0
        await attempts(second := make_call(), Kept(second))
        assert trio.current_time() == 0
    assert trio.current_time() == 4
    assert first.outcome.back_off_seconds == pytest.approx(4)
    assert first.outcome.queue_seconds == 0


async def test_after_a_back_off_a_call_waits_its_turn_again(autojump_clock: trio.testing.MockClock) -> None:
    async def long(call: Call, reply: Reply) -> WholeAnswer:
        await trio.sleep(10)
        return OK

    provider = Played(ProviderFault(500, "down"), long, OK)
    attempts = attempts_of(provider)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(attempts, first := make_call(), Kept(first))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(attempts, second := make_call(), Kept(second))
    assert provider.times == pytest.approx([0, 0, 10])
    assert first.outcome.back_off_seconds + first.outcome.queue_seconds == pytest.approx(10)
    assert first.outcome.queue_seconds > 9
    assert second.outcome.queue_seconds == 0


async def test_a_full_queue_is_no_attempt() -> None:
    attempts = attempts_of(Played(OK), queue=0)
    held = attempts.pool.borrow_nowait()
    assert held is not None
    call = make_call()
    with pytest.raises(QueueFull):
        await attempts(call, Kept(call))
    assert call.trail == []
    attempts.pool.give_back(held)
    await attempts(call, reply := Kept(call))
    assert reply.status == 200


async def test_the_call_that_is_cancelled_in_a_back_off(autojump_clock: trio.testing.MockClock) -> None:
    attempts = attempts_of(Played(ConnectionBroken("cut")), retries=9)
    call = make_call()
    with trio.move_on_after(2.0) as scope:  # attempts at 0, 0.5, 1.5; the next would be at 3.5
        await attempts(call, Kept(call))
    assert scope.cancelled_caught
    assert [attempt.kind for attempt in call.trail] == ["provider_connection_failed"] * 3
    assert call.outcome.back_off_seconds == pytest.approx(2.0)
    now = attempts.pool.statistics()
    assert (now.busy, now.waiting) == (0, 0)


async def test_the_call_that_is_cancelled_in_an_attempt(autojump_clock: trio.testing.MockClock) -> None:
    async def hang(call: Call, reply: Reply) -> None:
        await trio.sleep_forever()

    attempts = attempts_of(Played(hang))
    call = make_call()
    with trio.move_on_after(3.0):
        await attempts(call, Kept(call))
    [attempt] = call.trail
    assert (attempt.kind, attempt.status) == ("cancelled", 0)
    assert attempt.seconds == pytest.approx(3.0)
    assert attempts.pool.statistics().busy == 0


async def test_the_call_that_is_cancelled_while_it_waits_for_a_worker(autojump_clock: trio.testing.MockClock) -> None:
    attempts = attempts_of(Played(OK))
    attempts.pool.borrow_nowait()
    call = make_call()
    with trio.move_on_after(3.0):
        await attempts(call, Kept(call))
    assert call.trail == []
    assert call.outcome.queue_seconds == pytest.approx(3.0)
    assert attempts.pool.statistics().waiting == 0


AFTER_THE_COMMIT: list[GatewayError] = [
    ConnectionBroken("cut"),
    IdleTimeout("stood still"),
    StreamFault("overloaded", status=529),
    RateLimited(429, "later"),
    KeyRefused(401, "no"),
    ClientGone("hung up"),
]


@pytest.mark.parametrize("error", AFTER_THE_COMMIT, ids=lambda error: type(error).__name__)
async def test_nothing_is_tried_again_after_the_commit(error: GatewayError) -> None:
    async def begin_and_fail(call: Call, reply: Reply) -> None:
        reply.claim()
        reply.start(200, [])
        await reply.write(b"half of ")
        raise error

    provider = Played(begin_and_fail, OK)
    attempts = attempts_of(provider, "ab", retries=5)
    call = make_call(stream=True)
    reply = Kept(call)
    with pytest.raises(type(error)):
        await attempts(call, reply)
    assert len(provider.keys) == 1
    assert (reply.state, reply.body) == ("started", b"half of ")
    assert call.trail[0].kind == error.kind
    assert attempts.pool.statistics().busy == 0


async def test_a_stream_is_an_answer() -> None:
    async def stream(call: Call, reply: Reply) -> None:
        reply.claim()
        reply.start(200, [])
        await reply.finish(b"all")

    call = make_call(stream=True)
    await attempts_of(Played(stream))(call, reply := Kept(call))
    assert (reply.state, reply.body) == ("finished", b"all")
    assert (call.trail[0].kind, call.trail[0].status) == ("success", 200)


@pytest.mark.parametrize("reason", ["content_filter", "refusal"])
async def test_a_refusal_by_the_model_is_an_answer(reason: str) -> None:
    body = b'{"choices":[{"finish_reason":"%b"}]}' % reason.encode()
    provider = Played(WholeAnswer(200, [], body), OK)
    await attempts_of(provider, "abc")(call := make_call(), reply := Kept(call))
    assert reply.body == body
    assert len(provider.keys) == 1


async def test_what_nobody_foresaw_is_not_tried_again() -> None:
    attempts = attempts_of(Played(ZeroDivisionError("a bug")))
    call = make_call()
    with pytest.raises(ZeroDivisionError):
        await attempts(call, Kept(call))
    assert [attempt.kind for attempt in call.trail] == ["gateway_internal"]
    assert attempts.pool.statistics().busy == 0


GARBAGE: dict[str, list[int]] = {
    "success at last": [500, 500, 200],
    "another key": [429, 429, 200],
    "every key refused": [401, 401],
    "all kinds": [429, 401, 500],
    "cancelled": [429, 429, 429, 429, 429, 429],
}


@pytest.mark.parametrize("statuses", GARBAGE.values(), ids=GARBAGE)
async def test_errors_that_were_overcome_leave_no_garbage(
    statuses: list[int], autojump_clock: trio.testing.MockClock
) -> None:
    def playing(status: int) -> Play:
        kinds = {401: KeyRefused, 429: RateLimited, 500: ProviderFault}

        async def play(call: Call, reply: Reply) -> WholeAnswer:
            if status in kinds:
                raise kinds[status](status, "again")
            return OK

        return play

    attempts = attempts_of(Played(*map(playing, statuses)), "ab", retries=5)
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        with trio.move_on_after(3.0):
            try:
                await attempts(call := make_call(), Kept(call))
            except GatewayError as error:
                error.forget_frames()  # as the transport does, when it has answered
        gc.collect()
        assert [one for one in gc.garbage if type(one).__module__.startswith("bifrost_trio")] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def asking(**wanted: str) -> Options:
    options = Options()
    for name, value in wanted.items():
        setattr(options, name, value)
    return options


PINNED: dict[str, tuple[Options, list[Play], str, list[float], type[GatewayError] | None]] = {
    "429 of a pinned key": (asking(key_name="b"), [RateLimited(429, "later"), OK], "b b", [0.5], None),
    "401 of a pinned key": (asking(key_name="b"), [KeyRefused(401, "no")], "b", [], KeysExhausted),
    "429 of a caller's own key": (asking(direct_key="sk"), [RateLimited(429, "x"), OK], "direct direct", [0.5], None),
    "401 of a caller's own key": (asking(direct_key="sk"), [KeyRefused(401, "no")], "direct", [], KeysExhausted),
}


@pytest.mark.parametrize(("options", "plays", "used", "waits", "error"), PINNED.values(), ids=PINNED)
async def test_a_call_with_a_key_of_its_own_takes_no_other(
    options: Options,
    plays: list[Play],
    used: str,
    waits: list[float],
    error: type[GatewayError] | None,
    autojump_clock: trio.testing.MockClock,
) -> None:
    provider = Played(*plays)
    call = make_call(options=options)
    if error is None:
        await attempts_of(provider, "abc")(call, Kept(call))
    else:
        with pytest.raises(error):
            await attempts_of(provider, "abc")(call, Kept(call))
    assert provider.keys == used.split()
    assert provider.waits == pytest.approx(waits)


async def test_each_provider_has_workers_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    async def hang(call: Call, reply: Reply) -> None:
        await trio.sleep_forever()

    providers = {"slow": attempts_of(Played(hang)), "quick": attempts_of(Played(OK))}
    station = Workers(providers)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(station, slow := make_call("slow/m"), Kept(slow))
        await trio.testing.wait_all_tasks_blocked()
        await station(call := make_call("quick/m"), reply := Kept(call))
        assert (reply.status, trio.current_time()) == (200, 0)
        now = providers["slow"].pool.statistics()
        assert (now.busy, now.waiting) == (1, 4)
        nursery.cancel_scope.cancel()


async def test_no_key_for_the_model_is_no_attempt() -> None:
    call = make_call()
    with pytest.raises(NoEligibleKey):
        await attempts_of(Played(OK), "")(call, Kept(call))
    assert call.trail == []
