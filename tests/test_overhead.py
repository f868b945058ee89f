"""What the gateway adds to a call: from its head to its last byte, less every wait for somebody else.

Waits are virtual here and the gateway's own work is not: whatever of a wait were booked as overhead would be seconds.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.plugins import Answer, Plugin
from bifrost_trio.testing import ScriptedUpstream, gateway_in_memory, whole
from bifrost_trio.types import Call

CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}


class Watch(Plugin):
    name = "watch"

    def __init__(self) -> None:
        super().__init__({})
        self.calls: list[Call] = []

    def before(self, call: Call) -> Answer | None:
        self.calls.append(call)
        return None


def overhead(call: Call, ended: float) -> float:
    """As the metric has it; ``ended`` is when the last byte was handed over."""
    outcome = call.outcome
    waits = outcome.upstream_seconds + outcome.back_off_seconds + outcome.client_seconds
    return ended - call.accepted_at - waits


async def measured(upstream: ScriptedUpstream, body: dict[str, Any], *, pause: float = 0.0, slow: float = 0.0) -> Call:
    """One call whose body comes ``pause`` seconds behind its head, and whose answer is read ``slow`` seconds late."""
    watch = Watch()
    async with gateway_in_memory(None, upstream, plugins=[watch]) as gateway:
        client = gateway.client()
        data = json.dumps(body).encode()
        await client.send_raw(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n" % len(data)
        )
        await trio.sleep(pause)
        await client.send_raw(data)
        await trio.sleep(slow)
        await client.read_answer()
        [call] = watch.calls
        ended = trio.current_time()
        assert overhead(call, ended) == pytest.approx(0, abs=0.05)
        await gateway.quiet()
        return call


async def test_a_provider_that_takes_its_time(autojump_clock: trio.testing.MockClock) -> None:
    call = await measured(ScriptedUpstream("delay=7"), CHAT)
    assert call.outcome.upstream_seconds == pytest.approx(7, abs=0.01)


async def test_a_stream_that_takes_its_time(autojump_clock: trio.testing.MockClock) -> None:
    call = await measured(ScriptedUpstream("first-output=3 gap=1 chunks=5"), {**CHAT, "stream": True})
    assert call.outcome.upstream_seconds == pytest.approx(7, abs=0.01)


async def test_back_off(autojump_clock: trio.testing.MockClock) -> None:
    call = await measured(ScriptedUpstream("status=503 retry-after=4 times=1"), CHAT)
    assert call.outcome.back_off_seconds == pytest.approx(4, abs=0.01)


async def test_a_body_that_comes_late(autojump_clock: trio.testing.MockClock) -> None:
    call = await measured(ScriptedUpstream(), CHAT, pause=9)
    assert call.outcome.client_seconds == pytest.approx(9, abs=0.01)
    assert call.outcome.upstream_seconds == pytest.approx(0, abs=0.01)


async def test_a_client_that_reads_late(autojump_clock: trio.testing.MockClock) -> None:
    answer = {"choices": [{"message": {"content": "word " * 400_000}, "finish_reason": "stop"}]}
    call = await measured(ScriptedUpstream(whole(answer)), CHAT, slow=20)
    assert call.outcome.client_seconds == pytest.approx(20, abs=0.05)
    assert call.outcome.upstream_seconds == pytest.approx(0, abs=0.05)


async def test_a_connection_that_takes_its_time(autojump_clock: trio.testing.MockClock) -> None:
    class Slow(ScriptedUpstream):
        def dial(self, poller: Any) -> Any:
            at_once = super().dial(poller)

            async def connect(host: str, port: int, limit: float) -> Any:
                await trio.sleep(2)
                return await at_once(host, port, limit)

            return connect

    call = await measured(Slow(), CHAT)
    assert call.outcome.upstream_seconds == pytest.approx(2, abs=0.01)
