"""Requests that no program should send: one clear 4xx in the client's error shape that names the field, or passed on
where the formats agree; never an error of the gateway's own."""

from __future__ import annotations

import copy
import gc
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.testing import ClientAnswer, ScriptedUpstream, gateway_in_memory
from tests.attack.answers import ODD, completion, message, whole

Place = tuple[str | int, ...]

OPENAI: dict[str, Any] = {
    "model": "anthropic/m",
    "max_tokens": 5,
    "stop": ["a"],
    "user": "u",
    "metadata": {"user_id": "x"},
    "reasoning_effort": "low",
    "reasoning": {"effort": "low", "max_tokens": 2000},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "stream_options": {"include_usage": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low"},
    "functions": [{"name": "f", "parameters": {}}],
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
            ],
        },
        {
            "role": "assistant",
            "content": "a",
            "reasoning_content": "r",
            "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}],
            "content_blocks": [{"type": "text", "text": "a"}],
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "t"}]},
        {"role": "user", "content": "end"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "f"}}]}},
}
ANTHROPIC: dict[str, Any] = {
    "model": "openai/m",
    "max_tokens": 5,
    "stop_sequences": ["a"],
    "metadata": {"user_id": "x"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "mcp_servers": [{"name": "x"}],
    "system": [{"type": "text", "text": "s"}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "q"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
                {"type": "search_result", "source": "x", "title": "t", "content": [{"type": "text", "text": "x"}]},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "text", "text": "a", "citations": [{"type": "char_location"}]},
                {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text"}]}]},
    ],
    "tools": [
        {"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
}
ROUTES = {
    "OpenAI to Anthropic": ("/v1/chat/completions", OPENAI, message()),
    "Anthropic to OpenAI": ("/anthropic/v1/messages", ANTHROPIC, completion()),
}


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    if at:
        yield at
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in members:
        yield from places(inner, (*at, name))


def changed(value: Any, place: Place, odd: Any) -> Any:
    found = value = copy.deepcopy(value)
    for name in place[:-1]:
        found = found[name]
    found[place[-1]] = odd
    return value


def assert_clear(answer: ClientAnswer, field: str, what: object) -> None:
    """The answer is one of the provider's, or a 4xx that names the field."""
    assert answer.status in (200, 400, 404), (what, answer.body)
    if answer.status != 200:
        error = answer.json["error"]
        named = error["message"] if "param" not in error else f"{error['param']} {error['message']}"
        assert field in named, (what, answer.body)


@pytest.mark.parametrize("route", ROUTES)
async def test_every_odd_value_in_every_place(route: str, autojump_clock: trio.testing.MockClock) -> None:
    path, good, answer = ROUTES[route]
    async with gateway_in_memory(None, ScriptedUpstream(whole(answer))) as gateway:
        client = gateway.client()
        assert (await client.post(path, good)).status == 200
        for place in places(good):
            for odd in (*ODD, [[]], "data:;base64,", "\0"):
                if place != ("model",):
                    told = await client.post(path, changed(good, place, odd))
                    assert_clear(told, str(place[0]), (place, odd))
        await gateway.quiet()


LARGE = {"beyond all numbers": b"1e999", "below all numbers": b"-1e999", "of 5,000 digits": b"9" * 5000}


@pytest.mark.parametrize("number", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("route", ROUTES)
async def test_a_number_that_no_program_can_hold(
    number: bytes, route: str, autojump_clock: trio.testing.MockClock
) -> None:
    path, good, answer = ROUTES[route]
    upstream = ScriptedUpstream(whole(answer))
    async with gateway_in_memory(None, upstream) as gateway:
        for place in ("temperature", "metadata"):
            body = json.dumps({**good, place: {"n": "HERE"}}).encode().replace(b'"HERE"', number)
            told = await gateway.client().post(path, body)
            assert told.status == 400
            assert_clear(told, place, place)
        assert not upstream.requests


async def test_it_is_passed_on_where_the_formats_agree(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(whole(completion()))
    body = b'{"model":"openai/m","temperature":1e999,"messages":[]}'
    async with gateway_in_memory(None, upstream) as gateway:
        assert (await gateway.client().post("/v1/chat/completions", body)).status == 200
    assert upstream.requests[0].body == body.replace(b"openai/m", b"m")


async def test_arguments_nested_beyond_reason(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream(whole(message()))) as gateway:
        client = gateway.client()
        for depth in (600, *range(960, 1000, 3), 100_000):
            arguments = '{"a":' + "[" * depth + "]" * depth + "}"
            call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
            messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]}]
            told = await client.post("/v1/chat/completions", {**OPENAI, "messages": messages})
            assert_clear(told, "messages", depth)


async def test_millions_of_values_are_not_translated(autojump_clock: trio.testing.MockClock) -> None:
    """They would take a gigabyte and keep everybody waiting for a second. A long text is no such request."""
    good = b'{"model":"anthropic/m","max_tokens":5,"messages":[{"role":"user","content":"%b"}],"metadata":[%b1]}'
    async with gateway_in_memory(None, ScriptedUpstream(whole(message()))) as gateway:
        told = await gateway.client().post("/v1/chat/completions", good % (b"hi", b"{}," * 1_100_000))
        assert (told.status, told.json["error"]["code"]) == (413, "too_many_values")
        told = await gateway.client().post("/v1/chat/completions", good % (b"word, " * 500_000, b""))
        assert told.status == 200
        await gateway.quiet()


MODELS = ["a\r\nx-evil: 1", "../../etc", "%0d%0a", "\0", " ", "/", "\u2028", "m" * 10_000, "\U0001f600", '"{}</script>']


@pytest.mark.parametrize("model", MODELS, ids=ascii)
async def test_an_odd_model(model: str, autojump_clock: trio.testing.MockClock) -> None:
    """The provider gets it as it is, in the body alone; whole heads come out for the client."""
    upstream = ScriptedUpstream("")
    async with gateway_in_memory(None, upstream) as gateway:
        for path in ("/v1/chat/completions", "/openai/v1/chat/completions"):
            for streamed in (False, True):
                wire = {"model": f"openai/{model}", "messages": [], "stream": streamed}
                told = await gateway.client().post(path, wire)
                assert told.status == 200
                assert "x-evil" not in told.headers
        await gateway.quiet()
    assert {request.json["model"] for request in upstream.requests} == {model}
    assert {request.path for request in upstream.requests} == {"/v1/chat/completions"}


async def test_long_names_are_not_remembered(autojump_clock: trio.testing.MockClock) -> None:
    """A thousand of them would stay in memory for ever, and weigh half a gigabyte."""
    upstream = ScriptedUpstream("")
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        await client.post("/v1/chat/completions", {"model": "openai/m", "messages": []})
        gc.collect()
        tracemalloc.start()
        try:
            for number in range(100):
                wire = {"model": f"openai/{number}{'m' * 60_000}", "messages": []}
                assert (await client.post("/v1/chat/completions", wire)).status == 200
                upstream.requests.clear()
            gc.collect()
            remembered = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert remembered < 20 * 60_000
