"""Anthropic's SDK before both kinds of provider: what a program does with it every day."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pydantic
import pytest

from bifrost_trio.mock import MockProvider
from tests.clients.answers import answer
from tests.clients.running import SDK_WARNINGS, Scene

pytestmark = SDK_WARNINGS

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TWO_CALLS = [("call_1", "weather", {"city": "Rome"}), ("call_2", "weather", {"city": "Oslo"})]
MARKER: Any = {"cache_control": {"type": "ephemeral"}}


def user(content: Any) -> Any:
    return {"role": "user", "content": content}


async def test_chat(scene: Scene) -> None:
    create = scene.sdk.anthropic.messages.create
    arguments: Any = {"max_tokens": 50, "system": "Be brief.", "messages": [user("Hello there")]}
    arguments["metadata"] = {"user_id": "u1"}
    body = {"temperature": 0.5}
    message = await scene.sdk.call(create, model=scene.model, stop_sequences=["END"], extra_body=body, **arguments)
    assert (message.type, message.role, message.model) == ("message", "assistant", "mock-1")
    [block] = message.content
    assert (block.type, block.text) == ("text", "You said: Hello there")
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 4)
    assert scene.sdk.wire.headers["x-bf-provider"] == scene.provider
    if scene.provider == "anthropic":
        assert scene.asked == {"model": "mock-1", "stop_sequences": ["END"], **arguments, **body}
    else:
        assert scene.asked["messages"][0]["role"] in ("system", "developer")
        assert "Be brief." in json.dumps(scene.asked["messages"][0])
        assert scene.asked["messages"][1]["role"] == "user"
        assert scene.asked["max_completion_tokens"] == 50
        assert scene.asked["stop"] == ["END"]
        assert scene.asked["temperature"] == 0.5
        assert scene.asked["user"] == "u1"


async def test_bare_names_are_anthropic_s(scene: Scene) -> None:
    """A program that changed nothing but the address. Its own key stays with the gateway."""
    create = scene.sdk.anthropic.messages.create
    await scene.sdk.call(create, model="claude-sonnet-5", max_tokens=50, messages=[user("Hello")])
    request = scene.upstream.requests[-1]
    assert request.host == "anthropic.test"
    assert request.body == scene.sdk.wire.sent
    assert request.header("x-api-key") == "sk-test-anthropic"
    versions = [value.decode() for name, value in request.headers if name == b"anthropic-version"]
    assert versions == [scene.sdk.wire.sent_headers["anthropic-version"]]


async def test_stream(scene: Scene) -> None:
    create = scene.sdk.anthropic.messages.create
    messages = [user("one two three")]
    events = await scene.sdk.collect(create, model=scene.model, max_tokens=50, messages=messages, stream=True)
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    assert "".join([delta.text for delta in deltas]) == "You said: one two three"
    assert events[-2].delta.stop_reason == "end_turn"
    assert events[-2].usage.output_tokens == 5


async def test_stream_helper(scene: Scene) -> None:
    """``messages.stream`` builds the message from its events."""
    manager = scene.sdk.anthropic.messages.stream
    arguments = {"model": scene.model, "max_tokens": 50, "messages": [user("Hello")]}
    final = await scene.sdk.final(manager, "get_final_message", **arguments)
    assert final.content[0].text == "You said: Hello"
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 3
    assert await scene.sdk.final(manager, "get_final_text", **arguments) == "You said: Hello"


async def test_tool_round_trip(scene: Scene) -> None:
    create = scene.sdk.anthropic.messages.create
    messages = [user("What is the weather like?")]
    arguments = {"model": scene.model, "max_tokens": 50, "tools": [WEATHER]}
    called = await scene.sdk.call(create, messages=messages, tool_choice={"type": "any"}, **arguments)
    assert called.stop_reason == "tool_use"
    [use] = called.content
    assert (use.type, use.name, use.input) == ("tool_use", "weather", {"city": "mock"})

    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny, 21 degrees"}
    messages += [{"role": "assistant", "content": called.content}, user([result])]
    done = await scene.sdk.call(create, messages=messages, **arguments)
    assert done.content[0].text == "You said: sunny, 21 degrees"
    assert done.stop_reason == "end_turn"
    if scene.provider == "openai":
        assistant, tool = scene.asked["messages"][1:]
        assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {"city": "mock"}
        assert (tool["role"], tool["tool_call_id"]) == ("tool", assistant["tool_calls"][0]["id"])
        assert scene.asked["tools"][0]["function"]["parameters"] == WEATHER["input_schema"]


@pytest.mark.parametrize("stream", [False, True])
async def test_parallel_tools(scene: Scene, stream: bool) -> None:
    """OpenAI's stream sends the pieces of both calls in turns; here one block follows the other."""
    scene.answers(answer(scene.provider, text="Let me see.", calls=TWO_CALLS, stream=stream))
    arguments = {"model": scene.model, "max_tokens": 50, "messages": [user("Rome, Oslo?")], "tools": [WEATHER]}
    if stream:
        message = await scene.sdk.final(scene.sdk.anthropic.messages.stream, "get_final_message", **arguments)
    else:
        message = await scene.sdk.call(scene.sdk.anthropic.messages.create, **arguments)
    text, *uses = message.content
    assert text.text == "Let me see."
    assert [(use.id, use.name, use.input) for use in uses] == TWO_CALLS
    assert message.stop_reason == "tool_use"


