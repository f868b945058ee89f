"""OpenAI's errors (platform.openai.com, "Error codes"), which its compatible providers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bifrost_trio.errors import GatewayError, StreamFault
from bifrost_trio.formats.codec import encode
from bifrost_trio.formats.events import data_frame
from bifrost_trio.formats.failures import read_error

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["decode_error", "encode_error", "encode_stream_error", "error_members", "stream_fault"]

_FOREIGN: dict[str, tuple[str, str | None]] = {
    "billing_error": ("insufficient_quota", None),
    "not_found_error": ("invalid_request_error", "not_found"),
    "request_too_large": ("invalid_request_error", "request_too_large"),
    "rate_limit_error": ("rate_limit_error", "rate_limit_exceeded"),
    "api_error": ("server_error", None),
    "timeout_error": ("server_error", "timeout"),
    "overloaded_error": ("server_error", "overloaded"),
}
"""Anthropic's words (the gateway's own errors use them too): OpenAI's type, and a code where its type says less."""

_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "requests": 429,
    "tokens": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "api_error": 500,
    "overloaded": 503,
    "overloaded_error": 503,
    "service_unavailable": 503,
}
"""The status that a type or a code stands for, for errors inside a stream that began with 200."""


def decode_error(status: int, body: bytes) -> tuple[str, str | None, str | None, str | None]:
    """(message, type, code, param). Never raises."""
    return read_error(status, body)


def stream_fault(frame: bytes, inner: JsonObject | None = None) -> StreamFault:
    """The error of a frame; compatible providers put the HTTP status into ``code``.

    ``inner`` is the error object itself, where it does not stand under ``error``.
    """
    message, kind, code, _ = read_error(502, frame if inner is None else encode(inner))
    if kind == "error":  # the name of the event, in the Responses API
        kind = None
    if code is not None and code.isdigit() and 400 <= int(code) < 600:
        status = int(code)
    else:
        status = _STATUSES.get(code or "") or _STATUSES.get(kind or "") or 502
    return StreamFault(message, frame=frame, status=status, type=kind, code=code)


def error_members(error: GatewayError) -> JsonObject:
    """The four members of OpenAI's error object, all of them always present."""
    kind, code = _FOREIGN.get(error.type, (error.type, None))
    return {"message": error.message, "type": kind, "param": error.param, "code": error.code or code}


def encode_error(error: GatewayError) -> bytes:
    return encode({"error": error_members(error)})


def encode_stream_error(error: GatewayError) -> bytes:
    return data_frame({"error": error_members(error)})
