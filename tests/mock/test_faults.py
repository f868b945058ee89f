"""Every way to fail, seen through the gateway: what the client gets, when, and that everything is home afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.testing import MemoryGateway, ScriptedUpstream, gateway_in_memory

ONE_ATTEMPT: dict[str, Any] = {
    "providers": {"openai": {"network_config": {"max_retries": 0}}},
    "server": {"stream_comment_after_seconds": 0},
}
WHOLE = [
    ("", 200, 0),
    ("delay=3", 200, 3),
    ("slow-head=0.01", 200, 0.9),
    ("close=said", 200, 0),
    ("close=unsaid", 200, 0),
    ("garble=gzip", 200, 0),
    ("status=429 retry-after=20", 429, 0),
    ("status=500", 500, 0),
    ("status=404", 404, 0),
    ("error-body=yes", 500, 0),
    ("cut-head=20", 502, 0),
    ("cut-body=20", 502, 0),
    ("cut-body=20 end=reset", 502, 0),
    ("reset=head", 502, 0),
    ("garble=json", 502, 0),
    ("garble=head", 502, 0),
    ("garble=html", 502, 0),
    ("garble=length-long", 502, 0),
    ("garble=length-short", 502, 0),
    ("stall=head", 504, 300),
    ("stall=body", 504, 300),
]
STREAMED = [
    ("", 200, "whole", 0),
    ("first-output=4", 200, "whole", 4),
    ("gap=2", 200, "whole", 6),
    ("garble=no-done", 200, "whole", 0),
    ("status=503", 503, "", 0),
    ("error-chunk=0", 500, "", 0),
    ("stall=head", 504, "", 60),
    ("stall=body", 504, "", 60),
    ("cut-body=60", 502, "", 0),
    ("gap=1 error-chunk=2", 200, "told", 1),
    ("stall=output", 200, "told", 60),
    ("reset=output", 200, "told", 0),
    ("gap=1 cut-chunk=2", 200, "told", 1),
    ("gap=1 garble=chunk-size", 200, "told", 2),
    ("gap=1 garble=json", 200, "told", 2),
    ("gap=1 garble=no-end", 200, "told", 3),
]


def chat(stream: bool = False) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Good day"}]
    return {"model": "openai/mock-1", "messages": messages, "stream": stream}


@pytest.mark.parametrize(("words", "status", "seconds"), WHOLE)
async def test_whole(words: str, status: int, seconds: float, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(ONE_ATTEMPT, ScriptedUpstream(words, "")) as gateway:
        client = gateway.client()
        began = trio.current_time()
        answer = await client.post("/v1/chat/completions", chat())
        assert answer.status == status
        assert seconds <= trio.current_time() - began <= seconds * 1.2 + 0.2
        if status == 200:
            assert answer.json["choices"][0]["message"]["content"] == "You said: Good day"
        else:
            assert answer.json["error"]["message"]
        await gateway.quiet()
        again = await client.post("/v1/chat/completions", chat())
        assert again.status == 200
        await gateway.quiet()


@pytest.mark.parametrize(("words", "status", "ends", "seconds"), STREAMED)
async def test_streamed(
    words: str, status: int, ends: str, seconds: float, autojump_clock: trio.testing.MockClock
) -> None:
    async with gateway_in_memory(ONE_ATTEMPT, ScriptedUpstream(words)) as gateway:
        began = trio.current_time()
        assert await told(gateway) == (status, ends)
        assert seconds <= trio.current_time() - began <= seconds * 1.2 + 0.2
        await gateway.quiet()


async def told(gateway: MemoryGateway) -> tuple[int, str]:
    """The status, and how the stream ended: whole, told (an error event), silently."""
    pieces = []
    async with gateway.client().stream("/v1/chat/completions", chat(stream=True)) as stream:
        if stream.status != 200:
            return stream.status, ""
        broken = False
        try:
            async for piece in stream:
                pieces.append(piece)
        except ConnectionBroken:
            broken = True
    body = b"".join(pieces)
    if b'"error"' in body and b"[DONE]" not in body:
        return 200, "told"
    return 200, "broken" if broken else "whole"


async def test_fails_first_then_succeeds(autojump_clock: trio.testing.MockClock) -> None:
    """The retries of the gateway are seen by the upstream."""
    upstream = ScriptedUpstream("status=500 times=2")
    async with gateway_in_memory(None, upstream) as gateway:
        answer = await gateway.client().post("/v1/chat/completions", chat())
        assert answer.status == 200
        assert [attempt["status"] for attempt in answer.json["extra_fields"]["attempts"]] == [500, 500, 200]
        assert len(upstream.requests) == 3
        assert upstream.requests[1].at - upstream.requests[0].at >= 0.4
        await gateway.quiet()
