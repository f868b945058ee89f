"""OpenAI's Responses (platform.openai.com, "Responses" and "Streaming events")."""

from __future__ import annotations

from collections.abc import Iterator

from bifrost_trio.mock.frames import Frames, named
from bifrost_trio.mock.openai import CREATED
from bifrost_trio.mock.speech import Said
from bifrost_trio.types import JsonObject

__all__ = ["response", "response_frames"]


def response(wire: JsonObject, said: Said, number: int) -> JsonObject:
    return _response(wire, said, number, "completed", [_item(said, number, "completed")])


def _response(wire: JsonObject, said: Said, number: int, status: str, output: list[JsonObject]) -> JsonObject:
    return {
        "id": f"resp_mock_{number}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": wire.get("instructions"),
        "model": wire.get("model"),
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": wire.get("tool_choice", "auto"),
        "tools": wire.get("tools", []),
        "usage": _usage(said) if status == "completed" else None,
    }


def _usage(said: Said) -> JsonObject:
    return {
        "input_tokens": said.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": said.input_tokens + said.output_tokens,
    }


def _item(said: Said, number: int, status: str) -> JsonObject:
    done = status == "completed"
    if said.tool:
        return {
            "type": "function_call",
            "id": f"fc_mock_{number}",
            "call_id": f"call_mock_{number}",
            "name": said.tool.name,
            "arguments": said.tool.arguments if done else "",
            "status": status,
        }
    content = [_part(said.text)] if done else []
    return {"type": "message", "id": f"msg_mock_{number}", "role": "assistant", "status": status, "content": content}


def _part(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": []}


def response_frames(wire: JsonObject, said: Said, number: int) -> Frames:
    begun = _response(wire, said, number, "in_progress", [])
    opened: JsonObject = {"output_index": 0, "item": _item(said, number, "in_progress")}
    closed = {"output_index": 0, "item": _item(said, number, "completed")}
    before: list[JsonObject] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", **opened},
    ]
    place = {"item_id": opened["item"]["id"], "output_index": 0}
    content = _tool_events(said, place) if said.tool else _text_events(said, {**place, "content_index": 0})
    after: list[JsonObject] = [
        {"type": "response.output_item.done", **closed},
        {"type": "response.completed", "response": response(wire, said, number)},
    ]
    return _numbered(before, list(content), after)


def _text_events(said: Said, place: JsonObject) -> Iterator[JsonObject]:
    yield {"type": "response.content_part.added", **place, "part": _part("")}
    for piece in said.pieces:
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": said.text, "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": _part(said.text)}


def _tool_events(said: Said, place: JsonObject) -> Iterator[JsonObject]:
    assert said.tool is not None
    for part in (said.tool.arguments[:1], said.tool.arguments[1:]):
        yield {"type": "response.function_call_arguments.delta", **place, "delta": part}
    yield {"type": "response.function_call_arguments.done", **place, "arguments": said.tool.arguments}


def _numbered(before: list[JsonObject], content: list[JsonObject], after: list[JsonObject]) -> Frames:
    """With sequence numbers, and each event where it belongs: only deltas are output."""
    deltas = [n for n, event in enumerate(content) if event["type"].endswith(".delta")]
    first, last = (deltas[0], deltas[-1] + 1) if deltas else (len(content), len(content))
    parts = [[*before, *content[:first]], content[first:last], [*content[last:], *after]]
    numbers = iter(range(len(before) + len(content) + len(after)))
    return Frames(*([named({**event, "sequence_number": next(numbers)}) for event in part] for part in parts))
