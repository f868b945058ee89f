"""Answers of providers in either language, whole or streamed, with what the mock cannot say: thinking, many tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from bifrost_trio.testing import Script, streamed, whole

__all__ = ["CallOfATool", "answer"]

Json: TypeAlias = dict[str, Any]
CallOfATool: TypeAlias = tuple[str, str, Any]
"""Id, name, arguments; arguments in a string are OpenAI's text of them."""

SIGNATURE = "c2lnbmVk"


def answer(
    provider: str, *, text: str = "", thinking: str = "", calls: Sequence[CallOfATool] = (), stream: bool = False
) -> Script:
    """What ``provider`` ("openai" or "anthropic") answers. It read 20 tokens, 5 of them from its cache, and wrote 7."""
    if provider == "openai":
        return streamed(_chunks(text, thinking, calls)) if stream else whole(_completion(text, thinking, calls))
    return streamed(_events(text, thinking, calls)) if stream else whole(_message(text, thinking, calls))


# --- OpenAI; reasoning as DeepSeek and others tell it ---


def _completion(text: str, thinking: str, calls: Sequence[CallOfATool]) -> Json:
    message: Json = {"role": "assistant", "content": text or None, "refusal": None}
    if thinking:
        message["reasoning_content"] = thinking
    if calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": _text(arguments)}}
            for id, name, arguments in calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if calls else "stop"}
    return {**_head("chat.completion"), "choices": [choice], "usage": _OPENAI_USAGE}


_OPENAI_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


def _text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _head(kind: str) -> Json:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": "a-model"}


def _chunks(text: str, thinking: str, calls: Sequence[CallOfATool]) -> Iterator[bytes]:
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in _pieces(thinking)]
    deltas += [{"content": piece} for piece in _pieces(text)]
    for index, (id, name, _) in enumerate(calls):
        function: Json = {"name": name, "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
    # As OpenAI may: the pieces of several calls in turns.
    for pieces in zip(*[_pieces(_text(arguments)) for _, _, arguments in calls], strict=True):
        for index, piece in enumerate(pieces):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    for delta in deltas:
        yield _chunk([{"index": 0, "delta": delta, "finish_reason": None}])
    yield _chunk([{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}])
    yield _chunk([], usage=_OPENAI_USAGE)
    yield b"data: [DONE]\n\n"


def _chunk(choices: list[Json], **members: Any) -> bytes:
    return b"data: " + json.dumps({**_head("chat.completion.chunk"), "choices": choices, **members}).encode() + b"\n\n"


def _pieces(text: str) -> list[str]:
    """In two, cut anywhere."""
    return [text[:3], text[3:]] if text else []


# --- Anthropic ---


def _message(text: str, thinking: str, calls: Sequence[CallOfATool]) -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "a-model",
        "content": _blocks(text, thinking, calls),
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 15, "cache_read_input_tokens": 5, "output_tokens": 7},
    }


def _blocks(text: str, thinking: str, calls: Sequence[CallOfATool]) -> list[Json]:
    blocks: list[Json] = []
    if thinking:
        blocks.append({"type": "thinking", "thinking": thinking, "signature": SIGNATURE})
    if text:
        blocks.append({"type": "text", "text": text})
    blocks += [{"type": "tool_use", "id": id, "name": name, "input": arguments} for id, name, arguments in calls]
    return blocks


def _events(text: str, thinking: str, calls: Sequence[CallOfATool]) -> Iterator[bytes]:
    message = _message(text, thinking, calls)
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield _event("message_start", message={**message, "content": [], "stop_reason": None})
    yield _event("ping")
    for index, block in enumerate(message["content"]):
        yield _event("content_block_start", index=index, content_block=_empty(block))
        for delta in _deltas(block):
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    yield _event("message_delta", delta=end, usage={"output_tokens": 7})
    yield _event("message_stop")


def _event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def _empty(block: Json) -> Json:
    if block["type"] == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    if block["type"] == "text":
        return {"type": "text", "text": ""}
    return {**block, "input": {}}


def _deltas(block: Json) -> Iterator[Json]:
    if block["type"] == "thinking":
        for piece in _pieces(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] == "text":
        for piece in _pieces(block["text"]):
            yield {"type": "text_delta", "text": piece}
    else:
        for piece in _pieces(json.dumps(block["input"])):
            yield {"type": "input_json_delta", "partial_json": piece}
