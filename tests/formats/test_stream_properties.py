"""Streams of any shape, cut anywhere: tool calls keep their JSON, text its order, in both directions."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_trio.formats import anthropic, openai_chat

Json = dict[str, Any]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"\\é😀', max_size=3), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text("xyz", max_size=3), values, max_size=4)


@st.composite
def arguments(draw: st.DrawFn) -> str:
    """The text of a call's arguments, as a model may write it; sometimes nothing at all."""
    if draw(st.integers(0, 5)) == 0:
        return ""
    indent = draw(st.sampled_from([None, 2]))
    return json.dumps(draw(objects), ensure_ascii=draw(st.booleans()), indent=indent)


def cut(draw: st.DrawFn, text: str) -> list[str]:
    """The text in pieces, some of them empty."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    edges = [0, *places, len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


@st.composite
def openai_streams(draw: st.DrawFn) -> tuple[list[Json], str, list[str]]:
    """Chunks with text and parallel calls whose pieces come in any order; the text and the arguments that they hold."""
    calls = draw(st.lists(arguments(), max_size=4))
    deltas: list[list[Json]] = []
    for index, text in enumerate(calls):
        first = {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": f"f{index}"}}
        lane = [{"tool_calls": [first]}]
        lane += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in cut(draw, text)]
        deltas.append(lane)
    said = draw(st.lists(st.text("ab \n", min_size=1, max_size=4), max_size=4))
    deltas.append([{"content": text} for text in said])
    ordered: list[Json] = []
    if draw(st.booleans()):
        ordered = [delta for lane in deltas for delta in lane]
    else:
        while any(deltas):
            lane = draw(st.sampled_from([lane for lane in deltas if lane]))
            ordered.append(lane.pop(0))
    return ordered, "".join(said), calls


def chunk(delta: Json, finish: str | None = None) -> Json:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@given(openai_streams())
@settings(max_examples=200)
def test_openai_to_anthropic(tools: Any, stream: tuple[list[Json], str, list[str]]) -> None:
    deltas, text, calls = stream
    chunks = [chunk({"role": "assistant", "content": ""}), *map(chunk, deltas), chunk({}, "tool_calls")]
    message = tools.read_message(tools.encode_stream(anthropic, chunks))
    uses = [block for block in message["content"] if block["type"] == "tool_use"]
    assert sorted((use["name"], use["id"], use.get("raw", "")) for use in uses) == [
        (f"f{index}", f"call_{index}", arguments) for index, arguments in enumerate(calls)
    ]
    assert "".join([block["text"] for block in message["content"] if block["type"] == "text"]) == text
    assert message["stop_reason"] == "tool_use"


def frame(wire: Json) -> bytes:
    return f"event: {wire['type']}\ndata: {json.dumps(wire)}\n\n".encode()


@st.composite
def anthropic_streams(draw: st.DrawFn) -> tuple[bytes, list[Json]]:
    """An event stream and the blocks that it holds."""
    usage = {"input_tokens": 3, "output_tokens": 1}
    start = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m", "usage": usage}
    data = frame({"type": "message_start", "message": start})
    blocks: list[Json] = []
    for index in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["text", "thinking", "tool_use", "server_tool_use"]))
        whole = draw(arguments()) if kind.endswith("use") else draw(st.text("ab \n", min_size=1, max_size=9))
        block, name = opening(kind, index)
        data += frame({"type": "content_block_start", "index": index, "content_block": block})
        for piece in cut(draw, whole):
            member = {"text": "text", "thinking": "thinking"}.get(kind, "partial_json")
            data += frame({"type": "content_block_delta", "index": index, "delta": {"type": name, member: piece}})
        if kind == "thinking":
            sign = {"type": "signature_delta", "signature": f"s{index}"}
            data += frame({"type": "content_block_delta", "index": index, "delta": sign})
        data += frame({"type": "content_block_stop", "index": index})
        blocks.append({"type": kind, "whole": whole})
    data += frame({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}})
    return data + frame({"type": "message_stop"}), blocks


def opening(kind: str, index: int) -> tuple[Json, str]:
    if kind == "text":
        return {"type": "text", "text": ""}, "text_delta"
    if kind == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta"
    return {"type": kind, "id": f"t_{index}", "name": f"f{index}", "input": {}}, "input_json_delta"


@given(anthropic_streams())
@settings(max_examples=200)
def test_anthropic_to_openai(tools: Any, stream: tuple[bytes, list[Json]]) -> None:
    data, blocks = stream
    sent = tools.encode_stream(openai_chat, tools.decode_stream(anthropic, data))
    said = tools.assemble(tools.decode_stream(openai_chat, sent))
    assert said["text"] == "".join([block["whole"] for block in blocks if block["type"] == "text"])
    assert said["thinking"] == "".join([block["whole"] for block in blocks if block["type"] == "thinking"])
    wanted = [block["whole"] or "{}" for block in blocks if block["type"] == "tool_use"]
    assert [call["arguments"] for call in said["calls"]] == wanted


@given(anthropic_streams())
@settings(max_examples=200)
def test_anthropic_through_the_common_shape(tools: Any, stream: tuple[bytes, list[Json]]) -> None:
    data, _ = stream
    again = tools.read_message(tools.encode_stream(anthropic, tools.decode_stream(anthropic, data)))
    wanted = tools.read_message(data)
    assert [same(block) for block in again["content"]] == [same(block) for block in wanted["content"]]
    assert again["usage"]["output_tokens"] == 7


def same(block: Json) -> Json:
    """A call without arguments is ``{}`` to an Anthropic client, whether it is told so or not."""
    return {name: value for name, value in block.items() if name != "raw" or value not in ("", "{}")}
