"""Anthropic's event stream as chunks (platform.claude.com, "Streaming messages").

Beyond OpenAI's members a delta may have ``thinking_blocks`` (a signature, which closes the thinking that came before it
in ``reasoning_content``, or a redacted block), ``citations`` (of the text that came before), and ``content_blocks``
(a block that OpenAI has no delta for; then, under the same ``index``, its input in ``partial_json``). The chunk of
``message_start`` has ``early_usage``, OpenAI's encoder takes it out again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from bifrost_trio.errors import ConnectionBroken, MalformedAnswer
from bifrost_trio.formats.anthropic.errors import stream_fault
from bifrost_trio.formats.anthropic.vocabulary import common_usage, finish_reason
from bifrost_trio.formats.codec import DecodeError, compact, decode

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["AnthropicDecoder"]

_CALL = frozenset(("type", "id", "name", "input"))


def _index(wire: JsonObject) -> int:
    index = wire.get("index")
    if not isinstance(index, int):
        raise MalformedAnswer("The provider's stream holds a content block without an index.")
    return index


def _text(delta: JsonObject, name: str) -> str:
    text = delta.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise MalformedAnswer(f"The provider's stream holds a delta whose {name} is not a string.")
    return text


class AnthropicDecoder:
    """One stream. ``decode`` takes events, ``finish`` says whether it was whole."""

    __slots__ = ("_calls", "_complete", "_created", "_id", "_last", "_model", "_open", "_started", "_usage")

    def __init__(self) -> None:
        self._id = ""
        self._model = ""
        self._created = 0
        self._started = False
        self._complete = False
        self._usage: JsonObject | None = {}
        self._calls: dict[int, tuple[int, JsonObject]] = {}
        self._open: set[int] = set()
        self._last = ""

    def decode(self, event: str, data: bytes) -> Iterable[JsonObject]:
        """Raises MalformedAnswer on data that is not an event of Anthropic's, StreamFault on an error event."""
        try:
            wire = decode(data)
        except DecodeError:
            raise MalformedAnswer("The provider's stream holds an event that is not JSON.") from None
        if not isinstance(wire, dict):
            raise MalformedAnswer("The provider's stream holds an event that is not an object.")
        kind = wire.get("type") or event
        if kind == "error":
            raise stream_fault(data)
        handler = _HANDLERS.get(str(kind))
        if handler is not None:
            return handler(self, wire)
        if not isinstance(kind, str) or not kind:
            raise MalformedAnswer("The provider's stream holds an event without a type.")
        return ()  # ping, and what Anthropic may add: its page on streaming asks clients to ignore unknown events

    def finish(self) -> Iterable[JsonObject]:
        """Raises ConnectionBroken if neither a stop reason nor ``message_stop`` has come."""
        if not self._complete:
            raise ConnectionBroken("The provider's stream ended before the message did.")
        return self._usage_chunk()

    def _chunk(self, delta: JsonObject, finish: str | None = None) -> JsonObject:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }

    def _start(self, wire: JsonObject) -> Iterable[JsonObject]:
        message = wire.get("message")
        if not isinstance(message, dict) or self._started:
            raise MalformedAnswer("The provider's stream does not begin with one message.")
        self._id = message.get("id") or ""
        self._model = message.get("model") or ""
        self._created = int(time.time())
        self._started = True
        chunk = self._chunk({"role": "assistant", "content": ""})
        self._count(message.get("usage"))
        if self._usage:
            chunk["early_usage"] = common_usage(self._usage)
        return (chunk,)

    def _count(self, usage: Any) -> None:
        """Each count replaces the one before: they are totals, not differences."""
        if isinstance(usage, dict) and self._usage is not None:
            self._usage.update({name: value for name, value in usage.items() if value is not None})

    def _block_start(self, wire: JsonObject) -> Iterable[JsonObject]:
        index, block = _index(wire), wire.get("content_block")
        if not self._started or not isinstance(block, dict):
            raise MalformedAnswer("The provider's stream opens a content block that is none.")
        kind, before = block.get("type"), self._last
        self._last = str(kind)
        self._open.add(index)
        if kind == "tool_use":
            return (self._chunk(self._call(index, block)),)
        if kind == "text":
            return self._text_start(index, block, before)
        if kind == "thinking":
            text = _text(block, "thinking")
            return (self._chunk({"reasoning_content": text}),) if text else ()
        if kind == "redacted_thinking":
            return (self._chunk({"thinking_blocks": [block]}),)
        return (self._chunk({"content_blocks": [{"index": index, **block}]}),)

    def _text_start(self, index: int, block: JsonObject, before: str) -> Iterable[JsonObject]:
        text = _text(block, "text")
        delta: JsonObject = {"content": text} if text else {}
        if before == "text":  # only here would two blocks run into one
            delta["content_blocks"] = [{"index": index, "type": "text"}]
        if block.get("citations"):
            delta["citations"] = block["citations"]
        return (self._chunk(delta),) if delta else ()

    def _call(self, index: int, block: JsonObject) -> JsonObject:
        call: JsonObject = {
            "index": len(self._calls),
            "id": block.get("id"),
            "type": "function",
            "function": {"name": block.get("name"), "arguments": ""},
        }
        call.update({name: block[name] for name in block.keys() - _CALL})
        self._calls[index] = (len(self._calls), block)
        return {"tool_calls": [call]}

    def _block_delta(self, wire: JsonObject) -> Iterable[JsonObject]:
        index, delta = _index(wire), wire.get("delta")
        if not isinstance(delta, dict) or index not in self._open:
            raise MalformedAnswer("The provider's stream continues a content block that is not open.")
        kind = delta.get("type")
        if kind == "text_delta":
            return (self._chunk({"content": _text(delta, "text")}),)
        if kind == "input_json_delta":
            return self._input(index, _text(delta, "partial_json"))
        if kind == "thinking_delta":
            return (self._chunk({"reasoning_content": _text(delta, "thinking")}),)
        if kind == "signature_delta":
            block = {"type": "thinking", "signature": _text(delta, "signature")}
            return (self._chunk({"thinking_blocks": [block]}),)
        if kind == "citations_delta":
            return (self._chunk({"citations": [delta.get("citation")]}),)
        return (self._chunk({"content_blocks": [{"index": index, "delta": delta}]}),)

    def _input(self, index: int, text: str) -> Iterable[JsonObject]:
        if index not in self._calls:
            return (self._chunk({"content_blocks": [{"index": index, "partial_json": text}]}),)
        if not text:
            return ()
        number, block = self._calls[index]
        block["input"] = None  # its arguments come in pieces, so what it began with does not count
        return (self._arguments(number, text),)

    def _arguments(self, number: int, text: str) -> JsonObject:
        return self._chunk({"tool_calls": [{"index": number, "function": {"arguments": text}}]})

    def _block_stop(self, wire: JsonObject) -> Iterable[JsonObject]:
        index = _index(wire)
        if index not in self._open:
            raise MalformedAnswer("The provider's stream closes a content block that is not open.")
        self._open.discard(index)
        if index in self._calls:
            number, block = self._calls[index]
            if block.get("input") is not None:
                return (self._arguments(number, compact(block["input"])),)
        return ()

    def _message_delta(self, wire: JsonObject) -> Iterable[JsonObject]:
        self._count(wire.get("usage"))
        delta = wire.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        reason = delta.get("stop_reason")
        if reason is None:
            return ()
        self._complete = True
        chunk = self._chunk({}, finish_reason(reason))
        choice = chunk["choices"][0]
        choice["native_finish_reason"] = reason
        for name in ("stop_sequence", "stop_details"):
            if delta.get(name) is not None:
                choice[name] = delta[name]
        for name in delta.keys() - {"stop_reason", "stop_sequence", "stop_details"}:
            if delta[name] is not None:
                chunk[name] = delta[name]
        if wire.get("context_management") is not None:
            chunk["context_management"] = wire["context_management"]
        return (chunk,)

    def _message_stop(self, wire: JsonObject) -> Iterable[JsonObject]:
        if not self._started:
            raise MalformedAnswer("The provider's stream ends a message that has not begun.")
        self._complete = True
        return self._usage_chunk()

    def _usage_chunk(self) -> Iterable[JsonObject]:
        usage, self._usage = self._usage, None
        if not usage:
            return ()
        chunk = self._chunk({})
        chunk["choices"] = []
        chunk["usage"] = common_usage(usage)
        return (chunk,)


_HANDLERS: dict[str, Callable[[AnthropicDecoder, Any], Iterable[Any]]] = {
    "message_start": AnthropicDecoder._start,
    "content_block_start": AnthropicDecoder._block_start,
    "content_block_delta": AnthropicDecoder._block_delta,
    "content_block_stop": AnthropicDecoder._block_stop,
    "message_delta": AnthropicDecoder._message_delta,
    "message_stop": AnthropicDecoder._message_stop,
}
