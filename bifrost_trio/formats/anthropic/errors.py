"""Anthropic's errors (platform.claude.com, "Errors")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bifrost_trio.errors import GatewayError, StreamFault
from bifrost_trio.formats.codec import encode
from bifrost_trio.formats.events import named_frame
from bifrost_trio.formats.failures import read_error

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["decode_error", "encode_error", "encode_stream_error", "error_object", "stream_fault"]

STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TYPES = {status: word for word, status in STATUSES.items()} | {408: "timeout_error", 503: "overloaded_error"}


def decode_error(status: int, body: bytes) -> tuple[str, str | None, str | None, str | None]:
    """(message, type, code, param). Never raises."""
    return read_error(status, body)


def stream_fault(frame: bytes) -> StreamFault:
    """The error of an ``error`` event, with the status that its type stands for."""
    message, kind, code, _ = read_error(502, frame)
    return StreamFault(message, frame=frame, status=STATUSES.get(kind or "", 502), type=kind, code=code)


def _type(error: GatewayError) -> str:
    if error.type in STATUSES:
        return error.type
    return _TYPES.get(error.status) or ("invalid_request_error" if error.status < 500 else "api_error")


def error_object(error: GatewayError) -> JsonObject:
    """Its shape has no place for the field at fault, so the message names it."""
    message = error.message
    if error.param is not None and error.param not in message:
        message = f"{error.param}: {message}"
    return {"type": "error", "error": {"type": _type(error), "message": message}}


def encode_error(error: GatewayError) -> bytes:
    return encode(error_object(error))


def encode_stream_error(error: GatewayError) -> bytes:
    return named_frame("error", error_object(error))
