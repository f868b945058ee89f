"""JSON, in one place: msgspec's codec, which `benches/test_codec.py` measures against orjson."""

from __future__ import annotations

import json
from typing import Any

import msgspec

__all__ = ["DecodeError", "compact", "decode", "encode"]

DecodeError = msgspec.DecodeError
"""What `decode` raises for bytes that are not JSON (RFC 8259); a subclass of ValueError."""

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def decode(data: bytes | str) -> Any:
    """JSON of any kind. Raises DecodeError, and nothing else, on bytes that are none or that no program can hold."""
    try:
        return _decoder.decode(data)
    except (RecursionError, UnicodeDecodeError) as error:
        raise DecodeError(str(error)) from None


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
