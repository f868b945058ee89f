"""Any error to one answer, in the client's own error shape."""

from __future__ import annotations

import logging
import math

from bifrost_trio.errors import ClientLeft, GatewayError, MethodNotAllowed, ProviderAnswered
from bifrost_trio.formats.bifrost import bifrost_error
from bifrost_trio.transport.options import MAX_REQUEST_ID
from bifrost_trio.transport.reply import extra_fields, fact_headers, id_header
from bifrost_trio.types import Call, Format, Headers, Sink

__all__ = ["answer_error", "as_gateway_error", "error_answer"]

log = logging.getLogger("bifrost_trio.transport")


def as_gateway_error(error: Exception) -> GatewayError:
    """An error that no station foresaw: the client learns only that it happened, the log gets the traceback."""
    if isinstance(error, GatewayError):
        return error
    log.error("a call failed inside the gateway", exc_info=error)
    return GatewayError("the gateway failed to serve this request", code="internal_error")


def error_answer(
    error: GatewayError, format: Format, *, native: bool, call: Call | None = None
) -> tuple[int, Headers, bytes]:
    """Status, headers and body. What a provider said to a client of its own format is passed on as it said it."""
    headers = [(b"content-type", b"application/json")]
    if error.retry_after is not None:
        headers += _retry_headers(error.retry_after)
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode("ascii")))
    if call is not None:
        headers += id_header(call) if native else fact_headers(call)
    if native:
        body = bifrost_error(error, extra_fields(call) if call is not None else {})
    elif isinstance(error, ProviderAnswered) and call is not None and call.spoken_to_in is format and error.body:
        headers[0] = (b"content-type", error.content_type)
        said = {name for name, _ in headers} | {b"retry-after", b"retry-after-ms"}
        headers += [header for header in error.headers if header[0] not in said]
        body = error.body
    else:
        body = format.encode_error(error)
    return error.status, headers, body


def _retry_headers(seconds: float) -> list[tuple[bytes, bytes]]:
    """Whole seconds (RFC 9110 section 10.2.3); what is more exact in OpenAI's way, which Anthropic's SDK reads too."""
    headers = [(b"retry-after", b"%d" % math.ceil(seconds))]
    if seconds % 1:
        headers.append((b"retry-after-ms", b"%d" % math.ceil(seconds * 1000)))
    return headers


async def answer_error(
    error: GatewayError, sink: Sink, format: Format, *, native: bool, call: Call | None = None, id: bytes | None = None
) -> None:
    """Writes the answer; whether the client is still there to read it matters to nobody any more.

    ``id`` is the request's ``x-request-id``, for what never became a call.
    """
    if isinstance(error, ClientLeft):
        sink.reset()
        return
    status, headers, body = error_answer(error, format, native=native, call=call)
    if id is not None and 0 < len(id) <= MAX_REQUEST_ID:
        headers = [*headers, (b"x-request-id", id)]
    try:
        await sink.send(status, headers, body)
    except ClientLeft:
        sink.reset()
