"""OpenAI's SDK before both kinds of provider: what a program does with it every day."""

from __future__ import annotations

import json
from typing import Any

import openai
import pydantic
import pytest

from tests.clients.answers import answer
from tests.clients.running import SDK_WARNINGS, Scene

pytestmark = SDK_WARNINGS

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TWO_CALLS = [("call_1", "weather", {"city": "Rome"}), ("call_2", "weather", {"city": "Oslo"})]


def user(content: Any) -> Any:
    return {"role": "user", "content": content}


async def test_chat(scene: Scene) -> None:
    create = scene.sdk.openai.chat.completions.create
    messages = [{"role": "system", "content": "Be brief."}, user("Hello there")]
    completion = await scene.sdk.call(create, model=scene.model, messages=messages, temperature=0.5)
    assert completion.object == "chat.completion"
    [choice] = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "You said: Hello there")
    assert choice.finish_reason == "stop"
    assert completion.usage.prompt_tokens == 4
    assert completion.usage.completion_tokens == 4
    assert completion.usage.total_tokens == 8
    assert completion.model == "mock-1"
    assert scene.sdk.wire.headers["x-bf-provider"] == scene.provider
    assert scene.asked["temperature"] == 0.5
    if scene.provider == "openai":
        assert scene.asked == {"model": "mock-1", "messages": messages, "temperature": 0.5}
    else:
        assert "Be brief." in json.dumps(scene.asked["system"])
        assert [turn["role"] for turn in scene.asked["messages"]] == ["user"]
        assert scene.asked["max_tokens"] > 0


async def test_bare_names_are_openai_s(scene: Scene) -> None:
    """A program that changed nothing but the address."""
    create = scene.sdk.openai.chat.completions.create
    await scene.sdk.call(create, model="gpt-4o-mini", messages=[user("Hello")])
    assert scene.upstream.requests[-1].host == "openai.test"
    assert scene.upstream.requests[-1].body == scene.sdk.wire.sent


async def test_stream(scene: Scene) -> None:
    create = scene.sdk.openai.chat.completions.create
    options = {"include_usage": True}
    messages = [user("one two three")]
    chunks = await scene.sdk.collect(create, model=scene.model, messages=messages, stream=True, stream_options=options)
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join([delta.content or "" for delta in deltas]) == "You said: one two three"
    assert deltas[0].role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    [usage] = [chunk.usage for chunk in chunks if chunk.usage]
    assert (usage.prompt_tokens, usage.completion_tokens) == (3, 5)


async def test_stream_without_usage(scene: Scene) -> None:
    """Who did not ask for usage gets no chunk without choices, on which many programs fall over."""
    create = scene.sdk.openai.chat.completions.create
    chunks = await scene.sdk.collect(create, model=scene.model, messages=[user("Hello")], stream=True)
    assert all(chunk.choices for chunk in chunks)


async def test_stream_helper(scene: Scene) -> None:
    """``chat.completions.stream`` builds the completion from its chunks."""
    manager = scene.sdk.openai.chat.completions.stream
    final = await scene.sdk.final(manager, "get_final_completion", model=scene.model, messages=[user("Hello")])
    assert final.choices[0].message.content == "You said: Hello"
    assert final.choices[0].finish_reason == "stop"


async def test_tool_round_trip(scene: Scene) -> None:
    create = scene.sdk.openai.chat.completions.create
    messages = [user("What is the weather like?")]
    arguments = {"model": scene.model, "tools": [WEATHER]}
    called = await scene.sdk.call(create, messages=messages, tool_choice="required", **arguments)
    choice = called.choices[0]
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert json.loads(call.function.arguments) == {"city": "mock"}

    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"}
    done = await scene.sdk.call(create, messages=[*messages, choice.message, result], **arguments)
    assert done.choices[0].message.content == "You said: sunny, 21 degrees"
    assert done.choices[0].finish_reason == "stop"
    if scene.provider == "anthropic":
        use, given = scene.asked["messages"][1]["content"][0], scene.asked["messages"][2]["content"][0]
        assert (use["type"], use["input"]) == ("tool_use", {"city": "mock"})
        assert (given["type"], given["tool_use_id"]) == ("tool_result", use["id"])
        assert scene.asked["tools"][0]["input_schema"] == WEATHER["function"]["parameters"]


