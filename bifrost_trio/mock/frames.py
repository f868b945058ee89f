"""An event stream in its three parts."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bifrost_trio.types import JsonObject

__all__ = ["DONE", "Frames", "data", "named"]

DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Frames:
    """``before`` any output (roles, pings, ``response.created``), the ``outputs``, and what comes ``after`` them."""

    before: list[bytes]
    outputs: list[bytes]
    after: list[bytes]


def data(event: JsonObject) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def named(event: JsonObject) -> bytes:
    """With the event's type as its name."""
    return f"event: {event['type']}\n".encode() + data(event)
