"""Chunks of the common shape as Anthropic's event stream (platform.claude.com, "Streaming messages").

``message_delta`` tells the usage, and OpenAI may tell that after the finish reason: the message is therefore ended by
`AnthropicEncoder.finish`, not by the chunk with the finish reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bifrost_trio.formats.anthropic.lanes import Lanes
from bifrost_trio.formats.anthropic.vocabulary import new_id, safe_id, stop_reason, wire_usage
from bifrost_trio.formats.codec import compact
from bifrost_trio.formats.content import member, objects, reasoning_of, text_of
from bifrost_trio.formats.events import named_frame

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["AnthropicEncoder"]

_EXTRAS = ("container", "context_management")


class AnthropicEncoder:
    """One stream. ``encode`` takes chunks, ``finish`` ends the message."""

    __slots__ = ("_calls", "_count", "_end", "_extras", "_ids", "_lanes", "_model", "_started", "_usage")

    def __init__(self, common_request: JsonObject) -> None:
        self._model = common_request.get("model") or ""
        self._lanes = Lanes()
        self._started = False
        self._usage: JsonObject | None = None
        self._end: JsonObject = {}
        self._extras: JsonObject = {}
        self._calls: dict[Any, str] = {}
        self._ids: dict[Any, Any] = {}
        self._count = 0

    def encode(self, chunk: JsonObject) -> bytes:
        frames: list[bytes] = []
        if not self._started and (chunk.get("choices") or chunk.get("id")):  # Azure's filter results come before
            frames.append(self._start(chunk))
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        for name in _EXTRAS:
            if chunk.get(name) is not None:
                self._extras[name] = chunk[name]
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                delta = choice.get("delta")
                if delta:
                    self._delta(delta, frames)
                if choice.get("finish_reason"):
                    self._end = choice
        return b"".join(frames)

    def finish(self) -> bytes:
        frames = [] if self._started else [self._start({})]
        frames += self._lanes.close_all()
        reason, sequence = stop_reason(self._end, bool(self._calls))
        delta: JsonObject = {"stop_reason": reason, "stop_sequence": sequence}
        if self._end.get("stop_details") is not None:
            delta["stop_details"] = self._end["stop_details"]
        event: JsonObject = {"type": "message_delta", "delta": delta, "usage": wire_usage(self._usage)}
        if "container" in self._extras:
            delta["container"] = self._extras["container"]
        if "context_management" in self._extras:
            event["context_management"] = self._extras["context_management"]
        frames.append(named_frame("message_delta", event))
        frames.append(named_frame("message_stop", {"type": "message_stop"}))
        return b"".join(frames)

    def _start(self, chunk: JsonObject) -> bytes:
        self._started = True
        message: JsonObject = {
            "id": chunk.get("id") or new_id(),
            "type": "message",
            "role": "assistant",
            "model": chunk.get("model") or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": wire_usage(chunk.get("early_usage") or chunk.get("usage")),
        }
        return named_frame("message_start", {"type": "message_start", "message": message})

    def _delta(self, delta: JsonObject, frames: list[bytes]) -> None:
        reasoning = reasoning_of(delta)
        if reasoning:
            self._piece("thinking", {"type": "thinking", "thinking": "", "signature": ""}, frames)
            frames += self._lanes.add(self._lanes.last(), {"type": "thinking_delta", "thinking": reasoning})
        for block in objects(delta.get("thinking_blocks")):
            self._thinking_block(block, frames)
        for piece in objects(delta.get("content_blocks")):
            self._block(piece, frames)
        text = text_of(delta.get("content")) or delta.get("refusal")
        if text and isinstance(text, str):
            self._piece("text", {"type": "text", "text": ""}, frames)
            frames += self._lanes.add(self._lanes.last(), {"type": "text_delta", "text": text})
        for citation in objects(delta.get("citations")):
            self._piece("text", {"type": "text", "text": ""}, frames)
            frames += self._lanes.add(self._lanes.last(), {"type": "citations_delta", "citation": citation})
        for call in objects(delta.get("tool_calls")):
            self._call(call, frames)

    def _piece(self, kind: str, block: JsonObject, frames: list[bytes]) -> None:
        """Makes sure that the last block is of that kind."""
        last = self._lanes.last()
        if last is None or last[0] != kind:
            frames += self._lanes.begin(self._key(kind), block)

    def _key(self, kind: str) -> tuple[str, int]:
        self._count += 1
        return kind, self._count

    def _thinking_block(self, block: JsonObject, frames: list[bytes]) -> None:
        if block.get("type") != "thinking":
            frames += self._lanes.begin(self._key("redacted"), block)
            return
        self._piece("thinking", {"type": "thinking", "thinking": "", "signature": ""}, frames)
        signature = {"type": "signature_delta", "signature": block.get("signature", "")}
        frames += self._lanes.add(self._lanes.last(), signature)
        self._lanes.seal(("signed", self._count))

    def _block(self, piece: JsonObject, frames: list[bytes]) -> None:
        key: tuple[str, Any] = ("block", str(piece.get("index")))
        if "type" in piece:
            block = {name: value for name, value in piece.items() if name != "index"}
            if block["type"] == "text":
                key, block = self._key("text"), {"type": "text", "text": ""}
            frames += self._lanes.begin(key, block)
        elif "partial_json" in piece:
            frames += self._lanes.add(key, {"type": "input_json_delta", "partial_json": piece["partial_json"]})
        elif isinstance(piece.get("delta"), dict):
            frames += self._lanes.add(key, piece["delta"])

    def _call(self, call: JsonObject, frames: list[bytes]) -> None:
        function = call.get("function") or {}
        key = self._call_key(call)
        if key not in self._calls:
            self._calls[key] = call.get("id") or f"call_{len(self._calls)}"
            block: JsonObject = {
                "type": "tool_use",
                "id": safe_id(self._calls[key]),
                "name": function.get("name") or "",
                "input": {},
            }
            if call.get("caller") is not None:
                block["caller"] = call["caller"]
            frames += self._lanes.begin(key, block, tool=True)
        arguments = function.get("arguments")
        if arguments:
            text = arguments if isinstance(arguments, str) else compact(arguments)
            frames += self._lanes.add(key, {"type": "input_json_delta", "partial_json": text})

    def _call_key(self, call: JsonObject) -> tuple[str, Any]:
        """By index; some compatible providers give every call the same index, or none, and only a new id tells."""
        index, given = str(call.get("index")), call.get("id")
        given = given if isinstance(given, str) else None
        known = self._ids.get(index)
        named = given and member(call.get("function"), "name")
        if named and known is not None and given != self._calls.get(known):
            self._ids[index] = ("tool_use", (index, given))
        elif known is None:
            self._ids[index] = ("tool_use", index)
        key: tuple[str, Any] = self._ids[index]
        return key
