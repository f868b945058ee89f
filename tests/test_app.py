"""One process's gateway: what a reload changes, what it leaves alone, and that nothing stays behind."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.app import open_gateway
from bifrost_trio.testing import Client, ScriptedUpstream, config_for_tests, gateway_in_memory
from tests.reloading import CHAT, HALF, PATH, REST, STREAM, Counting, described, key, openai, plugins


@pytest.fixture(autouse=True)
def _forgets() -> None:
    Counting.made.clear()


# --- calls in flight --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_in_flight_end_where_they_began(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream("delay=5 gap=2", "")
    async with gateway_in_memory(openai("old"), upstream) as gateway, trio.open_nursery() as nursery:
        client = gateway.client()

        async def ask() -> None:
            answer = await client.post(PATH, {**CHAT, "stream": stream})
            assert (answer.status, answer.text) == (200, "You said: Hello")

        nursery.start_soon(ask)
        await trio.sleep(1)
        await gateway.running.use(config_for_tests(openai("new")))
        answer = await gateway.ask("Hello")
        assert answer.json["extra_fields"]["routing_info"]["key"] == "new"
        assert trio.current_time() < 2  # nobody waited for anybody
        await trio.sleep(20)
        # The connection on which it was asked serves the new stations from now on.
        assert (await client.post(PATH, CHAT)).json["extra_fields"]["routing_info"]["key"] == "new"
        assert [request.header("authorization") for request in upstream.requests] == [
            "Bearer sk-old",
            "Bearer sk-new",
            "Bearer sk-new",
        ]
        await gateway.quiet()


async def test_attempts_in_flight_keep_their_keys_and_limits(autojump_clock: trio.testing.MockClock) -> None:
    """A call that backs off is tried again with what it began with, and falls back to what was there."""
    upstreams = {"openai": ScriptedUpstream("status=500"), "anthropic": ScriptedUpstream()}
    old = openai("old", network_config={"retry_backoff_initial": 4000})
    old["providers"]["anthropic"] = {}
    async with gateway_in_memory(old, upstreams) as gateway, trio.open_nursery() as nursery:

        async def ask() -> None:
            fields = (await gateway.ask("Hello", fallbacks=["anthropic/claude"])).json["extra_fields"]
            assert [attempt["key"] for attempt in fields["attempts"]] == ["old"] * 3 + ["anthropic-key"]

        nursery.start_soon(ask)
        await trio.sleep(1)
        await gateway.running.use(config_for_tests(openai("new")))
        assert (await gateway.ask("Hello", model="anthropic/claude")).status == 404


async def test_a_request_that_is_being_read(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(openai("old")) as gateway:
        client = gateway.client()
        await client.send_raw(HALF)
        await trio.testing.wait_all_tasks_blocked()
        await gateway.running.use(config_for_tests(openai("new")))
        await client.send_raw(REST)
        answer = await client.read_answer()
        assert answer.json["extra_fields"]["routing_info"]["key"] == "old"
        await gateway.quiet()


async def test_calls_that_wait_for_a_worker(autojump_clock: trio.testing.MockClock) -> None:
    """They wait for those of their own time; the new pool has room."""
    narrow = openai("old", concurrency_and_buffer_size={"concurrency": 1, "buffer_size": 5})
    async with gateway_in_memory(narrow, ScriptedUpstream("delay=3")) as gateway, trio.open_nursery() as nursery:
        times: list[float] = []

        async def ask() -> None:
            assert (await gateway.ask("Hello")).status == 200
            times.append(trio.current_time())

        for _ in range(3):
            nursery.start_soon(ask)
        await trio.sleep(1)
        await gateway.running.use(config_for_tests(openai("new")))
        nursery.start_soon(ask)
        await trio.sleep(20)
        assert times == pytest.approx([3, 4, 6, 9], abs=0.05)
        await gateway.quiet()


async def test_a_hundred_reloads_under_fifty_streams(autojump_clock: trio.testing.MockClock) -> None:
    """No stream breaks, and nothing of the hundred is left: no task, no socket, no call."""
    upstream = ScriptedUpstream("gap=5 chunks=50 content=" + "word" * 50)
    async with gateway_in_memory(openai("k0"), upstream) as gateway:
        await gateway.ask("Hello")
        await gateway.quiet()
        before = trio.lowlevel.current_statistics().tasks_living
        texts: list[str] = []

        async def ask(client: Client) -> None:
            answer = await client.post(PATH, STREAM)
            assert answer.events[-1][1] == b"[DONE]"
            texts.append(answer.text)
            client.hang_up()

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask, gateway.client())
            for number in range(1, 101):
                await trio.sleep(1)
                interval = 10 + number % 3
                settings = {**openai(f"k{number}"), "server": {"stream_comment_after_seconds": interval}}
                await gateway.running.use(config_for_tests(settings))
                assert (await gateway.client().get("/health")).status == 200
        assert texts == ["word" * 50] * 50
        gateway.hang_up()
        await gateway.quiet()
        assert gateway.running.poller.statistics().sockets == upstream.statistics().open == 0
        # The provider's end of the one connection that was kept before the reloads is gone too.
        assert trio.lowlevel.current_statistics().tasks_living < before


# --- a reload and a cold start ----------------------------------------------------------------------------------------

CONFIGS: dict[str, dict[str, Any]] = {
    "one provider": openai("one"),
    "two providers": {"providers": {"openai": {"keys": [key("a"), key("b", "gpt-x")]}, "anthropic": {}}},
    "another provider": {"providers": {"groq": {"keys": [key("g", "llama-1", "llama-2")]}}},
    "none": {"providers": {}},
    "plugins": {**openai("one"), "plugins": plugins({}, {"x": 1})},
    "limits": {
        **openai("one", concurrency_and_buffer_size={"concurrency": 3, "buffer_size": 4}),
        "client": {"max_request_body_size_mb": 1, "required_headers": ["x-team"], "allowed_origins": ["*"]},
        "server": {"stream_comment_after_seconds": 3, "memory_budget_in_mb": 7},
    },
    "no comments": {**openai("one"), "server": {"stream_comment_after_seconds": 0}},
    "raw": openai("one", send_back_raw_request=True, network_config={"max_retries": 7}),
}


@pytest.mark.parametrize("after", CONFIGS)
@pytest.mark.parametrize("before", CONFIGS)
async def test_a_reload_ends_as_a_cold_start_begins(
    before: str, after: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with gateway_in_memory(CONFIGS[after]) as gateway:
        expected = await described(gateway)
    async with gateway_in_memory(CONFIGS[before]) as gateway:
        await described(gateway)
        await gateway.running.use(config_for_tests(CONFIGS[after]))
        await trio.testing.wait_all_tasks_blocked()
        assert await described(gateway) == expected
        # And back, and again.
        for name in (before, after):
            await gateway.running.use(config_for_tests(CONFIGS[name]))
        await trio.testing.wait_all_tasks_blocked()
        assert await described(gateway) == expected


# --- two at once ------------------------------------------------------------------------------------------------------


async def test_two_reloads_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """One of them is in use afterwards, and nothing of the other one is left."""
    async with gateway_in_memory(openai("zero")) as gateway:
        async with trio.open_nursery() as nursery:
            for name in ("one", "two", "three"):
                settings = {**openai(name), "plugins": plugins({"name": name})}
                nursery.start_soon(gateway.running.use, config_for_tests(settings))
        await trio.testing.wait_all_tasks_blocked()
        name = (await gateway.ask("Hello")).json["extra_fields"]["routing_info"]["key"]
        assert [one.settings["name"] for one in Counting.made if not one.closed] == [name]
        assert all(one.opened == 1 for one in Counting.made)
        await gateway.quiet()


# --- its own life -----------------------------------------------------------------------------------------------------


class Own(Exception):
    """A program's."""


async def test_what_the_block_raises_comes_out_as_it_is(autojump_clock: trio.testing.MockClock) -> None:
    tasks = trio.lowlevel.current_statistics().tasks_living
    with pytest.raises(Own):
        async with open_gateway(config_for_tests({**openai("one"), "plugins": plugins({})})):
            raise Own
    assert Counting.made[0].closed == 1
    assert trio.lowlevel.current_statistics().tasks_living == tasks


async def test_a_cancelled_gateway_closes_its_plugins(autojump_clock: trio.testing.MockClock) -> None:
    with trio.move_on_after(1) as scope:
        async with open_gateway(config_for_tests({**openai("one"), "plugins": plugins({})})):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert Counting.made[0].closed == 1
