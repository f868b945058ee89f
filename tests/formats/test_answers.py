"""Whole answers from one API to the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_trio.errors import MalformedAnswer
from bifrost_trio.formats import FORMATS, anthropic, openai_chat

Json = dict[str, Any]


def message(content: list[Json], **members: Any) -> Json:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 11, "output_tokens": 13}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
        **members,
    }


def completion(answer: Json, finish: str = "stop", **members: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", **answer}, "finish_reason": finish, "logprobs": None}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-5", "choices": [choice], **members}


def to_anthropic(answer: Json, finish: str = "stop", **members: Any) -> Json:
    return anthropic.encode_answer(openai_chat.decode_answer(completion(answer, finish, **members)))


def to_openai(content: list[Json], **members: Any) -> Json:
    return openai_chat.encode_answer(anthropic.decode_answer(message(content, **members)))


def test_usage_counts_the_cache_as_each_api_does() -> None:
    usage = to_openai([])["usage"]
    assert usage["prompt_tokens"] == 23
    assert usage["completion_tokens"] == 13
    assert usage["total_tokens"] == 36
    assert usage["prompt_tokens_details"] == {"cached_tokens": 7, "cache_write_tokens": 11}
    back = anthropic.encode_answer({"choices": [], "usage": usage})["usage"]
    assert back == message([])["usage"]


def test_reasoning_tokens_are_kept() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}
    wire = to_anthropic({"content": "a"}, usage=usage)
    assert wire["usage"]["output_tokens_details"] == {"thinking_tokens": 4}
    counted = {"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}
    assert to_openai([], usage=counted)["usage"]["completion_tokens_details"] == {"reasoning_tokens": 4}


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        ("model_context_window_exceeded", "length"),
    ],
)
def test_stop_reasons_go_and_come_back(reason: str, finish: str) -> None:
    common = anthropic.decode_answer(message([], stop_reason=reason))
    assert common["choices"][0]["finish_reason"] == finish
    assert anthropic.encode_answer(common)["stop_reason"] == reason


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("function_call", "tool_use"),
        ("content_filter", "refusal"),
        ("eos", "end_turn"),
    ],
)
def test_finish_reasons(finish: str, reason: str) -> None:
    assert to_anthropic({"content": "a"}, finish)["stop_reason"] == reason


def test_the_stop_sequence_is_kept() -> None:
    common = anthropic.decode_answer(message([], stop_reason="stop_sequence", stop_sequence="END"))
    assert common["choices"][0]["stop_sequence"] == "END"
    assert anthropic.encode_answer(common)["stop_sequence"] == "END"


def test_a_changed_finish_reason_is_believed() -> None:
    common = anthropic.decode_answer(message([]))
    common["choices"][0]["finish_reason"] = "length"
    assert anthropic.encode_answer(common)["stop_reason"] == "max_tokens"


def test_tools_without_the_word_for_it() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert to_anthropic({"content": None, "tool_calls": calls})["stop_reason"] == "tool_use"


def test_a_refusal_is_text_with_its_reason() -> None:
    wire = to_anthropic({"content": None, "refusal": "No."}, "content_filter")
    assert wire["content"] == [{"type": "text", "text": "No."}]
    assert wire["stop_reason"] == "refusal"
    details = {"type": "refusal", "category": "bio", "explanation": "x"}
    common = anthropic.decode_answer(message([], stop_reason="refusal", stop_details=details))
    assert common["choices"][0]["stop_details"] == details
    assert anthropic.encode_answer(common)["stop_details"] == details


def test_thinking_is_shown_and_kept() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "a"},
    ]
    answer = to_openai(blocks)["choices"][0]["message"]
    assert answer == {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "hm",
        "thinking_blocks": blocks[:2],
    }
    assert to_anthropic({"content": "a", "reasoning_content": "hm"})["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "a"},
    ]


def test_an_answer_may_be_sent_back_by_an_openai_client() -> None:
    """What its SDK makes of the answer, put into the next request, reaches Anthropic as it was said."""
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []},
        {
            "type": "text",
            "text": "a",
            "citations": [{"type": "web_search_result_location", "url": "https://a.example"}],
        },
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
    ]
    answer = to_openai(blocks, stop_reason="tool_use")["choices"][0]["message"]
    assert answer["annotations"][0]["url_citation"]["url"] == "https://a.example"
    dropped: list[str] = []
    request = openai_chat.decode_request({"model": "claude-sonnet-5", "messages": [answer]})
    assert anthropic.encode_request(request, dropped)["messages"][0]["content"] == blocks
    assert dropped == []


def test_citations_and_server_tools_survive_the_common_shape() -> None:
    blocks = [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "citations": [{"type": "char_location", "cited_text": "b"}]},
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "c"},
    ]
    wire = message(blocks, container={"id": "x"})
    common = anthropic.decode_answer(wire)
    assert common["choices"][0]["message"]["content"] == "abc"
    assert anthropic.encode_answer(common) == wire


@pytest.mark.parametrize("name", ["openai_chat", "openai_completions", "openai_embeddings", "openai_responses"])
@pytest.mark.parametrize("answer", [{}, [], {"choices": None, "data": 1, "output": ""}, "x", None])
def test_what_is_no_answer_is_refused(name: str, answer: Any) -> None:
    with pytest.raises(MalformedAnswer):
        FORMATS[name].decode_answer(answer)


@pytest.mark.parametrize(
    "choices", [[1], [{"message": "x"}], [{"message": {"tool_calls": [1]}}], [{"message": {"tool_calls": {"a": 1}}}]]
)
def test_choices_of_the_wrong_shape_are_refused(choices: Any) -> None:
    with pytest.raises(MalformedAnswer):
        openai_chat.decode_answer({"choices": choices})


words = st.sampled_from(["text", "content", "type", "tool_calls", "id", "function", "arguments", "name", "thinking"])
more = st.sampled_from(["usage", "reasoning", "input", "tool_use", "citations", "stop_reason", "thinking_blocks"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | words | more,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | more, inner, max_size=5),
    max_leaves=14,
)


@settings(max_examples=300)
@given(anything, anything, anything)
def test_no_answer_breaks_a_translation(content: Any, usage: Any, members: Any) -> None:
    extra = members if isinstance(members, dict) else {}
    answers = [("anthropic", {**message(content), "usage": usage, **extra})]
    answers.append(("openai_chat", {**completion(extra), "usage": usage, "choices": [{"message": content, **extra}]}))
    answers.append(("openai_chat", completion({**extra, "content": content}, usage=usage)))
    for name, answer in answers:
        try:
            common = FORMATS[name].decode_answer(answer)
        except MalformedAnswer:
            continue
        for form in (openai_chat, anthropic):
            form.encode_answer(common)