@pytest.mark.parametrize(
    ("arguments", "input"),
    [
        ("null", {}),
        ('"Rome"', {"raw_arguments": '"Rome"'}),
        ('    {"city": "Rome"}', {"city": "Rome"}),
    ],
)
@pytest.mark.parametrize("provider", ["openai"], indirect=True)
async def test_arguments_that_are_no_object(scene: Scene, arguments: str, input: Any) -> None:
    """As some OpenAI-compatible providers write them: on what is no object Anthropic's SDK would fall over."""
    asked = {"model": scene.model, "max_tokens": 50, "messages": [user("Time?")], "tools": [WEATHER]}
    scene.answers(answer("openai", calls=[("call_1", "weather", arguments)]))
    whole = await scene.sdk.call(scene.sdk.anthropic.messages.create, **asked)
    scene.answers(answer("openai", calls=[("call_1", "weather", arguments)] * 2, stream=True))
    streamed = await scene.sdk.final(scene.sdk.anthropic.messages.stream, "get_final_message", **asked)
    assert [block.input for block in (*whole.content, *streamed.content)] == [input] * 3


async def test_structured_output(scene: Scene) -> None:
    class City(pydantic.BaseModel):
        name: str
        inhabitants: int

    scene.answers(r"content={\"name\":\"Rome\",\"inhabitants\":2800000}")
    parse = scene.sdk.anthropic.messages.parse
    arguments = {"model": scene.model, "max_tokens": 50, "messages": [user("Rome")]}
    message = await scene.sdk.call(parse, output_format=City, **arguments)
    assert message.parsed_output == City(name="Rome", inhabitants=2800000)
    if scene.provider == "anthropic":
        schema = scene.asked["output_config"]["format"]["schema"]
    else:
        schema = scene.asked["response_format"]["json_schema"]["schema"]
    assert schema["properties"].keys() == {"name", "inhabitants"}


async def test_image(scene: Scene) -> None:
    create = scene.sdk.anthropic.messages.create
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
    message = await scene.sdk.call(create, model=scene.model, max_tokens=50, messages=[user(content)])
    assert message.content[0].text == "You said: What is this?"
    if scene.provider == "anthropic":
        assert scene.asked["messages"] == [user(content)]
    else:
        image = scene.asked["messages"][0]["content"][1]
        assert image["type"] == "image_url"
        assert image["image_url"]["url"] == f"data:image/png;base64,{PIXEL}"


async def test_thinking(scene: Scene) -> None:
    """Whole and as a stream, and back to the provider with the next question."""
    thinking = {"type": "enabled", "budget_tokens": 1024}
    arguments: Any = {"model": scene.model, "max_tokens": 2000, "thinking": thinking}
    question = user("2 + 2?")
    scene.answers(answer(scene.provider, thinking="Two and two.", text="Four."))
    message = await scene.sdk.call(scene.sdk.anthropic.messages.create, messages=[question], **arguments)
    check_thinking(message, scene.provider)
    if scene.provider == "anthropic":
        assert scene.asked["thinking"] == thinking
    else:
        assert scene.asked["reasoning_effort"] in ("minimal", "low", "medium", "high")

    scene.answers(answer(scene.provider, thinking="Two and two.", text="Four.", stream=True))
    manager = scene.sdk.anthropic.messages.stream
    streamed = await scene.sdk.final(manager, "get_final_message", messages=[question], **arguments)
    check_thinking(streamed, scene.provider)

    scene.answers("")
    turns = [question, {"role": "assistant", "content": streamed.content}, user("And 3 + 3?")]
    again = await scene.sdk.call(scene.sdk.anthropic.messages.create, messages=turns, **arguments)
    assert again.content[0].text == "You said: And 3 + 3?"
    if scene.provider == "anthropic":
        assert scene.asked["messages"][1]["content"][0]["signature"] == "c2lnbmVk"


