"""One process's gateway: what a reload changes, what it leaves alone, and that nothing stays behind."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import trio
import trio.testing

from bifrost_trio.app import open_gateway
from bifrost_trio.errors import ConfigError
from bifrost_trio.plugins import Plugin
from bifrost_trio.testing import Client, MemoryGateway, ScriptedUpstream, config_for_tests, gateway_in_memory
from bifrost_trio.types import Call

CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}
PATH = "/v1/chat/completions"


def key(name: str, *models: str) -> dict[str, Any]:
    return {"name": name, "value": f"sk-{name}", "models": list(models or ("*",))}


def openai(name: str, **settings: Any) -> dict[str, Any]:
    return {"providers": {"openai": {"keys": [key(name)], **settings}}}


class Counting(Plugin):
    """Counts what becomes of it; ``raises`` in `open`, ``refuses`` to be made."""

    made: ClassVar[list[Counting]] = []

    def __init__(self, settings: dict[str, Any]) -> None:
        if "refuses" in settings:
            raise ValueError("refuses is no setting")
        self.settings = settings
        self.opened = self.closed = self.calls = self.late = 0
        Counting.made.append(self)

    async def open(self) -> None:
        await trio.lowlevel.checkpoint()
        self.opened += 1
        if "raises" in self.settings:
            raise OSError("the database is not there")

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        self.closed += 1
        if "sticks" in self.settings:
            raise RuntimeError("it does not close")

    def before(self, call: Call) -> None:
        self.calls += 1

    def after(self, call: Call, answer: object) -> None:
        self.late += self.closed


def plugins(*each: dict[str, Any]) -> list[dict[str, Any]]:
    path = f"{__name__}:Counting"
    return [{"name": f"p{n}", "enabled": True, "path": path, "config": config} for n, config in enumerate(each)]


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
        body = b'{"model":"openai/m","messages":[]}'
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n" % len(body)
        await client.send_raw(head + body[:10])
        await trio.testing.wait_all_tasks_blocked()
        await gateway.running.use(config_for_tests(openai("new")))
        await client.send_raw(body[10:])
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


async def described(gateway: MemoryGateway) -> dict[str, Any]:
    """What a user would notice of a configuration, and what it keeps running."""
    running = gateway.running
    assembly = running.assembly
    client = gateway.client()
    team = {"x-team": "a"}
    models = await client.get("/v1/models", team)
    chat = await client.post(PATH, CHAT, team)
    fields = chat.json["extra_fields"]
    page = await client.get("/health", {"origin": "https://app.example"})
    client.hang_up()
    await gateway.quiet()
    return {
        "models": [model["id"] for model in models.json["data"]],
        "chat": (chat.status, sorted(fields), fields.get("routing_info")),
        "required": (await gateway.client().get("/v1/models")).status,
        "page": page.headers.get("access-control-allow-origin"),
        "keys": {name: [key.name for key in attempts.keys.keys] for name, attempts in assembly.attempts.items()},
        "policies": {name: attempts.policy for name, attempts in assembly.attempts.items()},
        "pools": {name: attempts.pool.statistics() for name, attempts in assembly.attempts.items()},
        "connections": {name: provider.statistics() for name, provider in assembly.providers.items()},
        "budget": assembly.budget.statistics(),
        "largest": assembly.budget.largest,
        "plugins": [(plugin.name, plugin.settings) for plugin in assembly.plugins if isinstance(plugin, Counting)],
        "comments": await waited(gateway),
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "sockets": running.poller.statistics().sockets,
    }


async def waited(gateway: MemoryGateway) -> int:
    """How many comments a stream gets in twenty seconds."""
    client = gateway.client()
    words = [{"role": "user", "content": "[[mock delay=19.9]]"}]
    answer = await client.post(PATH, {**STREAM, "messages": words}, {"x-team": "a"})
    client.hang_up()
    gateway.hang_up()
    await trio.sleep(15)  # whoever looks after such streams has looked once more
    await gateway.quiet()
    return answer.body.count(b": waiting")


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


async def test_a_plugin_of_a_call_that_never_ends(autojump_clock: trio.testing.MockClock) -> None:
    """It is closed with the gateway."""
    settings = {**openai("one"), "plugins": plugins({})}
    async with gateway_in_memory(settings, ScriptedUpstream("stall=head")) as gateway:
        [old] = Counting.made
        client = gateway.client()
        body = b'{"model":"openai/m","messages":[]}'
        await client.send_raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 34\r\n\r\n" + body)
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
