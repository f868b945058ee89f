"""Anthropic's Message and OpenAI's chat completion: the whole answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bifrost_trio.errors import MalformedAnswer
from bifrost_trio.formats.anthropic.turns import decode_assistant, encode_assistant
from bifrost_trio.formats.anthropic.vocabulary import common_usage, finish_reason, new_id, stop_reason, wire_usage
from bifrost_trio.formats.content import member

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["decode_answer", "encode_answer"]

_TRANSLATED = frozenset(
    ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage")
)
_EXTRAS = ("container", "context_management")


def decode_answer(wire: JsonObject) -> JsonObject:
    """Wire to common. Raises MalformedAnswer on what is not a Message."""
    content = member(wire, "content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise MalformedAnswer("The provider's answer is not a Message: it has no list of content blocks.")
    usage = wire.get("usage")
    choice: JsonObject = {
        "index": 0,
        "message": decode_assistant(content),
        "finish_reason": finish_reason(wire.get("stop_reason")),
        "native_finish_reason": wire.get("stop_reason"),
        "logprobs": None,
    }
    for name in ("stop_sequence", "stop_details"):
        if wire.get(name) is not None:
            choice[name] = wire[name]
    common: JsonObject = {
        "id": wire.get("id", ""),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": wire.get("model", ""),
        "choices": [choice],
    }
    if isinstance(usage, dict):
        common["usage"] = common_usage(usage)
        if "service_tier" in common["usage"]:
            common["service_tier"] = common["usage"]["service_tier"]
    for name, value in wire.items():
        if name not in _TRANSLATED and value is not None:
            common[name] = value
    return common


def encode_answer(common: JsonObject) -> JsonObject:
    """Common to wire, from the first choice: Anthropic has no others."""
    choices = common.get("choices") or [{}]
    choice = choices[0]
    message = choice.get("message") or {}
    content = encode_assistant(message, "message", None)
    reason, sequence = stop_reason(choice, bool(message.get("tool_calls")))
    wire: JsonObject = {
        "id": common.get("id") or new_id(),
        "type": "message",
        "role": "assistant",
        "model": common.get("model", ""),
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": wire_usage(common.get("usage")),
    }
    if choice.get("stop_details") is not None:
        wire["stop_details"] = choice["stop_details"]
    for name in _EXTRAS:
        if common.get(name) is not None:
            wire[name] = common[name]
    return wire
