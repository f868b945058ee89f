"""Frames of an event stream (WHATWG HTML, section "Server-sent events")."""

from __future__ import annotations

from typing import Any

from bifrost_trio.formats.codec import encode

__all__ = ["DONE", "EVENT_STREAM", "data_frame", "named_frame"]

EVENT_STREAM = b"text/event-stream"

DONE = b"data: [DONE]\n\n"
"""The last frame of OpenAI's streams; it is not JSON."""


def data_frame(value: Any) -> bytes:
    """A frame without a name, as OpenAI's chat completions send them."""
    return b"data: " + encode(value) + b"\n\n"


def named_frame(event: str, value: Any) -> bytes:
    """A frame with a name, as Anthropic's messages and OpenAI's responses send them."""
    return b"event: " + event.encode() + b"\ndata: " + encode(value) + b"\n\n"
