"""The whole path in memory: the three things that every other test of the path builds on."""

from __future__ import annotations

import json
from typing import Any

import trio
import trio.testing

from bifrost_trio.testing import End, Pause, ScriptedUpstream, gateway_in_memory, streamed, whole
from tests.workers.calls import ANSWER

CHAT = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def frame(text: str, finish: str | None = None) -> bytes:
    delta: dict[str, Any] = {"content": text} if text else {}
    chunk = {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


FRAMES = [frame("Hel"), frame("lo"), frame("", "stop"), b"data: [DONE]\n\n"]


async def test_whole_chat(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(whole(ANSWER))
    async with gateway_in_memory(None, upstream) as gateway:
        answer = await gateway.client().post("/v1/chat/completions", CHAT)
        assert answer.status == 200
        assert answer.json["choices"] == ANSWER["choices"]
        assert answer.json["extra_fields"]["provider"] == "openai"
        [request] = upstream.requests
        assert request.host == "openai.test"
        assert request.path == "/v1/chat/completions"
        assert request.header("authorization") == "Bearer sk-test-openai"
        assert request.json == {**CHAT, "model": "gpt-4o-mini"}
        await gateway.quiet()


async def test_stream(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(streamed(FRAMES))
    async with gateway_in_memory(None, upstream) as gateway:
        async with gateway.client().stream("/openai/v1/chat/completions", {**CHAT, "stream": True}) as stream:
            assert stream.status == 200
            assert await stream.read_to_end() == b"".join(FRAMES)
        await gateway.quiet()


async def test_client_hangs_up_within_a_stream(autojump_clock: trio.testing.MockClock) -> None:
    chunks = [part for n in range(60) for part in (frame(f"{n} "), Pause(1.0))]
    upstream = ScriptedUpstream(streamed(chunks, end=End.STALL))
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        async with client.stream("/v1/chat/completions", {**CHAT, "stream": True}) as stream:
            for _ in range(3):
                assert await stream.read()
            left = trio.current_time()
            client.hang_up()
            await gateway.quiet()
        assert upstream.statistics().abandoned == 1
        assert upstream.statistics().abandoned_at - left <= 0.1
        assert upstream.statistics().open == 0
