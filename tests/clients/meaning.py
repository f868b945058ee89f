"""What an answer says, whoever's words it is in: the measure for translated answers.

Read from plain JSON: a recorded body, or what an SDK made of what it received. Nothing of the gateway is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Meaning", "of_chat", "of_chunks", "of_events", "of_message", "stops_alike"]

Json: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class Meaning:
    """``calls`` are (name, arguments); ``usage`` is (input with what was cached, read from the cache, output)."""

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    stop: str | None = None
    usage: tuple[int, int, int] | None = None


ALIKE = {
    "stop": {"end_turn", "stop_sequence", "pause_turn"},
    "length": {"max_tokens", "model_context_window_exceeded"},
    "tool_calls": {"tool_use"},
    "function_call": {"tool_use"},
    "content_filter": {"refusal"},
}
"""OpenAI's finish reasons, and Anthropic's stop reasons that mean the same."""


def stops_alike(finish: str | None, stop: str | None, calls: list[tuple[str, Any]]) -> bool:
    if finish == "stop" and calls:
        # Some providers say "stop" when they call a tool; an Anthropic client runs tools only on "tool_use".
        return stop in ("tool_use", "end_turn", "stop_sequence")
    return finish not in ALIKE or stop in ALIKE[finish]


# --- OpenAI's chat ---


def of_chat(answer: Json) -> Meaning:
    choice = (answer.get("choices") or [{}])[0]
    said = Meaning(stop=choice.get("finish_reason"), usage=_chat_usage(answer.get("usage")))
    message = choice.get("message") or {}
    _add(said, message)
    said.calls = [_call(one["function"]) for one in message.get("tool_calls") or () if one.get("function")]
    return said


def of_chunks(chunks: Iterable[Json]) -> Meaning:
    said = Meaning()
    calls: dict[Any, Json] = {}
    for chunk in chunks:
        said.usage = _chat_usage(chunk.get("usage")) or said.usage
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                said.stop = choice.get("finish_reason") or said.stop
                delta = choice.get("delta") or {}
                _add(said, delta)
                for call in delta.get("tool_calls") or ():
                    _join(calls, call)
    said.calls = [_call(call) for call in calls.values()]
    return said


def _join(calls: dict[Any, Json], piece: Json) -> None:
    """A piece belongs to the call of its index; one with another id begins a new call (some servers repeat 0)."""
    place: Any = piece.get("index")
    if piece.get("id") and place in calls and calls[place]["id"] != piece["id"]:
        place = (place, piece["id"])
    known = calls.setdefault(place, {"id": piece.get("id"), "name": "", "arguments": ""})
    function = piece.get("function") or {}
    known["name"] = known["name"] or function.get("name") or ""
    known["arguments"] += function.get("arguments") or ""


def _add(said: Meaning, message: Json) -> None:
    content = message.get("content")
    parts: list[Json] = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    for part in parts:
        if part.get("type") == "text":
            said.text += part["text"]
        elif part.get("type") == "thinking":  # Mistral's
            said.thinking += "".join([piece["text"] for piece in part["thinking"]])
    said.text += message.get("refusal") or ""
    said.thinking += message.get("reasoning_content") or message.get("reasoning") or ""


def _call(function: Json) -> tuple[str, Any]:
    arguments = function.get("arguments")
    try:
        return function["name"], json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return function["name"], arguments or {}


def _chat_usage(usage: Json | None) -> tuple[int, int, int] | None:
    if not usage:
        return None
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return usage.get("prompt_tokens") or 0, cached, usage.get("completion_tokens") or 0


# --- Anthropic's messages ---


def of_message(message: Json) -> Meaning:
    said = Meaning(stop=message["stop_reason"], usage=_message_usage(message["usage"]))
    for block in message["content"]:
        if block["type"] == "text":
            said.text += block["text"]
        elif block["type"] == "thinking":
            said.thinking += block["thinking"]
        elif block["type"] == "tool_use":
            said.calls.append((block["name"], block["input"]))
    return said


def of_events(events: Iterable[Json]) -> Meaning:
    """Of the events of a stream: the message that they build, held to the order in which the SDK relies on them."""
    message: Json = {}
    pieces: list[str] = []
    for event in events:
        kind = event["type"]
        if kind == "message_start":
            assert not message, "two messages in one stream"
            message = event["message"]
        elif kind == "content_block_start":
            assert event["index"] == len(message["content"])
            message["content"].append(event["content_block"])
            pieces = []
        elif kind == "content_block_delta":
            assert event["index"] == len(message["content"]) - 1
            _add_to_block(message["content"][-1], event["delta"], pieces)
        elif kind == "content_block_stop" and pieces:
            message["content"][-1]["input"] = _call({"name": "", "arguments": "".join(pieces)})[1]
        elif kind == "message_delta":
            message.update(event["delta"])
            message["usage"].update({name: value for name, value in event["usage"].items() if value is not None})
    return of_message(message)


def _add_to_block(block: Json, delta: Json, pieces: list[str]) -> None:
    if delta["type"] == "text_delta":
        block["text"] += delta["text"]
    elif delta["type"] == "thinking_delta":
        block["thinking"] += delta["thinking"]
    elif delta["type"] == "input_json_delta" and delta["partial_json"]:
        pieces.append(delta["partial_json"])


def _message_usage(usage: Json) -> tuple[int, int, int]:
    read = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    return usage["input_tokens"] + read + written, read, usage["output_tokens"]
