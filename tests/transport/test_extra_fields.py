"""What the gateway says about a call on ``/v1``: ``extra_fields``, in answers and in errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio.testing

from bifrost_trio.testing import Pause, Script, ScriptedUpstream, gateway_in_memory, whole

CHAT = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
NATIVE: dict[str, tuple[dict[str, Any], str]] = {
    "/v1/chat/completions": ({"messages": CHAT["messages"]}, "chat_completion"),
    "/v1/completions": ({"prompt": "Hello"}, "text_completion"),
    "/v1/embeddings": ({"input": "Hello"}, "embedding"),
    "/v1/responses": ({"input": "Hello"}, "responses"),
}


@pytest.mark.parametrize(("path", "asked"), NATIVE.items())
async def test_who_answered(
    path: str, asked: tuple[dict[str, Any], str], autojump_clock: trio.testing.MockClock
) -> None:
    members, operation = asked
    async with gateway_in_memory(None, ScriptedUpstream("delay=1.5")) as gateway:
        answer = await gateway.client().post(path, {"model": "openai/m", **members})
        assert answer.json["extra_fields"] == {
            "request_type": operation,
            "provider": "openai",
            "original_model_requested": "openai/m",
            "resolved_model_used": "m",
            "routing_info": {"provider": "openai", "model": "m", "key": "openai-key", "is_fallback": False},
            "latency": 1500,
        }


async def test_a_bare_name_and_its_key(autojump_clock: trio.testing.MockClock) -> None:
    key = {"name": "the one for small models", "value": "sk-test-small", "models": ["small"]}
    async with gateway_in_memory({"providers": {"openai": {"keys": [key]}}}) as gateway:
        for _ in range(2):  # the second is answered from what was remembered of the first
            answer = await gateway.ask("Hello", model="small")
            fields = answer.json["extra_fields"]
            assert (fields["original_model_requested"], fields["resolved_model_used"]) == ("small", "small")
            assert fields["routing_info"]["key"] == "the one for small models"


async def test_every_call_has_its_own_facts(autojump_clock: trio.testing.MockClock) -> None:
    """What is encoded once is never another call's."""
    upstream = ScriptedUpstream("", "delay=2", "", "delay=1")
    async with gateway_in_memory(None, upstream) as gateway:
        facts = []
        for model in ("openai/a", "openai/b", "anthropic/a", "openai/a"):
            fields = (await gateway.ask("Hello", model=model)).json["extra_fields"]
            facts.append((fields["original_model_requested"], fields["provider"], fields["latency"]))
        assert facts == [
            ("openai/a", "openai", 0),
            ("openai/b", "openai", 2000),
            ("anthropic/a", "anthropic", 0),
            ("openai/a", "openai", 1000),
        ]


# --- attempts ---------------------------------------------------------------------------------------------------------


