"""Plugins over reloads: opened and closed once, also where a configuration is of no use."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.app import open_gateway
from bifrost_trio.errors import ConfigError
from bifrost_trio.testing import ScriptedUpstream, config_for_tests, gateway_in_memory
from tests.reloading import HALF, PATH, REST, STREAM, Counting, described, openai, plugins


@pytest.fixture(autouse=True)
def _forgets() -> None:
    Counting.made.clear()


# --- plugins ----------------------------------------------------------------------------------------------------------


async def test_a_plugin_is_opened_and_closed_once(autojump_clock: trio.testing.MockClock) -> None:
    settings = {**openai("one"), "plugins": plugins({}, {"n": 2})}
    async with gateway_in_memory(settings) as gateway:
        for _ in range(3):
            await gateway.ask("Hello")
            await gateway.running.use(config_for_tests(settings))
            await trio.testing.wait_all_tasks_blocked()
        assert [(one.opened, one.closed, one.calls) for one in Counting.made] == [(1, 1, 1)] * 6 + [(1, 0, 0)] * 2
    assert [(one.opened, one.closed) for one in Counting.made] == [(1, 1)] * 8


async def test_a_plugin_is_closed_after_its_last_call(autojump_clock: trio.testing.MockClock) -> None:
    settings = {**openai("one"), "plugins": plugins({})}
    async with gateway_in_memory(settings, ScriptedUpstream("gap=5")) as gateway:
        [old] = Counting.made
        async with gateway.client().stream(PATH, STREAM) as stream:
            await stream.read()
            await gateway.running.use(config_for_tests(openai("two")))
            await trio.testing.wait_all_tasks_blocked()
            assert old.closed == 0
            await stream.read_to_end()
        await trio.testing.wait_all_tasks_blocked()
        assert (old.closed, old.late) == (1, 0)


async def test_a_plugin_of_a_request_that_is_being_read(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory({**openai("one"), "plugins": plugins({})}) as gateway:
        [old] = Counting.made
        client = gateway.client()
        await client.send_raw(HALF)
        await trio.testing.wait_all_tasks_blocked()
        await gateway.running.use(config_for_tests(openai("two")))
        await trio.testing.wait_all_tasks_blocked()
        await client.send_raw(REST)
        assert (await client.read_answer()).status == 200
        await trio.testing.wait_all_tasks_blocked()
        assert (old.calls, old.closed, old.late) == (1, 1, 0)


async def test_a_plugin_of_a_call_that_never_ends(autojump_clock: trio.testing.MockClock) -> None:
    """It is closed with the gateway."""
    settings = {**openai("one"), "plugins": plugins({})}
    async with gateway_in_memory(settings, ScriptedUpstream("stall=head")) as gateway:
        [old] = Counting.made
        await gateway.client().send_raw(HALF + REST)
        await trio.sleep(1)
        await gateway.running.use(config_for_tests(openai("two")))
        await trio.sleep(1)
        assert (old.calls, old.closed) == (1, 0)
    assert old.closed == 1


# --- configurations that are of no use --------------------------------------------------------------------------------

BROKEN: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a plugin that is not there": ([{"name": "x", "enabled": True, "path": "nowhere:X"}], "nowhere"),
    "a plugin that refuses its settings": (plugins({}, {"refuses": 1}), "refuses"),
    "a plugin that cannot be opened": (plugins({}, {"raises": 1}), "the database is not there"),
}


@pytest.mark.parametrize(("entries", "told"), BROKEN.values(), ids=BROKEN)
async def test_what_cannot_be_used_changes_nothing(
    entries: list[dict[str, Any]], told: str, autojump_clock: trio.testing.MockClock
) -> None:
    settings = {**openai("one"), "plugins": plugins({})}
    async with gateway_in_memory(settings) as gateway:
        before = await described(gateway)
        assembly = gateway.running.assembly
        [mine] = Counting.made
        for _ in range(3):
            with pytest.raises(ConfigError) as raised:
                await gateway.running.use(config_for_tests({**openai("two"), "plugins": entries}))
            assert told in str(raised.value)
        assert gateway.running.assembly is assembly
        assert (mine.opened, mine.closed) == (1, 0)
        # What had been opened for it is closed again.
        others = [one for one in Counting.made if one is not mine and "raises" not in one.settings]
        assert all(one.opened == one.closed for one in others)
        assert (await described(gateway))["chat"] == before["chat"]


@pytest.mark.parametrize(("entries", "told"), BROKEN.values(), ids=BROKEN)
async def test_nor_does_it_start(
    entries: list[dict[str, Any]], told: str, autojump_clock: trio.testing.MockClock
) -> None:
    tasks = trio.lowlevel.current_statistics().tasks_living
    with pytest.raises(ConfigError) as raised:
        async with open_gateway(config_for_tests({**openai("one"), "plugins": entries})):
            pass
    assert told in str(raised.value)
    assert all(one.opened == one.closed for one in Counting.made if "raises" not in one.settings)
    assert trio.lowlevel.current_statistics().tasks_living == tasks


async def test_a_plugin_that_does_not_close(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    """It is logged; the others are closed, the reload is done, the gateway ends."""
    settings = {**openai("one"), "plugins": plugins({}, {"sticks": 1}, {})}
    async with gateway_in_memory(settings) as gateway:
        await gateway.running.use(config_for_tests(settings))
        await trio.testing.wait_all_tasks_blocked()
        assert (await gateway.ask("Hello")).status == 200
    assert [one.closed for one in Counting.made] == [1] * 6
    assert "does not close" in caplog.text
