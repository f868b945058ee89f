"""Errors of the gateway's native routes (``/v1``), in Bifrost's shape.

``is_bifrost_error`` is false where the provider said it; ``extra_fields`` is filled in by who knows the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bifrost_trio.errors import GatewayError, ProviderAnswered, StreamFault
from bifrost_trio.formats.codec import encode
from bifrost_trio.formats.events import data_frame

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["bifrost_error", "bifrost_error_object", "bifrost_stream_error"]


def bifrost_error_object(error: GatewayError, extra_fields: JsonObject | None = None) -> JsonObject:
    return {
        "is_bifrost_error": not isinstance(error, ProviderAnswered | StreamFault),
        "status_code": error.status,
        "type": error.type,
        "error": {"type": error.type, "code": error.code, "message": error.message, "param": error.param},
        "extra_fields": extra_fields or {},
    }


def bifrost_error(error: GatewayError, extra_fields: JsonObject | None = None) -> bytes:
    """The body of an error answer."""
    return encode(bifrost_error_object(error, extra_fields))


def bifrost_stream_error(error: GatewayError, extra_fields: JsonObject | None = None) -> bytes:
    """The frame that ends a stream; it has no event name, as OpenAI's SDK looks for ``error`` in plain data."""
    return data_frame(bifrost_error_object(error, extra_fields))
