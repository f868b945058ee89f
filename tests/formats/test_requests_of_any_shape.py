"""Whatever a client sends, it is either refused by the name of the field, or translated."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_trio.errors import InvalidField
from bifrost_trio.formats import FORMATS, anthropic, anthropic_count_tokens, openai_chat

Json = dict[str, Any]


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("form", "request_", "param"),
    [
        (openai_chat, {}, "messages"),
        (openai_chat, {"messages": "hi"}, "messages"),
        (openai_chat, {"messages": ["hi"]}, "messages[0]"),
        (openai_chat, {"messages": [{"content": "hi"}]}, "messages[0].role"),
        (openai_chat, {"messages": [user([1])]}, "messages[0].content[0]"),
        (openai_chat, {"messages": [user(5)]}, "messages[0].content"),
        (openai_chat, {"messages": [], "tools": [1]}, "tools[0]"),
        (anthropic, {}, "messages"),
        (anthropic, {"messages": [user(None)]}, "messages[0].content"),
        (anthropic, {"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        (anthropic, {"messages": [], "system": 1}, "system"),
        (anthropic, {"messages": [], "tool_choice": {"type": "x"}}, "tool_choice.type"),
        (anthropic_count_tokens, {"messages": 1}, "messages"),
    ],
)
def test_a_request_of_the_wrong_shape_is_refused_by_name(form: Any, request_: Json, param: str) -> None:
    with pytest.raises(InvalidField) as caught:
        form.decode_request(request_)
    assert caught.value.param == param


words = st.sampled_from(
    ["role", "content", "type", "text", "image_url", "url", "file", "file_data", "tool_calls", "function", "name"]
    + ["arguments", "tool_call_id", "thinking_blocks", "content_blocks", "source", "input", "id", "cache_control"]
    + ["tool_use", "tool_result", "document", "user", "assistant", "tool", "system", "thinking", "refusal"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(words, anything, max_size=4)
strange = st.dictionaries(
    st.sampled_from(
        ["model", "tools", "tool_choice", "system", "stop", "metadata", "thinking", "response_format", "output_config"]
        + ["reasoning", "reasoning_effort", "max_tokens", "service_tier", "stop_sequences", "stream_options", "user"]
    ),
    anything,
    max_size=4,
)


@settings(max_examples=250)
@given(
    st.sampled_from(["openai_chat", "anthropic", "anthropic_count_tokens"]),
    strange,
    st.lists(objects, max_size=4) | anything,
)
def test_no_request_breaks_a_translation(name: str, request_: Json, messages: Any) -> None:
    request_ = {**request_, "messages": messages}
    try:
        common = FORMATS[name].decode_request(request_)
    except InvalidField:
        return
    for form in (openai_chat, anthropic, anthropic_count_tokens):
        form.encode_request(common, [])
