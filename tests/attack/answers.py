"""Answers of providers that nobody should give."""

from __future__ import annotations

import json
from typing import Any

ODD: tuple[Any, ...] = (None, True, -1, 3.5, 10**30, "x", "5", [], {}, [1], [{}], [None], {"a": 1})
"""Values that stand where something else belongs."""


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


def whole(body: Any, status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer; what is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else dumps(body)
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", *headers, f"content-length: {len(data)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + data


def stream(*frames: bytes, headers: tuple[str, ...] = ()) -> bytes:
    """A stream that the end of the connection ends."""
    lines = ["HTTP/1.1 200 OK", "content-type: text/event-stream", *headers, "connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + b"".join(frames)


def completion(**members: Any) -> dict[str, Any]:
    """OpenAI's whole answer, with ``members`` in place of its own."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    return {"id": "c", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage, **members}


def message(**members: Any) -> dict[str, Any]:
    """Anthropic's whole answer, with ``members`` in place of its own."""
    usage = {"input_tokens": 1, "output_tokens": 2}
    content = [{"type": "text", "text": "hi"}]
    about = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
    return {**about, "content": content, "usage": usage, **members}


def data(value: Any) -> bytes:
    """A frame of OpenAI's streams."""
    return b"data: " + (value if isinstance(value, bytes) else dumps(value)) + b"\n\n"


def chunk(delta: Any = None, finish: Any = None, **members: Any) -> bytes:
    choices = [{"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}]
    return data({"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": choices, **members})


def event(type: str, **members: Any) -> bytes:
    """A frame of Anthropic's streams."""
    return b"event: " + type.encode() + b"\ndata: " + dumps({"type": type, **members}) + b"\n\n"


BEGIN = chunk({"role": "assistant", "content": ""}) + chunk({"content": "hello"})
END = chunk({}, "stop") + data(b"[DONE]")

START = event("message_start", message=message(content=[], stop_reason=None))
TEXT = event("content_block_start", index=0, content_block={"type": "text", "text": ""}) + event(
    "content_block_delta", index=0, delta={"type": "text_delta", "text": "hello"}
)
STOP = (
    event("content_block_stop", index=0)
    + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 7})
    + event("message_stop")
)
