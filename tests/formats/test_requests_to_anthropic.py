"""Requests of an OpenAI client, as the provider's pages show them, to Anthropic's Messages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bifrost_trio.formats import anthropic, openai_chat
from bifrost_trio.formats.anthropic.thinking import DEFAULT_MAX_TOKENS

Json = dict[str, Any]
PNG = "iVBORw0KGgo="


def to_anthropic(*messages: Json, **members: Any) -> tuple[Json, list[str]]:
    request = {"model": "claude-sonnet-4-5", "messages": list(messages), **members}
    before = json.dumps(request)
    dropped: list[str] = []
    wire = anthropic.encode_request(openai_chat.decode_request(request), dropped)
    assert json.dumps(request) == before
    return wire, dropped


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def call(name: str, arguments: str, tool_id: str = "call_1") -> Json:
    return {"id": tool_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_system_and_developer_messages_become_the_system_prompt() -> None:
    wire, dropped = to_anthropic({"role": "system", "content": "A"}, user("hi"), {"role": "developer", "content": "B"})
    assert wire["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert wire["messages"] == [user("hi")]
    assert dropped == []


def test_one_system_prompt_stays_a_string() -> None:
    assert to_anthropic({"role": "system", "content": "A"}, user("hi"))[0]["system"] == "A"


def test_turns_of_one_role_are_merged() -> None:
    wire, _ = to_anthropic(user("a"), user([{"type": "text", "text": "b"}]), {"role": "assistant", "content": "c"})
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert wire["messages"] == [user(parts), {"role": "assistant", "content": "c"}]


def test_images() -> None:
    wire, dropped = to_anthropic(
        user(
            [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "high"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ]
        )
    )
    assert wire["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    ]
    assert dropped == ["messages[0].content[0].image_url.detail"]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        (
            {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        ),
        ({"file_data": "JVBERi0="}, {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}),
        ({"file_id": "file-1"}, {"type": "file", "file_id": "file-1"}),
        ({"file_data": "https://example.com/a.pdf"}, {"type": "url", "url": "https://example.com/a.pdf"}),
        ({"file_url": "https://example.com/a.pdf"}, {"type": "url", "url": "https://example.com/a.pdf"}),
        (
            {"file_data": "data:text/plain;base64," + base64.b64encode("é".encode()).decode()},
            {"type": "text", "media_type": "text/plain", "data": "é"},
        ),
    ],
)
def test_documents(file: Json, source: Json) -> None:
    wire, dropped = to_anthropic(user([{"type": "file", "file": file, "citations": {"enabled": True}}]))
    block = wire["messages"][0]["content"][0]
    assert (block["type"], block["source"], block["citations"]) == ("document", source, {"enabled": True})
    assert block.get("title") == file.get("filename")
    assert dropped == []


def test_what_anthropic_cannot_read_is_named() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    wire, dropped = to_anthropic({**user([{"type": "text", "text": "hi"}, audio]), "name": "Ann"})
    assert wire["messages"] == [user([{"type": "text", "text": "hi"}])]
    assert dropped == ["messages[0].name", "messages[0].content[1]"]


def test_cache_markers_stay_where_they_are() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    tool = {"type": "function", "function": {"name": "f"}, "cache_control": mark}
    wire, dropped = to_anthropic(
        {"role": "system", "content": [{"type": "text", "text": "A", "cache_control": mark}]},
        {**user("hi"), "cache_control": mark},
        {"role": "assistant", "content": "x"},
        user([{"type": "text", "text": "y", "prompt_cache_breakpoint": {"mode": "explicit"}}]),
        tools=[tool],
    )
    assert wire["system"][0]["cache_control"] == mark
    assert wire["messages"][0]["content"] == [{"type": "text", "text": "hi", "cache_control": mark}]
    assert wire["messages"][2]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert wire["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}, "cache_control": mark},
    ]
    assert dropped == []


def test_tool_calls_and_their_results() -> None:
    wire, dropped = to_anthropic(
        user("weather?"),
        {"role": "assistant", "content": None, "tool_calls": [call("f", '{"a": 1}'), call("g", "", "call_2")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {
            "role": "tool",
            "tool_call_id": "call_2",
            "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
            "is_error": True,
        },
        user("and?"),
    )
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    assert wire["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
            ],
        },
        user(
            [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "call_2", "content": [image], "is_error": True},
                {"type": "text", "text": "and?"},
            ]
        ),
    ]
    assert dropped == []


def test_ids_that_anthropic_refuses_are_changed_alike_in_call_and_result() -> None:
    wire, _ = to_anthropic(
        {"role": "assistant", "content": "", "tool_calls": [call("f", "{}", "functions.f:0")]},
        {"role": "tool", "tool_call_id": "functions.f:0", "content": "x"},
    )
    assert wire["messages"][0]["content"][0]["id"] == "functions_f_0"
    assert wire["messages"][1]["content"][0]["tool_use_id"] == "functions_f_0"


def test_broken_arguments_are_kept_and_named() -> None:
    wire, dropped = to_anthropic({"role": "assistant", "content": None, "tool_calls": [call("f", '{"a": ')]})
    assert wire["messages"][0]["content"][0]["input"] == {"raw_arguments": '{"a": '}
    assert dropped == ["messages[0].tool_calls[0].function.arguments"]


@pytest.mark.parametrize(
    ("choice", "parallel", "wanted"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", True, {"type": "any", "disable_parallel_tool_use": False}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"type": "function", "function": {"name": "f"}}, None, {"type": "tool", "name": "f"}),
    ],
)
def test_the_choice_of_tools(choice: Any, parallel: bool | None, wanted: Json | None) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"properties": {}}}}]
    wire, dropped = to_anthropic(user("x"), tools=tools, tool_choice=choice, parallel_tool_calls=parallel)
    assert wire.get("tool_choice") == wanted
    assert wire["tools"][0]["input_schema"] == {"type": "object", "properties": {}}
    assert dropped == []


def test_allowed_tools_are_the_only_ones_offered() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in "fgh"]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    wire, _ = to_anthropic(user("x"), tools=tools, tool_choice=choice)
    assert [tool["name"] for tool in wire["tools"]] == ["g"]
    assert wire["tool_choice"] == {"type": "any"}


def test_tools_that_anthropic_does_not_have_are_named() -> None:
    tools = [{"type": "custom", "custom": {"name": "c"}}, {"type": "web_search_20250305", "name": "web_search"}]
    wire, dropped = to_anthropic(user("x"), tools=tools)
    assert wire["tools"] == [tools[1]]
    assert dropped == ["tools[0]"]


@pytest.mark.parametrize(
    ("model", "members", "wanted"),
    [
        ("claude-sonnet-4-5", {}, {"max_tokens": DEFAULT_MAX_TOKENS}),
        ("claude-sonnet-4-5", {"reasoning_effort": "minimal"}, {"thinking": 1024, "max_tokens": 9216}),
        ("claude-sonnet-4-5", {"reasoning_effort": "high", "max_tokens": 4000}, {"thinking": 2000, "max_tokens": 4000}),
        ("claude-3-7-sonnet-20250219", {"reasoning": {"max_tokens": 3000}}, {"thinking": 3000, "max_tokens": 11192}),
        ("claude-opus-4-20250514", {"reasoning_effort": "low"}, {"thinking": 2048, "max_tokens": 10240}),
        ("claude-opus-4-6", {"reasoning_effort": "minimal"}, {"adaptive": "low", "max_tokens": 9216}),
        ("claude-sonnet-5", {"reasoning_effort": "max", "max_tokens": 50}, {"adaptive": "max", "max_tokens": 50}),
        ("anthropic/claude-opus-4.7", {"reasoning_effort": "xhigh"}, {"adaptive": "xhigh", "max_tokens": 32768}),
    ],
)
def test_effort_becomes_what_the_model_knows(model: str, members: Json, wanted: Json) -> None:
    wire, dropped = to_anthropic(user("x"), **{"model": model, **members})
    thinking = wire.get("thinking", {})
    given = {"max_tokens": wire["max_tokens"]}
    if thinking.get("type") == "enabled":
        given["thinking"] = thinking["budget_tokens"]
    elif thinking.get("type") == "adaptive":
        given["adaptive"] = wire["output_config"]["effort"]
    assert given == wanted
    assert dropped == []


def test_effort_without_room_is_named() -> None:
    wire, dropped = to_anthropic(user("x"), reasoning_effort="low", max_tokens=500)
    assert "thinking" not in wire
    assert dropped == ["reasoning_effort"]


@pytest.mark.parametrize(
    ("blocks", "budget"), [([], None), ([{"type": "thinking", "thinking": "", "signature": "s"}], 8192)]
)
def test_a_tool_loop_without_its_thinking_goes_on_without(blocks: list[Json], budget: int | None) -> None:
    calls = {"role": "assistant", "content": None, "tool_calls": [call("f", "{}")], "thinking_blocks": blocks}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "x"}
    wire, dropped = to_anthropic(user("x"), calls, result, reasoning_effort="medium")
    assert wire.get("thinking", {}).get("budget_tokens") == budget
    assert dropped == ([] if budget else ["reasoning_effort"])


def test_thinking_without_a_budget_gets_one() -> None:
    """As DeepSeek's clients ask for it."""
    wire, dropped = to_anthropic(user("x"), thinking={"type": "enabled"})
    assert wire["thinking"] == {"type": "enabled", "budget_tokens": 8192}
    assert dropped == []
    assert to_anthropic(user("x"), thinking={"clear_thinking": False})[1] == ["thinking"]


