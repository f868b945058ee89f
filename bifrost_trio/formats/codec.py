"""JSON, in one place: msgspec's codec, which `benches/test_codec.py` measures against orjson."""

from __future__ import annotations

import json
from typing import Any

import msgspec

__all__ = ["DecodeError", "compact", "decode", "encode"]

DecodeError = msgspec.DecodeError
"""What `decode` raises for bytes that are not JSON (RFC 8259); a subclass of ValueError."""

decode = msgspec.json.decode
_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """Any decoded JSON as compact UTF-8."""
    try:
        return _encoder.encode(value)
    except (OverflowError, UnicodeEncodeError):
        # msgspec stops at 64 bits and at lone surrogates; a tool's arguments may hold both.
        return json.dumps(value, separators=(",", ":")).encode()


def compact(value: Any) -> str:
    """Any decoded JSON as compact text: the form of a tool call's ``arguments``."""
    return encode(value).decode()
