"""Hang, cancel, count: the provider hangs in each phase, the client leaves in each way, everything is home."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.testing import Client, MemoryGateway, Phase, config_for_tests, gateway_in_memory, hanging_upstream

PROVIDER = {"network_config": {"max_retries": 0}, "concurrency_and_buffer_size": {"concurrency": 1, "buffer_size": 1}}
CONFIG: dict[str, Any] = {"providers": {"openai": PROVIDER}, "server": {"stream_comment_after_seconds": 0}}
SECONDS = {
    Phase.CONNECT: (5, 5),
    Phase.REQUEST: (60, 300),
    Phase.BEFORE_HEAD: (60, 300),
    Phase.WITHIN_HEAD: (60, 300),
    Phase.AFTER_HEAD: (60, 300),
    Phase.WITHIN_BODY: (60, 300),
}
"""How long the gateway waits for a stream, and for a whole answer."""


def chat(*, stream: bool, size: int = 10) -> dict[str, Any]:
    messages = [{"role": "user", "content": "x" * size}]
    return {"model": "openai/mock-1", "messages": messages, "stream": stream}


def size_for(phase: Phase) -> int:
    return 4_000_000 if phase is Phase.REQUEST else 10


async def leave(client: Client, how: str) -> None:
    if how == "half-close":
        await client.half_close()
    elif how == "reset":
        client.reset()
    else:
        client.hang_up()


@pytest.mark.parametrize("how", ["hang-up", "half-close", "reset"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("phase", Phase)
async def test_the_client_leaves(phase: Phase, stream: bool, how: str, autojump_clock: trio.testing.MockClock) -> None:
    upstream = hanging_upstream(phase)
    async with gateway_in_memory(CONFIG, upstream) as gateway, trio.open_nursery() as nursery:
        client = gateway.client()
        wire = chat(stream=stream, size=size_for(phase))
        nursery.start_soon(swallow, client, wire)
        await trio.testing.wait_all_tasks_blocked()
        assert calls_open(gateway) == 1
        began = trio.current_time()
        await leave(client, how)
        await trio.testing.wait_all_tasks_blocked()
        client.hang_up()
        await gateway.quiet()
        assert trio.current_time() == began
        if phase not in (Phase.CONNECT, Phase.REQUEST):
            assert upstream.statistics().abandoned == 1
        nursery.cancel_scope.cancel()


async def swallow(client: Client, wire: dict[str, Any]) -> None:
    """Asks, and minds nothing."""
    with contextlib.suppress(ConnectionBroken, trio.BrokenResourceError, trio.ClosedResourceError):
        await client.post("/v1/chat/completions", wire)


def calls_open(gateway: MemoryGateway) -> int:
    return gateway.running.assembly.inference.statistics().open


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("phase", Phase)
async def test_the_time_is_up(phase: Phase, stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    upstream = hanging_upstream(phase, after=100)
    async with gateway_in_memory(CONFIG, upstream) as gateway:
        client = gateway.client()
        began = trio.current_time()
        answer = await client.post("/v1/chat/completions", chat(stream=stream, size=size_for(phase)))
        assert answer.status == 504
        assert answer.json["error"]["type"] == "timeout_error"
        limit = SECONDS[phase][0 if stream else 1]
        assert limit <= trio.current_time() - began <= limit + 0.2
        await gateway.quiet()


async def test_the_gateway_ends(autojump_clock: trio.testing.MockClock) -> None:
    """Leaving the block ends calls, connections and upstream, whatever hangs."""
    upstream = hanging_upstream(Phase.AFTER_HEAD)
    async with trio.open_nursery() as nursery:
        async with gateway_in_memory(config_for_tests(CONFIG), upstream) as gateway:
            nursery.start_soon(swallow, gateway.client(), chat(stream=True))
            await trio.testing.wait_all_tasks_blocked()
            assert calls_open(gateway) == 1
        assert calls_open(gateway) == 0
        assert upstream.statistics().open == 0
        nursery.cancel_scope.cancel()
