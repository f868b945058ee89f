"""The chain of hooks: their order, their symmetry, whose errors are whose, and what a cancel leaves to be done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partialmethod
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import (
    ConnectionBroken,
    Forbidden,
    GatewayError,
    ProviderFault,
    RateLimited,
)
from bifrost_trio.plugins import Answer, Plugin, Plugins
from bifrost_trio.types import Call, Reply, Station
from tests.workers.calls import ANSWER, Kept, make_call


class Noting(Plugin):
    """Notes which of its hooks ran. ``does``: what a hook raises if it is an error, else gives."""

    def __init__(self, name: str, log: list[str], **does: Any) -> None:
        super().__init__({})
        self.name = name
        self.log = log
        self.does = does

    def _run(self, hook: str) -> Any:
        self.log.append(f"{self.name}.{hook}")
        what = self.does.get(hook)
        if isinstance(what, BaseException):
            raise what
        return what

    def before(self, call: Call) -> Any:
        return self._run("before")

    def after(self, call: Call, answer: Answer | None) -> Any:
        return self._run("after")

    def error(self, call: Call, error: GatewayError) -> Any:
        return self._run(f"error {type(error).__name__}") or self.does.get("error")


class Changing(Noting):
    """Gets whole answers before the client does."""

    changes_answers = True

    def after(self, call: Call, answer: Answer | None) -> Any:
        return self._run("after with the answer" if answer is not None else "after")


def provider(log: list[str], error: Exception | None = None) -> Station:
    async def answer(call: Call, reply: Reply) -> None:
        log.append("provider")
        if error is not None:
            raise error
        if call.stream:
            reply.start(200, [])
            await reply.finish(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
        else:
            await reply.send(200, [], b"{}")

    return answer


@asynccontextmanager
async def chain(plugins: Sequence[Plugin], following: Station) -> AsyncIterator[Plugins]:
    async with trio.open_nursery() as background:
        yield Plugins(plugins, following, background)


async def ran(plugins: Sequence[Plugin], following: Station, *, stream: bool = False) -> tuple[Kept, Plugins]:
    call = make_call(stream=stream)
    reply = Kept(call)
    async with chain(plugins, following) as station:
        await station(call, reply)
    return reply, station


MADE = Answer(ANSWER)
DOWN = ProviderFault(503, "down")
BUG = ZeroDivisionError("a plugin's bug")

# What the hooks of plugins a, b and c do; how the provider fails; what runs; what the caller gets.
Does = dict[str, dict[str, Any]]
ORDERS: dict[str, tuple[Does, Exception | None, str, type[Exception] | None]] = {
    "reverse on the way back": ({}, None, "a.before b.before c.before provider c.after b.after a.after", None),
    "an answer of a plugin": ({"b": {"before": MADE}}, None, "a.before b.before b.after a.after", None),
    "an answer of the first": ({"a": {"before": MADE}}, None, "a.before a.after", None),
    "a refusal": (
        {"b": {"before": Forbidden("no")}},
        None,
        "a.before b.before b.error Forbidden a.error Forbidden b.after a.after",
        Forbidden,
    ),
    "the provider fails": (
        {},
        DOWN,
        "a.before b.before c.before provider c.error ProviderFault b.error ProviderFault a.error ProviderFault "
        "c.after b.after a.after",
        ProviderFault,
    ),
    "an error is healed": (
        {"b": {"error": MADE}},
        DOWN,
        "a.before b.before c.before provider c.error ProviderFault b.error ProviderFault c.after b.after a.after",
        None,
    ),
    "an error is replaced": (
        {"c": {"error": RateLimited(429, "x")}},
        DOWN,
        "a.before b.before c.before provider c.error ProviderFault b.error RateLimited a.error RateLimited "
        "c.after b.after a.after",
        RateLimited,
    ),
    "an error hook raises another": (
        {"b": {"error ProviderFault": Forbidden("no")}},
        DOWN,
        "a.before b.before c.before provider c.error ProviderFault b.error ProviderFault c.after b.after a.after",
        Forbidden,
    ),
    "a bug before": ({"b": {"before": BUG}}, None, "a.before b.before c.before provider c.after b.after a.after", None),
    "a bug behind": ({"b": {"after": BUG}}, None, "a.before b.before c.before provider c.after b.after a.after", None),
    "an error behind": (
        {"b": {"after": Forbidden("too late")}},
        None,
        "a.before b.before c.before provider c.after b.after a.after",
        None,
    ),
    "no answer at all": (
        {"b": {"before": {"choices": []}}},
        None,
        "a.before b.before c.before provider c.after b.after a.after",
        None,
    ),
    "a bug in an error hook": (
        {"c": {"error ProviderFault": BUG}},
        DOWN,
        "a.before b.before c.before provider c.error ProviderFault b.error ProviderFault a.error ProviderFault "
        "c.after b.after a.after",
        ProviderFault,
    ),
    "a bug of the gateway": (
        {},
        BUG,
        "a.before b.before c.before provider c.after b.after a.after",
        ZeroDivisionError,
    ),
}


@pytest.mark.parametrize(("does", "failure", "expected", "error"), ORDERS.values(), ids=ORDERS)
async def test_which_hooks_run(
    does: Does, failure: Exception | None, expected: str, error: type[Exception] | None
) -> None:
    log: list[str] = []
    plugins = [Noting(name, log, **does.get(name, {})) for name in "abc"]
    call = make_call()
    async with chain(plugins, provider(log, failure)) as station:
        if error is None:
            await station(call, reply := Kept(call))
            assert reply.state == "sent"
        else:
            with pytest.raises(error):
                await station(call, Kept(call))
    assert " ".join(log) == expected


async def test_an_error_may_be_given_instead_of_raised() -> None:
    class Gives(Noting):
        def before(self, call: Call) -> Any:
            return Forbidden("no")

    log: list[str] = []
    async with chain([Gives("a", log)], provider(log)) as station:
        with pytest.raises(Forbidden):
            await station(call := make_call(), Kept(call))
    assert log == ["a.error Forbidden", "a.after"]


@pytest.mark.parametrize("hook", ["before", "after", "error ProviderFault", "error"])
async def test_a_plugins_own_errors_are_logged_and_counted(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    does = "a string is no answer" if hook == "error" else BUG
    plugins = [Noting("good", log), Noting("bad", log, **{hook: does})]
    call = make_call()
    async with chain(plugins, provider(log, DOWN if hook.startswith("error") else None)) as station:
        with suppress(ProviderFault):
            await station(call, Kept(call))
    assert station.statistics().errors == {"good": 0, "bad": 1}
    [record] = caplog.records
    assert record.exc_info is not None
    assert f"plugin bad: {hook.split()[0]} failed" in record.getMessage()


async def test_a_hook_may_be_any_callable() -> None:
    class Wrapped(Noting):
        after = partialmethod(Noting.after)

    plugin = Wrapped("wrapped", [], after=Forbidden("too late"))
    reply, station = await ran([plugin], at_once)
    assert reply.state == "sent"
    assert station.statistics().errors == {"wrapped": 1}


async def test_hooks_may_wait(autojump_clock: trio.testing.MockClock) -> None:
    class Waits(Plugin):
        async def before(self, call: Call) -> Answer | None:
            await trio.sleep(1)
            return None

        async def after(self, call: Call, answer: Answer | None) -> None:
            await trio.sleep(2)

        async def error(self, call: Call, error: GatewayError) -> Answer:
            await trio.sleep(4)
            return MADE

    reply, _ = await ran([Waits({})], provider([], DOWN))
    assert reply.json["choices"] == ANSWER["choices"]
    assert trio.current_time() == 7


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("hooks", [(), ("before",), ("after",), ("before", "after", "error")])
async def test_hooks_that_are_not_defined_cost_nothing(stream: bool, hooks: Sequence[str]) -> None:
    """The next station gets the very reply that came in, unless a plugin wants answers or chunks."""
    plugin = type("Some", (Plugin,), {hook: lambda self, *_: None for hook in hooks})({})
    seen: list[Reply] = []

    async def following(call: Call, reply: Reply) -> None:
        seen.append(reply)

    reply, _ = await ran([plugin], following, stream=stream)
    assert seen[0] is reply


async def test_nothing_is_healed_after_the_commit() -> None:
    async def cut(call: Call, reply: Reply) -> None:
        reply.start(200, [])
        raise ConnectionBroken("cut")

    log: list[str] = []
    async with chain([Noting("a", log, error=MADE)], cut) as station:
        with pytest.raises(ConnectionBroken):
            await station(call := make_call(stream=True), Kept(call))
    assert log == ["a.before", "a.after"]


# --- plugins that want the answer itself ---

CHANGING: dict[str, tuple[bool, Does, Exception | None, str]] = {
    "a whole answer": (False, {}, None, "a.before b.before c.before provider b.after with the answer c.after a.after"),
    "a stream": (True, {}, None, "a.before b.before c.before provider c.after b.after a.after"),
    "a failure": (False, {}, BUG, "a.before b.before c.before provider c.after b.after a.after"),
    "an answer of a plugin behind it": (
        False,
        {"c": {"before": MADE}},
        None,
        "a.before b.before c.before b.after with the answer c.after a.after",
    ),
    "an answer of a plugin before it": (False, {"a": {"before": MADE}}, None, "a.before a.after"),
}


@pytest.mark.parametrize(("stream", "does", "failure", "expected"), CHANGING.values(), ids=CHANGING)
async def test_after_hooks_run_once_for_each_before(
    stream: bool, does: Does, failure: Exception | None, expected: str
) -> None:
    log: list[str] = []
    kinds = {"a": Noting, "b": Changing, "c": Noting}
    plugins = [kind(name, log, **does.get(name, {})) for name, kind in kinds.items()]
    call = make_call(stream=stream)
    async with chain(plugins, provider(log, failure)) as station:
        if failure is None:
            await station(call, Kept(call))
        else:
            with pytest.raises(type(failure)):
                await station(call, Kept(call))
    assert " ".join(log) == expected


# --- what a cancel leaves to be done ---


class Late(Plugin):
    """Its after-hook takes a while."""

    def __init__(self, name: str, log: list[str], seconds: float) -> None:
        super().__init__({})
        self.name, self.log, self.seconds = name, log, seconds

    async def after(self, call: Call, answer: Answer | None) -> None:
        self.log.append(f"{self.name} begins at {trio.current_time():g}")
        await trio.sleep(self.seconds)
        self.log.append(f"{self.name} ends at {trio.current_time():g}")


class LateInDisguise(Late):
    """Not an ``async def``, but what it gives has to be awaited."""

    def after(self, call: Call, answer: Answer | None) -> Any:
        return super().after(call, answer)


async def hang(call: Call, reply: Reply) -> None:
    await trio.sleep_forever()


async def at_once(call: Call, reply: Reply) -> None:
    await reply.send(200, [], b"{}")


# Plugins, the station behind them, when the client leaves, what runs; how many hooks were cut short.
Make = Callable[[list[str]], list[Plugin]]
CANCELS: dict[str, tuple[Make, Callable[[Call, Reply], Awaitable[None]], float, list[str], int]] = {
    "sync ones run inline": (lambda log: [Noting("a", log), Noting("b", log)], hang, 1, ["b.after", "a.after"], 0),
    "async ones run in the background": (
        lambda log: [Noting("a", log), Late("b", log, 3)],
        hang,
        1,
        ["a.after", "cancelled at 1", "b begins at 1", "b ends at 4"],
        0,
    ),
    "awaitables too": (
        lambda log: [LateInDisguise("a", log, 3)],
        hang,
        1,
        ["cancelled at 1", "a begins at 1", "a ends at 4"],
        0,
    ),
    "for five seconds": (lambda log: [Late("a", log, 6)], hang, 1, ["cancelled at 1", "a begins at 1"], 1),
    "cancelled while one waits": (
        lambda log: [Noting("a", log), Late("b", log, 0.5), Late("c", log, 4)],
        at_once,
        1,
        ["c begins at 0", "a.after", "cancelled at 1", "b begins at 1", "b ends at 1.5"],
        0,
    ),
}


@pytest.mark.parametrize(("make", "following", "leaves", "expected", "late"), CANCELS.values(), ids=CANCELS)
async def test_after_a_cancel(
    make: Make,
    following: Station,
    leaves: float,
    expected: list[str],
    late: int,
    autojump_clock: trio.testing.MockClock,
) -> None:
    log: list[str] = []
    async with chain(make(log), following) as station:
        call = make_call()
        with trio.move_on_after(leaves):
            await station(call, Kept(call))
        if any("begins" in line for line in expected):
            log.append(f"cancelled at {trio.current_time():g}")
    assert [line for line in log if not line.endswith("before")] == expected
    assert station.statistics().late == late


async def test_a_late_bug_is_counted(autojump_clock: trio.testing.MockClock) -> None:
    class Fails(Late):
        async def after(self, call: Call, answer: Answer | None) -> None:
            await trio.sleep(1)
            raise ZeroDivisionError

    async with chain([Fails("a", [], 0)], hang) as station:
        with trio.move_on_after(1):
            await station(call := make_call(), Kept(call))
    assert station.statistics().errors == {"a": 1}


async def test_a_cancel_within_a_before_hook() -> None:
    class Hangs(Noting):
        async def before(self, call: Call) -> None:
            await trio.sleep_forever()

    log: list[str] = []
    async with chain([Noting("a", log), Hangs("b", log), Noting("c", log)], hang) as station:
        with trio.move_on_after(0):
            await station(call := make_call(), Kept(call))
    assert log == ["a.before", "b.after", "a.after"]
