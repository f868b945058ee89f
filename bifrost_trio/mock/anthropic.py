"""Anthropic's messages (platform.claude.com, "Messages" and "Streaming messages")."""

from __future__ import annotations

import json

from bifrost_trio.mock.frames import Frames, named
from bifrost_trio.mock.speech import Said
from bifrost_trio.types import JsonObject

__all__ = ["message", "message_frames", "models"]


def message(wire: JsonObject, said: Said, number: int) -> JsonObject:
    block: JsonObject = {"type": "text", "text": said.text}
    if said.tool:
        block = {**_tool(said, number), "input": json.loads(said.tool.arguments)}
    return {**_message(wire, said, number), "content": [block], "stop_reason": _stop(said), "usage": _usage(said)}


def _message(wire: JsonObject, said: Said, number: int) -> JsonObject:
    return {
        "id": f"msg_mock_{number}",
        "type": "message",
        "role": "assistant",
        "model": wire.get("model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_usage(said), "output_tokens": 1},
    }


def _usage(said: Said) -> JsonObject:
    return {
        "input_tokens": said.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": said.output_tokens,
    }


def _stop(said: Said) -> str:
    return said.finish or ("tool_use" if said.tool else "end_turn")


def _tool(said: Said, number: int) -> JsonObject:
    assert said.tool is not None
    return {"type": "tool_use", "id": f"toolu_mock_{number}", "name": said.tool.name, "input": {}}


def message_frames(wire: JsonObject, said: Said, number: int) -> Frames:
    block: JsonObject = {"type": "text", "text": ""}
    deltas: list[JsonObject] = [{"type": "text_delta", "text": piece} for piece in said.pieces]
    if said.tool:
        block = _tool(said, number)
        parts = (said.tool.arguments[:1], said.tool.arguments[1:])
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
    begun: JsonObject = {"type": "message_start", "message": _message(wire, said, number)}
    opened: JsonObject = {"type": "content_block_start", "index": 0, "content_block": block}
    # The name of a tool is output; that a text begins is not.
    before, opening = ([begun, {"type": "ping"}], [opened]) if said.tool else ([begun, opened, {"type": "ping"}], [])
    after: list[JsonObject] = [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": _stop(said), "stop_sequence": None},
            "usage": {"output_tokens": said.output_tokens},
        },
        {"type": "message_stop"},
    ]
    outputs = [*opening, *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas)]
    return Frames(*([named(event) for event in events] for events in (before, outputs, after)))


def models(names: list[str]) -> JsonObject:
    day = "2023-11-14T22:13:20Z"
    listed = [
        {"type": "model", "id": name, "display_name": name, "created_at": day, "lifecycle": "active"} for name in names
    ]
    return {"data": listed, "has_more": False, "first_id": names[0], "last_id": names[-1]}
