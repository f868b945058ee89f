"""The providers' own lists: asked once, not for long, and not again for a while."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ProviderFault, Unreachable
from bifrost_trio.router import ListedModel, ModelLists


class Listing:
    """One provider's list. ``answers`` are given one after another, the last one for ever: models, or an error."""

    def __init__(self, provider: str, *answers: Sequence[str] | Exception, seconds: float = 0.0) -> None:
        self.provider = provider
        self.answers = answers
        self.seconds = seconds
        self.times: list[float] = []

    async def __call__(self) -> list[ListedModel]:
        self.times.append(trio.current_time())
        await trio.sleep(self.seconds)
        answer = self.answers[min(len(self.times), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return [ListedModel(self.provider, model) for model in answer]


def lists_of(*listings: Listing, **configured: list[str]) -> ModelLists:
    return ModelLists(configured, {listing.provider: listing for listing in listings})


async def refreshed_at(lists: ModelLists, *times: float) -> None:
    for time in times:
        await trio.sleep_until(time)
        await lists.refresh()


DOWN = ProviderFault(500, "down")

# What a provider answers, how long it takes, when the lists are asked for, when it is asked.
FRESHNESS: dict[str, tuple[list[Sequence[str] | Exception], float, list[float], list[float]]] = {
    "an hour": ([["x"]], 0, [0, 0, 1, 3599, 3600, 3601, 7199, 7200], [0, 3600, 7200]),
    "an hour since the answer": ([["x"]], 4, [0, 3603, 3604], [0, 3604]),
    "a failed one is left alone": ([DOWN], 0, [0, 1, 29, 30, 59, 60], [0, 30, 60]),
    "a failed one that recovers": ([DOWN, ["x"]], 0, [0, 29, 30, 60, 3629, 3630], [0, 30, 3630]),
    "no connection": ([Unreachable("no")], 0, [0, 29, 30], [0, 30]),
    "a silent one": ([["x"]], 1000, [0, 6, 29, 30, 59, 60], [0, 30, 60]),
}


@pytest.mark.parametrize(("answers", "seconds", "times", "asked"), FRESHNESS.values(), ids=FRESHNESS)
async def test_when_a_list_is_asked_for(
    answers: list[Sequence[str] | Exception],
    seconds: float,
    times: list[float],
    asked: list[float],
    autojump_clock: trio.testing.MockClock,
) -> None:
    listing = Listing("p", *answers, seconds=seconds)
    await refreshed_at(lists_of(listing), *times)
    assert listing.times == pytest.approx(asked)


async def test_a_silent_provider_holds_nobody_up_for_long(autojump_clock: trio.testing.MockClock) -> None:
    quick, silent = Listing("quick", ["x"], seconds=1), Listing("silent", ["y"], seconds=1000)
    lists = lists_of(quick, silent, silent=["configured"])
    await lists.refresh()
    assert trio.current_time() == pytest.approx(5.0)
    assert lists.provider_of("x") == "quick"
    assert lists.provider_of("configured") == "silent"
    assert lists.provider_of("y") is None
    await trio.sleep_until(30)
    await lists.refresh()
    assert (len(quick.times), len(silent.times)) == (1, 2)


async def test_one_asking_at_a_time(autojump_clock: trio.testing.MockClock) -> None:
    listing = Listing("p", ["x"], seconds=2)
    lists = lists_of(listing)
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(lists.refresh)
    assert listing.times == [0]
    assert trio.current_time() == 2


async def test_who_asked_may_leave(autojump_clock: trio.testing.MockClock) -> None:
    """The first client hangs up while the list is being fetched; the second one gets its answer all the same."""
    listing = Listing("p", ["x"], seconds=2)
    lists = lists_of(listing)
    async with trio.open_nursery() as nursery:

        async def leave() -> None:
            with trio.move_on_after(1):
                await lists.refresh()

        nursery.start_soon(leave)
        await trio.testing.wait_all_tasks_blocked()
        await lists.refresh()
        assert lists.provider_of("x") == "p"
    assert listing.times == [0, 1]


async def test_an_old_list_serves_until_there_is_a_new_one(autojump_clock: trio.testing.MockClock) -> None:
    lists = lists_of(Listing("p", ["x"], DOWN, ["y"]))
    await lists.refresh()
    await refreshed_at(lists, 3600)
    assert lists.provider_of("x") == "p"
    await refreshed_at(lists, 3630)
    assert (lists.provider_of("x"), lists.provider_of("y")) == (None, "p")


async def test_the_configuration_comes_first() -> None:
    lists = lists_of(Listing("a", ["m", "n"]), Listing("b", ["n", "o"]), b=["m"], a=["k"])
    assert lists.provider_of("m") == "b"
    await lists.refresh()
    found = {name: lists.provider_of(name) for name in "kmnoz"}
    assert found == {"k": "a", "m": "b", "n": "a", "o": "b", "z": None}


async def test_all_models() -> None:
    lists = lists_of(Listing("a", ["m", "n", "m"]), Listing("b", DOWN), a=["n", "fast"], b=["o"], c=["q"])
    await lists.refresh()
    assert [listed.id for listed in lists.all()] == ["a/m", "a/n", "a/fast", "b/o", "c/q"]
    assert [listed.id for listed in lists.all("b")] == ["b/o"]
    assert lists.all("nobody") == []