def test_thinking_is_switched_off() -> None:
    assert to_anthropic(user("x"), reasoning_effort="none")[0]["thinking"] == {"type": "disabled"}


def test_explicit_thinking_wins() -> None:
    thinking = {"type": "enabled", "budget_tokens": 5000}
    wire, dropped = to_anthropic(user("x"), thinking=thinking, reasoning_effort="low")
    assert wire["thinking"] == thinking
    assert wire["output_config"] == {"effort": "low"}
    assert wire["max_tokens"] == DEFAULT_MAX_TOKENS + 5000
    assert dropped == []


def test_signed_thinking_is_sent_back_and_unsigned_is_named() -> None:
    signed = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}]
    wire, dropped = to_anthropic(
        {"role": "assistant", "content": "a", "reasoning_content": "hm", "thinking_blocks": signed},
        user("b"),
        {"role": "assistant", "content": "c", "reasoning_content": "hm"},
    )
    assert wire["messages"][0]["content"] == [*signed, {"type": "text", "text": "a"}]
    assert wire["messages"][2]["content"] == [{"type": "text", "text": "c"}]
    assert dropped == ["messages[2].reasoning_content"]


def test_values_that_anthropic_refuses_are_named() -> None:
    wire, dropped = to_anthropic(
        user("x"), temperature=1.5, stop=["\n", "END"], response_format={"type": "json_object"}
    )
    assert "temperature" not in wire
    assert wire["stop_sequences"] == ["END"]
    assert sorted(dropped) == ["response_format", "stop[0]", "temperature"]


def test_values_that_mean_nothing_are_not_named() -> None:
    defaults = {"n": 1, "store": False, "logprobs": False, "response_format": {"type": "text"}, "seed": None}
    wire, dropped = to_anthropic(user("x"), **defaults, frequency_penalty=0, modalities=["text"])
    assert wire.keys() == {"model", "messages", "max_tokens"}
    assert dropped == []


def test_a_schema_keeps_name_and_description() -> None:
    named = {"name": "city", "description": "A city", "strict": False, "schema": {"type": "object"}}
    wire, dropped = to_anthropic(user("x"), response_format={"type": "json_schema", "json_schema": named})
    schema = {"title": "city", "description": "A city", "type": "object"}
    assert wire["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert dropped == ["response_format.json_schema.strict"]
