"""Whatever a provider streams, it is translated or refused as malformed; nothing else is raised."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_trio.errors import ConnectionBroken, MalformedAnswer, StreamFault
from bifrost_trio.formats import anthropic, openai_chat

REFUSED = (MalformedAnswer, StreamFault, ConnectionBroken)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 2)
    | st.sampled_from(["", "a", "{", "}", "text", "thinking", "tool_use"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "name"]), inner),
    max_leaves=5,
)


def objects(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), values, max_size=4)


functions = st.fixed_dictionaries({}, optional={"name": values, "arguments": values}) | values
calls = st.fixed_dictionaries({}, optional={"index": values, "id": values, "function": functions}) | values
deltas = st.fixed_dictionaries(
    {},
    optional={
        "content": values,
        "reasoning_content": values,
        "refusal": values,
        "thinking_blocks": values,
        "content_blocks": values,
        "citations": values,
        "tool_calls": st.lists(calls, max_size=3) | values,
    },
)
choices = st.fixed_dictionaries({}, optional={"index": values, "delta": deltas | values, "finish_reason": values})
chunks = st.fixed_dictionaries({"choices": st.lists(choices, max_size=2)}, optional={"id": values, "usage": values})


@settings(max_examples=250)
@given(st.lists(chunks, max_size=6))
def test_any_chunks(stream: list[Any]) -> None:
    decoder, encoder = openai_chat.stream_decoder(), anthropic.stream_encoder({})
    try:
        for wire in stream:
            for chunk in decoder.decode("", json.dumps(wire).encode()):
                encoder.encode(chunk)
        list(decoder.finish())
    except REFUSED:
        return
    encoder.finish()


kinds = ["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"]
pieces = ["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta", "new_delta"]
messages = st.fixed_dictionaries({}, optional={"id": values, "model": values, "usage": values})
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(kinds)},
    optional=dict.fromkeys(("text", "thinking", "id", "name", "input", "citations", "data"), values),
)
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(pieces)},
    optional=dict.fromkeys(("text", "thinking", "signature", "partial_json", "citation"), values),
)
indexes = st.integers(0, 1) | values
events = st.one_of(
    st.fixed_dictionaries({"type": st.just("content_block_start"), "index": indexes, "content_block": blocks | values}),
    st.fixed_dictionaries({"type": st.just("content_block_delta"), "index": indexes, "delta": parts | values}),
    st.fixed_dictionaries({"type": st.just("content_block_stop"), "index": indexes}),
    st.fixed_dictionaries(
        {"type": st.just("message_delta"), "delta": objects("stop_reason", "container"), "usage": values}
    ),
    st.fixed_dictionaries({"type": values}),
)


@settings(max_examples=250)
@given(messages, st.lists(events, max_size=8))
def test_any_events(message: Any, stream: list[Any]) -> None:
    decoder = anthropic.stream_decoder()
    encoders = [anthropic.stream_encoder({}), openai_chat.stream_encoder({})]
    try:
        for wire in [{"type": "message_start", "message": message}, *stream, {"type": "message_stop"}]:
            for chunk in decoder.decode("", json.dumps(wire).encode()):
                for encoder in encoders:
                    encoder.encode(chunk)
        list(decoder.finish())
    except REFUSED:
        return
    for encoder in encoders:
        encoder.finish()