@pytest.mark.parametrize("stream", [False, True])
async def test_parallel_tools(scene: Scene, stream: bool) -> None:
    create = scene.sdk.openai.chat.completions.create
    scene.answers(answer(scene.provider, text="Let me see.", calls=TWO_CALLS, stream=stream))
    arguments = {"model": scene.model, "messages": [user("Rome, Oslo?")], "tools": [WEATHER]}
    if stream:
        manager = scene.sdk.openai.chat.completions.stream
        message = (await scene.sdk.final(manager, "get_final_completion", **arguments)).choices[0].message
    else:
        message = (await scene.sdk.call(create, **arguments)).choices[0].message
    assert message.content == "Let me see."
    found = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]
    assert found == TWO_CALLS


async def test_structured_output(scene: Scene) -> None:
    class City(pydantic.BaseModel):
        name: str
        inhabitants: int

    scene.answers(r"content={\"name\":\"Rome\",\"inhabitants\":2800000}")
    parse = scene.sdk.openai.chat.completions.parse
    completion = await scene.sdk.call(parse, model=scene.model, messages=[user("Rome")], response_format=City)
    assert completion.choices[0].message.parsed == City(name="Rome", inhabitants=2800000)
    schema = City.model_json_schema()["properties"]
    if scene.provider == "openai":
        assert scene.asked["response_format"]["json_schema"]["schema"]["properties"] == schema
    else:
        assert scene.asked["output_config"]["format"]["type"] == "json_schema"
        assert scene.asked["output_config"]["format"]["schema"]["properties"] == schema


async def test_image(scene: Scene) -> None:
    create = scene.sdk.openai.chat.completions.create
    url = {"url": f"data:image/png;base64,{PIXEL}"}
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": url}]
    completion = await scene.sdk.call(create, model=scene.model, messages=[user(content)])
    assert completion.choices[0].message.content == "You said: What is this?"
    if scene.provider == "openai":
        assert scene.asked["messages"] == [user(content)]
    else:
        image = scene.asked["messages"][0]["content"][1]
        assert image == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}


async def test_reasoning(scene: Scene) -> None:
    create = scene.sdk.openai.chat.completions.create
    scene.answers(answer(scene.provider, thinking="Two and two.", text="Four."))
    arguments = {"model": scene.model, "messages": [user("2 + 2?")], "reasoning_effort": "low"}
    message = (await scene.sdk.call(create, **arguments)).choices[0].message
    assert (message.content, message.reasoning_content) == ("Four.", "Two and two.")
    effort = scene.asked["reasoning_effort"] if scene.provider == "openai" else scene.asked["output_config"]["effort"]
    assert effort == "low"

    scene.answers(answer(scene.provider, thinking="Two and two.", text="Four.", stream=True))
    chunks = await scene.sdk.collect(create, stream=True, **arguments)
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join([getattr(delta, "reasoning_content", None) or "" for delta in deltas]) == "Two and two."
    assert "".join([delta.content or "" for delta in deltas]) == "Four."


async def test_cache_markers_are_carried(scene: Scene) -> None:
    """Beside OpenAI's own members, as Anthropic has them; what was read from the cache is counted."""
    create = scene.sdk.openai.chat.completions.create
    marker = {"cache_control": {"type": "ephemeral"}}
    messages: Any = [
        {"role": "system", "content": [{"type": "text", "text": "A long text.", **marker}]},
        user("Hello"),
    ]
    scene.answers(answer(scene.provider, text="Hi."))
    completion = await scene.sdk.call(create, model=scene.model, messages=messages)
    usage = completion.usage
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens) == (20, 5, 7)
    if scene.provider == "openai":
        assert scene.asked["messages"] == messages
    else:
        assert scene.asked["system"] == [{"type": "text", "text": "A long text.", **marker}]


