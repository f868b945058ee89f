"""The worker pool: never more than N at work, first come first served, a full house answered."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing

from bifrost_trio.errors import QueueFull
from bifrost_trio.workers import Worker, WorkerPool


async def taken(pool: WorkerPool) -> Worker:
    return pool.borrow_nowait() or await pool.borrow()


def numbers(pool: WorkerPool) -> tuple[int, int, int, int]:
    """Busy, idle, waiting, refused."""
    now = pool.statistics()
    return now.busy, now.idle, now.waiting, now.refused


async def test_workers_are_made_as_they_are_needed() -> None:
    pool = WorkerPool("p", 3, 0)
    assert pool.statistics().made == 0
    first = await taken(pool)
    pool.give_back(first)
    again = await taken(pool)
    assert again is first
    assert (again.number, again.calls) == (1, 2)
    second = await taken(pool)
    assert second.number == 2
    assert numbers(pool) == (2, 0, 0, 0)
    pool.give_back(second)
    pool.give_back(again)
    assert numbers(pool) == (0, 2, 0, 0)
    assert pool.statistics().limit == 3


async def test_first_come_first_served(autojump_clock: trio.testing.MockClock) -> None:
    pool = WorkerPool("p", 1, 10)
    order: list[int] = []

    async def work(number: int) -> None:
        await trio.sleep(number / 100)  # they come in the order of their numbers
        worker = await taken(pool)
        order.append(number)
        await trio.sleep(1)
        pool.give_back(worker)

    async with trio.open_nursery() as nursery:
        for number in reversed(range(8)):
            nursery.start_soon(work, number)
    assert order == list(range(8))
    assert numbers(pool) == (0, 1, 0, 0)


async def test_a_newcomer_does_not_pass_those_who_wait() -> None:
    pool = WorkerPool("p", 1, 1)
    worker = await taken(pool)
    served: list[Worker] = []
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            served.append(await taken(pool))

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        pool.give_back(worker)
        assert pool.borrow_nowait() is None
    assert served == [worker]


async def assert_one_more_is_refused(pool: WorkerPool, *, at_work: int, waiting: int) -> None:
    """A call more than so many at work and waiting: refused at once. When all have left, every worker is home."""
    held = [await taken(pool) for _ in range(at_work)]
    async with trio.open_nursery() as nursery:
        for _ in range(waiting):
            nursery.start_soon(taken, pool)
        await trio.testing.wait_all_tasks_blocked()
        before = trio.current_time()
        with pytest.raises(QueueFull, match=f"openai has {at_work} calls at work and {waiting} waiting") as caught:
            await taken(pool)
        assert trio.current_time() == before
        assert (caught.value.status, caught.value.code) == (429, "queue_full")
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= 1
        assert numbers(pool) == (at_work, 0, waiting, 1)
        nursery.cancel_scope.cancel()
    for worker in held:
        pool.give_back(worker)
    assert numbers(pool) == (0, at_work, 0, 1)


@pytest.mark.parametrize("queue", [0, 1, 3])
async def test_a_full_house_is_answered_at_once(queue: int, autojump_clock: trio.testing.MockClock) -> None:
    await assert_one_more_is_refused(WorkerPool("openai", 2, queue), at_work=2, waiting=queue)


async def test_a_house_that_does_not_shed_lets_wait_but_not_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    pool = WorkerPool("openai", 1, 0, shed=False, patience=7.0)
    worker = await taken(pool)
    began = trio.current_time()
    with pytest.raises(QueueFull) as caught:
        await taken(pool)
    assert trio.current_time() - began == pytest.approx(7.0)
    assert caught.value.retry_after is not None
    assert numbers(pool) == (1, 0, 0, 1)

    async def give_back_later() -> None:
        await trio.sleep(6.9)
        pool.give_back(worker)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_back_later)
        assert await taken(pool) is worker


@pytest.mark.parametrize(("queue", "most"), [(0, 10), (1, 10), (3, 30)])
async def test_a_house_that_does_not_shed_has_a_bound_too(
    queue: int, most: int, autojump_clock: trio.testing.MockClock
) -> None:
    await assert_one_more_is_refused(WorkerPool("openai", 1, queue, shed=False), at_work=1, waiting=most)


async def test_those_who_wait_in_a_queue_have_patience_too(autojump_clock: trio.testing.MockClock) -> None:
    pool = WorkerPool("p", 1, 5, patience=3.0)
    await taken(pool)
    with pytest.raises(QueueFull, match="in 3 s"):
        await taken(pool)
    assert trio.current_time() == pytest.approx(3.0)


async def test_who_leaves_while_waiting_leaves_nothing() -> None:
    pool = WorkerPool("p", 1, 2)
    worker = await taken(pool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(taken, pool)
        nursery.start_soon(taken, pool)
        await trio.testing.wait_all_tasks_blocked()
        assert numbers(pool) == (1, 0, 2, 0)
        nursery.cancel_scope.cancel()
    assert numbers(pool) == (1, 0, 0, 0)
    pool.give_back(worker)
    assert numbers(pool) == (0, 1, 0, 0)
    assert pool.borrow_nowait() is worker


@pytest.mark.parametrize("first", ["give back", "cancel"])
async def test_a_worker_given_to_who_leaves_in_the_same_moment_is_not_lost(first: str) -> None:
    pool = WorkerPool("p", 1, 1)
    worker = await taken(pool)

    async def work() -> None:
        borrowed = await taken(pool)
        try:
            await trio.sleep_forever()
        finally:
            pool.give_back(borrowed)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await trio.testing.wait_all_tasks_blocked()
        if first == "cancel":
            nursery.cancel_scope.cancel()
        pool.give_back(worker)
        nursery.cancel_scope.cancel()
    assert numbers(pool) == (0, 1, 0, 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shed", [True, False])
async def test_a_hundred_calls_in_disorder(seed: int, shed: bool, autojump_clock: trio.testing.MockClock) -> None:
    limit, queue = (chance := random.Random(seed)).randint(1, 8), chance.randint(0, 60)
    pool = WorkerPool("p", limit, queue, shed=shed, patience=chance.choice([0.5, 5.0]))
    at_work: set[Worker] = set()
    ends = {"served": 0, "refused": 0, "failed": 0, "left": 0}

    async def call(arrives: float, works: float, leaves: float, fails: bool) -> None:
        await trio.sleep(arrives)
        with trio.move_on_after(leaves):
            try:
                worker = await taken(pool)
            except QueueFull:
                ends["refused"] += 1
                return
            assert worker not in at_work
            at_work.add(worker)
            try:
                assert len(at_work) <= limit
                assert pool.statistics().waiting <= (queue if shed else 10 * max(queue, 1))
                await trio.sleep(works)
                if fails:
                    raise ZeroDivisionError
                ends["served"] += 1
            except ZeroDivisionError:
                ends["failed"] += 1
            finally:
                at_work.discard(worker)
                pool.give_back(worker)
            return
        ends["left"] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            leaves = chance.choice([chance.uniform(0, 1), 1000.0])
            nursery.start_soon(call, chance.uniform(0, 3), chance.uniform(0, 0.3), leaves, chance.random() < 0.2)
    assert sum(ends.values()) == 100
    assert (now := pool.statistics()).busy == now.waiting == 0
    assert now.made <= limit
    assert now.refused == ends["refused"]