async def test_attempts_when_there_was_more_than_one(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream("status=500 delay=1", "status=503", "")
    async with gateway_in_memory(None, upstream) as gateway:
        fields = (await gateway.ask("Hello")).json["extra_fields"]
        told = [(a["provider"], a["model"], a["key"], a["status"], a["result"]) for a in fields["attempts"]]
        assert told == [
            ("openai", "mock-1", "openai-key", 500, "provider_server_error"),
            ("openai", "mock-1", "openai-key", 503, "provider_server_error"),
            ("openai", "mock-1", "openai-key", 200, "success"),
        ]
        assert [a["latency"] for a in fields["attempts"]] == [1000, 0, 0]
        assert fields["latency"] > 1000
        assert fields["routing_info"]["is_fallback"] is False
        # The next call has nothing of it.
        assert "attempts" not in (await gateway.ask("Hello")).json["extra_fields"]


async def test_a_fallback(autojump_clock: trio.testing.MockClock) -> None:
    upstreams = {"openai": ScriptedUpstream("status=401"), "anthropic": ScriptedUpstream()}
    async with gateway_in_memory(None, upstreams) as gateway:
        answer = await gateway.ask("Hello", fallbacks=["anthropic/claude"])
        fields = answer.json["extra_fields"]
        assert fields["routing_info"] == {
            "provider": "anthropic",
            "model": "claude",
            "key": "anthropic-key",
            "is_fallback": True,
        }
        assert fields["original_model_requested"] == "openai/mock-1"
        assert fields["resolved_model_used"] == "claude"
        assert [a["provider"] for a in fields["attempts"]] == ["openai", "anthropic"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_has_them_too(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream("status=503")) as gateway:
        answer = await gateway.ask("Hello", stream=stream, fallbacks=["anthropic/claude"])
        assert answer.status == 503
        assert answer.json["is_bifrost_error"] is False
        assert [a["provider"] for a in answer.json["extra_fields"]["attempts"]] == ["openai"] * 3 + ["anthropic"] * 3


async def test_an_error_before_any_attempt(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        answer = await gateway.ask("Hello", model="nobody/m")
        assert answer.json["is_bifrost_error"] is True
        assert answer.json["extra_fields"] == {"request_type": "chat_completion", "latency": 0}


# --- dropped_params ---------------------------------------------------------------------------------------------------


async def test_dropped_params(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(None, upstream) as gateway:
        answer = await gateway.ask("Hello", model="anthropic/claude", seed=7, logit_bias={"1": 2}, temperature=0.5)
        assert set(answer.json["extra_fields"]["dropped_params"]) == {"seed", "logit_bias"}
        assert upstream.requests[0].json["temperature"] == 0.5
        answer = await gateway.ask("Hello", seed=7)
        assert "dropped_params" not in answer.json["extra_fields"]
        assert upstream.requests[1].json["seed"] == 7


# --- raw_request, raw_response ----------------------------------------------------------------------------------------

BY_HEADER = {"x-bf-send-back-raw-request": "true", "x-bf-send-back-raw-response": "TRUE"}
BY_CONFIGURATION = {"send_back_raw_request": True, "send_back_raw_response": True}


def providers(**settings: Any) -> dict[str, Any]:
    return {"providers": {"openai": settings, "anthropic": settings}}


@pytest.mark.parametrize("model", ["openai/m", "anthropic/m"])
@pytest.mark.parametrize(
    ("settings", "headers"),
    [(providers(), BY_HEADER), (providers(**BY_CONFIGURATION), {})],
    ids=["by header", "by configuration"],
)
async def test_both_raw(
    settings: dict[str, Any], headers: dict[str, str], model: str, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream("content='Gr\u00fc\u00df Gott'")
    async with gateway_in_memory(settings, upstream) as gateway:
        body = {**CHAT, "model": model, "fallbacks": ["openai/other"]}
        answer = await gateway.client().post("/v1/chat/completions", body, headers)
        fields = answer.json["extra_fields"]
        [request] = upstream.requests
        assert fields["raw_request"] == request.json
        assert request.body in answer.body
        said = {name: value for name, value in answer.json.items() if name != "extra_fields"}
        if model.startswith("openai"):
            assert fields["raw_response"] == said
        else:
            assert fields["raw_response"]["content"] == [{"type": "text", "text": "Gr\u00fc\u00df Gott"}]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, set()),
        ({"x-bf-send-back-raw-request": "true"}, {"raw_request"}),
        ({"x-bf-send-back-raw-response": "true"}, {"raw_response"}),
        ({"x-bf-send-back-raw-request": "false"}, set()),
    ],
)
async def test_one_of_them(headers: dict[str, str], expected: set[str], autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        answer = await gateway.client().post("/v1/chat/completions", CHAT, headers)
        assert {name for name in answer.json["extra_fields"] if name.startswith("raw")} == expected


async def test_the_raw_request_of_a_failed_call(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream("status=400")
    async with gateway_in_memory(None, upstream) as gateway:
        answer = await gateway.client().post("/v1/chat/completions", CHAT, BY_HEADER)
        assert answer.status == 400
        assert answer.json["extra_fields"]["raw_request"] == upstream.requests[0].json
        assert "raw_response" not in answer.json["extra_fields"]


async def test_drop_ins_stay_as_they_are(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(providers(**BY_CONFIGURATION), ScriptedUpstream(whole({"a": 1}))) as gateway:
        answer = await gateway.client().post("/openai/v1/chat/completions", CHAT)
        assert answer.json == {"a": 1}


# --- the splice -------------------------------------------------------------------------------------------------------

BODIES = {
    "compact": b'{"id":"c","choices":[]}',
    "spaces": b'  {"id" : "c", "choices": [ ]\n}\r\n\t ',
    "empty": b"{}",
    "empty with spaces": b" { } ",
    "braces in strings": b'{"id":"}}{","choices":[],"x":"\\"}"}',
    "numbers that no float holds": b'{"id":"c","n":123456789012345678901234567890.10,"choices":[]}',
    "escapes": '{"id":"\\u00e9\\/é","choices":[]}'.encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("cut", [False, True])
async def test_the_provider_s_bytes_stay(cut: bool, body: bytes, autojump_clock: trio.testing.MockClock) -> None:
    """``extra_fields`` is added before the closing brace; every byte before it is the provider's."""
    steps: list[bytes | Pause] = [whole(body).data]
    if cut:
        steps = [part for byte in whole(body).data for part in (bytes([byte]), Pause(0.01))]
    async with gateway_in_memory(None, ScriptedUpstream(Script(steps))) as gateway:
        answer = await gateway.client().post("/v1/chat/completions", CHAT)
        assert answer.status == 200, answer.body
        before, found, _ = answer.body.partition(b'"extra_fields":')
        assert found
        kept = body.rstrip()[:-1].rstrip()
        assert before.rstrip(b" \r\n\t,") == kept.rstrip()
        assert answer.json["extra_fields"]["provider"] == "openai"
        assert json.loads(body).items() <= answer.json.items()