async def test_embeddings(scene: Scene) -> None:
    create = scene.sdk.openai.embeddings.create
    if scene.provider == "anthropic":
        with pytest.raises(openai.BadRequestError, match="does not offer embedding"):
            await scene.sdk.call(create, model=scene.model, input="Hello")
        assert scene.upstream.requests == []
        return
    found = await scene.sdk.call(create, model=scene.model, input=["Hello", "world"], dimensions=4)
    assert [len(one.embedding) for one in found.data] == [4, 4]
    assert [one.index for one in found.data] == [0, 1]
    assert found.data[0].embedding != found.data[1].embedding
    assert found.usage.prompt_tokens == 2


async def test_models(scene: Scene) -> None:
    """OpenAI's models have the names that its programs know; the others stand behind their provider's name."""
    models = await scene.sdk.collect(scene.sdk.openai.models.list)
    assert [model.id for model in models] == ["mock-1", "anthropic/mock-1"]
    assert models[0].owned_by == "mock"
    native = await scene.sdk.collect(scene.sdk.native.models.list)
    assert [model.id for model in native] == ["openai/mock-1", "anthropic/mock-1"]


async def test_responses(scene: Scene) -> None:
    create = scene.sdk.openai.responses.create
    if scene.provider == "anthropic":
        with pytest.raises(openai.BadRequestError, match="does not offer responses"):
            await scene.sdk.call(create, model=scene.model, input="Hello")
        return
    response = await scene.sdk.call(create, model=scene.model, input="Hello", instructions="Be brief.")
    assert response.output_text == "You said: Hello"
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3, 3)
    events = await scene.sdk.collect(create, model=scene.model, input="Hello", stream=True)
    assert "".join([event.delta for event in events if event.type == "response.output_text.delta"]) == "You said: Hello"
    assert events[-1].type == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_completions(scene: Scene) -> None:
    create = scene.sdk.openai.completions.create
    if scene.provider == "anthropic":
        with pytest.raises(openai.BadRequestError, match="does not offer text_completion"):
            await scene.sdk.call(create, model=scene.model, prompt="Once upon")
        return
    completion = await scene.sdk.call(create, model=scene.model, prompt="Once upon")
    assert completion.choices[0].text == "You said: Once upon"
    pieces = await scene.sdk.collect(create, model=scene.model, prompt="Once upon", stream=True)
    assert "".join([piece.choices[0].text for piece in pieces]) == "You said: Once upon"


async def test_native_route(scene: Scene) -> None:
    """``/v1`` is OpenAI's API as well; the SDK hands on what the gateway adds."""
    create = scene.sdk.native.chat.completions.create
    completion = await scene.sdk.call(create, model=scene.model, messages=[user("Hello")])
    assert completion.choices[0].message.content == "You said: Hello"
    assert completion.extra_fields["provider"] == scene.provider
    chunks = await scene.sdk.collect(create, model=scene.model, messages=[user("Hello")], stream=True)
    assert "".join([chunk.choices[0].delta.content or "" for chunk in chunks]) == "You said: Hello"


async def test_fallbacks(scene: Scene) -> None:
    """``extra_body`` carries what OpenAI does not know."""
    create = scene.sdk.native.chat.completions.create
    scene.answers(f"status=503 host={scene.provider}.test times=1")
    other = {"openai": "anthropic", "anthropic": "openai"}[scene.provider]
    body = {"fallbacks": [f"{other}/mock-2"]}
    completion = await scene.sdk.call(create, model=scene.model, messages=[user("Hello")], extra_body=body)
    assert completion.choices[0].message.content == "You said: Hello"
    assert completion.model == "mock-2"
    assert completion.extra_fields["routing_info"]["is_fallback"] is True


async def test_what_is_dropped_is_said(scene: Scene) -> None:
    create = scene.sdk.openai.chat.completions.create
    await scene.sdk.call(create, model=scene.model, messages=[user("Hello")], logprobs=True, seed=7)
    if scene.provider == "openai":
        assert scene.asked["seed"] == 7
        assert "x-bf-dropped-params" not in scene.sdk.wire.headers
    else:
        assert scene.sdk.wire.headers["x-bf-dropped-params"] == "logprobs, seed"
        assert "seed" not in scene.asked
