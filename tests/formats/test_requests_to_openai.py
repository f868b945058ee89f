"""Requests of an Anthropic client, as the provider's pages show them, to OpenAI's chat completions and back."""

from __future__ import annotations

from typing import Any

from bifrost_trio.formats import OpenAIChat, anthropic, openai_chat

Json = dict[str, Any]
PNG = "iVBORw0KGgo="


def to_openai(*messages: Json, form: Any = openai_chat, **members: Any) -> tuple[Json, list[str]]:
    request = {"model": "gpt-5", "max_tokens": 10, "messages": list(messages), **members}
    dropped: list[str] = []
    return form.encode_request(anthropic.decode_request(request), dropped), dropped


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def call(name: str, arguments: str, tool_id: str = "call_1") -> Json:
    return {"id": tool_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_images_of_tool_results_follow_from_the_user() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "see"}, image]}
    second = {"type": "tool_result", "tool_use_id": "t2", "content": "ok", "is_error": True}
    wire, dropped = to_openai(
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1]}}]},
        user([result, second, {"type": "text", "text": "go on"}]),
    )
    roles = [message["role"] for message in wire["messages"]]
    assert roles == ["assistant", "tool", "tool", "user", "user"]
    assert wire["messages"][0]["tool_calls"] == [call("f", '{"a":[1]}', "t1")]
    assert wire["messages"][1]["content"].startswith("see")
    assert wire["messages"][3]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{PNG}"},
    }
    assert dropped == ["messages[2].is_error"]


def test_documents_for_openai() -> None:
    def document(source: Json) -> Json:
        return {"type": "document", "source": source, "title": "T"}

    sources = [
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        {"type": "text", "media_type": "text/plain", "data": "plain"},
        {"type": "url", "url": "https://example.com/a.pdf"},
        {"type": "file", "file_id": "f1"},
    ]
    wire, dropped = to_openai(user([document(source) for source in sources]))
    assert wire["messages"][0]["content"] == [
        {"type": "file", "file": {"filename": "T", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "text", "text": "plain"},
        {"type": "file", "file": {"file_id": "f1"}},
    ]
    assert dropped == [
        "messages[0].content[1].file.filename",
        "messages[0].content[2]",
        "messages[0].content[3].file.filename",
    ]


def test_search_results_are_read_as_text() -> None:
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    found = {"type": "search_result", "source": "https://a.example", "title": "T", "content": texts, "citations": {}}
    made = {"type": "document", "source": {"type": "content", "content": texts}}
    wire, dropped = to_openai(user([found, made]))
    assert [part["text"] for part in wire["messages"][0]["content"]] == ["T\nhttps://a.example\nab", "ab"]
    assert dropped == ["messages[0].content[0].citations"]


def test_what_openai_does_not_know_is_named() -> None:
    mark = {"type": "ephemeral"}
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    wire, dropped = to_openai(
        user([{"type": "text", "text": "a", "cache_control": mark}]),
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "b"}]},
        user("c"),
        tools=[
            {"name": "f", "input_schema": {"type": "object"}, "cache_control": mark},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
    )
    assert wire["messages"] == [
        user([{"type": "text", "text": "a"}]),
        {"role": "assistant", "content": "b"},
        user("c"),
    ]
    assert dropped == [
        "messages[0].content[0].cache_control",
        "messages[1].reasoning_content",
        "messages[1].thinking_blocks",
        "tools[0].cache_control",
        "tools[1]",
    ]


def test_a_compatible_provider_may_take_more() -> None:
    form = OpenAIChat(accepts={"reasoning_content", "cache_control", "top_k"}, limit_member="max_tokens")
    wire, dropped = to_openai(
        user([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]),
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}]},
        form=form,
        top_k=3,
    )
    assert wire["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert wire["messages"][1]["reasoning_content"] == "hm"
    assert (wire["top_k"], wire["max_tokens"]) == (3, 10)
    assert dropped == ["messages[1].thinking_blocks"]


def test_system_messages_between_turns_stay_there() -> None:
    messages = [user("a"), {"role": "assistant", "content": "b"}, {"role": "system", "content": [{"type": "x"}]}]
    request = {"model": "m", "max_tokens": 1, "system": [{"type": "text", "text": "S"}], "messages": messages}
    assert anthropic.encode_request(anthropic.decode_request(request), []) == request


def test_a_changed_turn_is_written_as_changed() -> None:
    """``content_blocks`` counts only while it agrees with the members that a plugin sees."""
    cited = {"type": "text", "text": "a", "citations": [{"type": "char_location", "cited_text": "a"}]}
    request = {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": [cited]}]}
    common = anthropic.decode_request(request)
    assert anthropic.encode_request(common, [])["messages"] == request["messages"]
    common["messages"][0]["content"] = "[hidden]"
    wire = anthropic.encode_request(common, [])
    assert wire["messages"][0]["content"] == [{"type": "text", "text": "[hidden]"}]
