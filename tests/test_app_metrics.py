"""What a reload leaves of the metrics: calls in flight are seen where they are, no counter falls, memory is one."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from bifrost_trio.testing import MemoryGateway, ScriptedUpstream, config_for_tests, gateway_in_memory
from tests.reloading import CHAT, PATH, STREAM, openai

BIG = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n"


async def metrics(gateway: MemoryGateway) -> dict[str, float]:
    client = gateway.client()
    text = (await client.get("/metrics")).body.decode()
    client.hang_up()
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def busy(seen: dict[str, float]) -> list[float]:
    """Open calls, busy workers, busy connections to the provider."""
    connections = sum(v for n, v in seen.items() if n.startswith("bifrost_upstream_connections{") and "busy" in n)
    return [
        seen["bifrost_active_requests"],
        seen.get('bifrost_workers_busy{provider="openai"}', 0.0),
        connections,
    ]


async def test_a_stream_on_stations_that_were_replaced_is_seen(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream("gap=5", "")
    async with gateway_in_memory(openai("old"), upstream) as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(gateway.client().post, PATH, STREAM)
        await trio.sleep(1)
        assert busy(await metrics(gateway)) == [1, 1, 1]
        for name in ("new", "newer"):
            await gateway.running.use(config_for_tests(openai(name)))
            await trio.sleep(1)
            assert busy(await metrics(gateway)) == [1, 1, 1]
        await trio.sleep(40)
        assert busy(await metrics(gateway)) == [0, 0, 0]
        await gateway.quiet()


async def test_what_is_counted_after_a_reload_on_the_old_stations(autojump_clock: trio.testing.MockClock) -> None:
    """Connections made there after the swap are in the counters for good, and once."""
    narrow = openai("old", concurrency_and_buffer_size={"concurrency": 1, "buffer_size": 1})
    upstream = ScriptedUpstream("delay=3", "")
    async with gateway_in_memory(narrow, upstream) as gateway, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(gateway.client().post, PATH, CHAT)
        await trio.sleep(1)
        before = await metrics(gateway)
        await gateway.running.use(config_for_tests(openai("new")))
        await gateway.ask("Hello")
        seen = [await metrics(gateway)]
        for _ in range(3):
            await trio.sleep(2)
            seen.append(await metrics(gateway))
        counters = [name for name in before if "_total" in name]
        for earlier, later in zip([before, *seen], seen, strict=False):
            assert all(earlier[name] <= later.get(name, -1.0) for name in counters)
        assert seen[-1]["bifrost_begun_requests_total"] == seen[-1]["bifrost_settled_requests_total"] == 3
        made = sum(v for n, v in seen[-1].items() if n.startswith("bifrost_upstream_connections_made_total"))
        assert made == 3  # one before the reload, one on the new stations, and one more on the old ones
        await gateway.quiet()


@pytest.mark.parametrize("bodies", [1, 2])
async def test_a_reload_does_not_double_the_memory_of_bodies(
    bodies: int, autojump_clock: trio.testing.MockClock
) -> None:
    settings = {**openai("old"), "server": {"memory_budget_in_mb": 2}}
    async with gateway_in_memory(settings) as gateway:
        came = [gateway.client() for _ in range(bodies)]
        for client in came:
            await client.send_raw(BIG % 700_000 + b'{"model":"' + b"m" * 600_000)
            await trio.testing.wait_all_tasks_blocked()
        await gateway.running.use(config_for_tests(settings))
        seen = await metrics(gateway)
        held = seen["bifrost_body_bytes"]
        assert 600_000 * bodies < held <= seen["bifrost_body_limit_bytes"] == 2 * 2**20
        late = gateway.client()
        await late.send_raw(BIG % 1_500_000 + b"{")
        answer = await late.read_answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (await metrics(gateway))["bifrost_body_refused_total"] == 1
        # A limit that is changed holds at once, and what was held is given back to the same budget.
        await gateway.running.use(config_for_tests({**settings, "server": {"memory_budget_in_mb": 9}}))
        assert (await metrics(gateway))["bifrost_body_limit_bytes"] == 9 * 2**20
        for client in [*came, late]:
            client.hang_up()
        await gateway.quiet()
        seen = await metrics(gateway)
        assert (seen["bifrost_body_bytes"], seen["bifrost_body_refused_total"]) == (0, 1)


REFUSED = 'bifrost_refused_requests_total{error_type="caller_invalid_request",path="%s",status_code="%d"}'


async def test_requests_that_never_became_a_call_are_counted(autojump_clock: trio.testing.MockClock) -> None:
    """An administrator sees that programs have the wrong address, or send what nobody can read."""
    async with gateway_in_memory() as gateway:
        for path, body in ((PATH, b"{"), (PATH, b"{"), ("/v1/chat", CHAT), ("/" + "x" * 999, CHAT)):
            client = gateway.client()
            assert (await client.post(path, body)).status in (400, 404)
            client.hang_up()
        broken = gateway.client()
        await broken.send_raw(b"GET\r\n\r\n")
        assert (await broken.read_answer()).status == 400
        broken.hang_up()
        await gateway.ask("Hello")
        seen = {
            name: value
            for name, value in (await metrics(gateway)).items()
            if name.startswith("bifrost_refused_requests")
        }
        assert seen == {
            REFUSED % (PATH, 400): 2,
            REFUSED % ("other", 404): 2,
            REFUSED % ("other", 400): 1,
        }


async def test_a_refused_configuration_leaves_the_limits(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(openai("old")) as gateway:
        before = (await metrics(gateway))["bifrost_body_limit_bytes"]
        nothing = [{"name": "x", "enabled": True, "path": "nosuch:Plugin"}]
        settings = {**openai("new"), "plugins": nothing, "server": {"memory_budget_in_mb": 9}}
        with pytest.raises(Exception, match="nosuch"):
            await gateway.running.use(config_for_tests(settings))
        assert (await metrics(gateway))["bifrost_body_limit_bytes"] == before
