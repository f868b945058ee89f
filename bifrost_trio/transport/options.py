"""What the client's headers ask for (Bifrost's request options)."""

from __future__ import annotations

from collections.abc import Callable

from bifrost_trio.errors import InvalidField
from bifrost_trio.types import Options, Request

__all__ = ["MAX_REQUEST_ID", "HeaderFilter", "read_options"]

MAX_REQUEST_ID = 128
"""Bytes of a client's ``x-request-id``: it stands in every line of the log that tells of the call."""

LATER = frozenset(
    {
        b"x-bf-async",
        b"x-bf-async-id",
        b"x-bf-cache-key",
        b"x-bf-mcp-include-clients",
        b"x-bf-mcp-include-tools",
        b"x-bf-session-id",
        b"x-bf-vk",
    }
)
"""Headers of Bifrost that this version does not act on: refused, since a call without their effect is another call."""

HeaderFilter = Callable[[str], bool]
"""Whether a caller may have the header of this name (lower case) sent on to the provider."""


def read_options(request: Request, may_forward: HeaderFilter) -> Options:
    """The options in a request's headers. Raises InvalidField for a value that means nothing, or a header of later."""
    options = Options()
    for name, value in request.headers():
        if name.startswith(b"x-bf-eh-"):
            forwarded = name[8:]
            if not forwarded or not may_forward(forwarded.decode("latin-1")):
                raise InvalidField("this header may not be forwarded to the provider", name.decode("latin-1"))
            options.extra_headers.append((forwarded, value))
        elif name in LATER:
            raise InvalidField("this header is not supported yet", name.decode("latin-1"), "unsupported_header")
        elif name in _READERS:
            _READERS[name](options, value)
    return options


def _text(value: bytes, name: str) -> str:
    if not value:
        raise InvalidField("this header is empty", name)
    return value.decode("latin-1")


def _flag(value: bytes, name: str) -> bool:
    if value.lower() not in (b"true", b"false"):
        raise InvalidField('this header must be "true" or "false"', name)
    return value.lower() == b"true"


def _key_name(options: Options, value: bytes) -> None:
    options.key_name = _text(value, "x-bf-api-key")


def _key_id(options: Options, value: bytes) -> None:
    options.key_id = _text(value, "x-bf-api-key-id")


def _direct_key(options: Options, value: bytes) -> None:
    options.direct_key = _text(value, "x-bf-direct-key")


def _raw_request(options: Options, value: bytes) -> None:
    options.raw_request = _flag(value, "x-bf-send-back-raw-request")


def _raw_response(options: Options, value: bytes) -> None:
    options.raw_response = _flag(value, "x-bf-send-back-raw-response")


def _request_id(options: Options, value: bytes) -> None:
    if len(value) > MAX_REQUEST_ID:
        raise InvalidField(f"this header is longer than {MAX_REQUEST_ID} bytes", "x-request-id")
    options.request_id = _text(value, "x-request-id")


_READERS: dict[bytes, Callable[[Options, bytes], None]] = {
    b"x-bf-api-key": _key_name,
    b"x-bf-api-key-id": _key_id,
    b"x-bf-direct-key": _direct_key,
    b"x-bf-send-back-raw-request": _raw_request,
    b"x-bf-send-back-raw-response": _raw_response,
    b"x-request-id": _request_id,
}
