"""Errors as the providers word them.

platform.openai.com, "Error codes"; platform.claude.com, "Errors". The sentences are the mock's own.
"""

from __future__ import annotations

import json
from typing import Final

from bifrost_trio.mock.behaviour import Behaviour
from bifrost_trio.types import JsonObject

__all__ = ["anthropic_error", "error_frame", "openai_error"]

_OPENAI: Final[dict[int, tuple[str, str | None]]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    503: ("server_error", "service_unavailable"),
}
_ANTHROPIC: Final[dict[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def openai_error(behaviour: Behaviour) -> JsonObject:
    status = behaviour.status
    kind, code = _OPENAI.get(status, ("invalid_request_error" if status < 500 else "server_error", None))
    return {
        "error": {
            "message": _message(behaviour),
            "type": behaviour.type or kind,
            "param": None,
            "code": behaviour.code or code,
        }
    }


def anthropic_error(behaviour: Behaviour) -> JsonObject:
    status = behaviour.status
    kind = _ANTHROPIC.get(status, "invalid_request_error" if status < 500 else "api_error")
    error = {"type": behaviour.type or kind, "message": _message(behaviour)}
    return {"type": "error", "error": error, "request_id": "req_mock"}


def _message(behaviour: Behaviour) -> str:
    return behaviour.message or f"The mock answers with {behaviour.status}, as it was told to."


def error_frame(language: str, behaviour: Behaviour) -> bytes:
    """The event of an error inside a stream."""
    if language == "anthropic":
        return b"event: error\ndata: " + json.dumps(anthropic_error(behaviour)).encode() + b"\n\n"
    error = openai_error(behaviour)
    if language == "openai_responses":
        told = error["error"]
        event = {"type": "error", "code": told["code"] or told["type"], "message": told["message"], "param": None}
        return b"event: error\ndata: " + json.dumps({**event, "sequence_number": 1}).encode() + b"\n\n"
    return b"data: " + json.dumps(error).encode() + b"\n\n"