def check_thinking(message: Any, provider: str) -> None:
    thinking, text = message.content
    assert (thinking.type, thinking.thinking) == ("thinking", "Two and two.")
    assert text.text == "Four."
    if provider == "anthropic":
        assert thinking.signature == "c2lnbmVk"


async def test_cache_markers_are_carried(scene: Scene) -> None:
    create = scene.sdk.anthropic.messages.create
    system = [{"type": "text", "text": "A long text.", **MARKER}]
    scene.answers(answer(scene.provider, text="Hi."))
    arguments = {"model": scene.model, "max_tokens": 50, "messages": [user("Hello")]}
    message = await scene.sdk.call(create, system=system, tools=[{**WEATHER, **MARKER}], **arguments)
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (15, 5, 7)
    if scene.provider == "anthropic":
        assert scene.asked["system"] == system
        assert scene.asked["tools"] == [{**WEATHER, **MARKER}]
    else:
        # OpenAI caches by itself, and refuses members that it does not know.
        assert "cache_control" not in json.dumps(scene.asked)
        assert "A long text." in json.dumps(scene.asked["messages"][0])


async def test_beta_headers_reach_anthropic(scene: Scene) -> None:
    create = scene.sdk.anthropic.beta.messages.create
    arguments = {"model": scene.model, "max_tokens": 50, "messages": [user("Hello")]}
    message = await scene.sdk.call(create, betas=["context-1m-2025-08-07"], **arguments)
    assert message.content[0].text == "You said: Hello"
    sent = scene.upstream.requests[-1].header("anthropic-beta")
    assert sent == ("context-1m-2025-08-07" if scene.provider == "anthropic" else None)


async def test_count_tokens(scene: Scene) -> None:
    count = scene.sdk.anthropic.messages.count_tokens
    if scene.provider == "openai":
        with pytest.raises(anthropic.BadRequestError, match="does not offer count_tokens"):
            await scene.sdk.call(count, model=scene.model, messages=[user("one two three")])
        assert scene.upstream.requests == []
        return
    counted = await scene.sdk.call(count, model=scene.model, messages=[user("one two three")])
    assert counted.input_tokens == 3


async def test_models_page_by_page(scene: Scene) -> None:
    """Anthropic's models have the names that its programs know; the SDK turns the pages."""
    scene.upstream.answers = [MockProvider(models=["a", "b", "c"])]
    listed = scene.sdk.anthropic.models.list
    models = await scene.sdk.collect(listed, limit=2)
    assert [model.id for model in models] == ["openai/a", "openai/b", "openai/c", "a", "b", "c"]
    assert all(model.type == "model" and model.created_at.year == 2023 for model in models)
    first = await scene.sdk.call(listed, limit=4)
    assert [model.id for model in first.data] == ["openai/a", "openai/b", "openai/c", "a"]
    assert first.has_more
    assert (first.first_id, first.last_id) == ("openai/a", "a")
    before = await scene.sdk.call(listed, limit=2, before_id="b")
    assert [model.id for model in before.data] == ["openai/c", "a"]


async def test_what_is_dropped_is_said(scene: Scene) -> None:
    create = scene.sdk.anthropic.messages.create
    await scene.sdk.call(create, model=scene.model, max_tokens=50, messages=[user("Hello")], extra_body={"top_k": 5})
    if scene.provider == "anthropic":
        assert scene.asked["top_k"] == 5
        assert "x-bf-dropped-params" not in scene.sdk.wire.headers
    else:
        assert scene.sdk.wire.headers["x-bf-dropped-params"] == "top_k"
        assert "top_k" not in scene.asked
