"""The client's end of a call."""

from __future__ import annotations

from functools import lru_cache

import msgspec
import trio

from bifrost_trio._wire import splice_answer
from bifrost_trio.errors import GatewayError
from bifrost_trio.formats.bifrost import bifrost_stream_error
from bifrost_trio.types import Attempt, Call, Headers, JsonObject, Operation, Sink, State, Target

__all__ = ["ClientReply", "extra_fields", "fact_headers", "id_header"]


EVENT_STREAM: Headers = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))

COMMENT = b": waiting\n\n"
"""A line that begins with a colon is skipped by every reader of event streams (WHATWG HTML, 9.2.6)."""

BOUNDARIES = (b"\n\n", b"\n\r\n", b"\r\r", b"\r\r\n", b"\n\r")
"""How an event ends: a line's end and an empty line, each of them LF, CRLF or CR (WHATWG HTML, 9.2.5)."""


class ClientReply:
    """The outermost reply: knows whether anything was committed, adds what the gateway has to say about the call."""

    __slots__ = ("_begun", "_call", "_last", "sink")

    def __init__(self, call: Call, sink: Sink) -> None:
        self._call = call
        self._begun = False
        self._last = b""
        self.sink = sink

    @property
    def begun(self) -> bool:
        """Whether the client has the head of a stream: what goes wrong from then on is told within the stream."""
        return self._begun

    @property
    def waiting(self) -> bool:
        outcome = self._call.outcome
        return outcome.state is State.OPEN and not outcome.committed

    def comment(self) -> None:
        """Keeps a waiting client's stream alive; commits to nothing but the status."""
        head = None if self._begun else (*EVENT_STREAM, *id_header(self._call))
        if self.sink.comment(head, COMMENT):
            self._begun = True
            self._call.outcome.status = 200

    def claim(self) -> None:
        self._call.outcome.committed = True

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        call = self._call
        outcome = call.outcome
        outcome.committed = True
        outcome.status = status
        now = outcome.first_output_at = outcome.first_output_at or trio.current_time()
        if call.native:
            body = splice_answer(body, _extra_bytes(call, now))
            if call.id is not None:
                headers = [*headers, *id_header(call)]
        else:
            headers = fact_headers(call, headers)
        outcome.bytes_out = len(body)
        await self.sink.send(status, headers, body)

    def start(self, status: int, headers: Headers) -> None:
        outcome = self._call.outcome
        outcome.committed = True
        outcome.status = status
        if not self._begun:
            self._begun = True
            self.sink.start(status, fact_headers(self._call, headers))

    async def write(self, data: bytes) -> None:
        self._note(data)
        await self.sink.write(data)

    def write_now(self, data: bytes) -> bool:
        if not self.sink.write_now(data):
            return False
        self._note(data)
        return True

    def _note(self, data: bytes) -> None:
        self._call.outcome.bytes_out += len(data)
        # An event's end may come in two pieces.
        self._last = data if len(data) > 2 else (self._last + data)[-3:]

    async def finish(self, trailer: bytes = b"") -> None:
        self._call.outcome.bytes_out += len(trailer)
        await self.sink.finish(trailer)

    async def fail(self, error: GatewayError) -> None:
        """Once a stream has begun: the format's error event if it stands between two events; never an end that looks
        whole, unless the client has the provider's own word that it is not."""
        if self._begun and getattr(error, "told", False):
            await self.sink.finish()
            return
        if self._begun and (not self._last or self._last.endswith(BOUNDARIES)):
            call = self._call
            native = call.native and call.operation is not Operation.RESPONSES
            # A Responses client reads events by their type; the others look for ``error`` in plain data.
            told = bifrost_stream_error(error, extra_fields(call)) if native else call.format.encode_stream_error(error)
            await self.sink.write(told)
        self.sink.reset()


def _extra_bytes(call: Call, now: float) -> bytes:
    """``"extra_fields":{...}``. What is the same for every call to a target is encoded once."""
    target = call.target
    trail = call.trail
    if (
        target is None
        or len(trail) != 1
        or call.fallback
        or call.dropped_params
        or call.raw_request
        or call.raw_response
    ):
        return b'"extra_fields":' + msgspec.json.encode(extra_fields(call))
    milliseconds = round((now - call.accepted_at) * 1000)
    asked = call.envelope.model or ""
    routing = _routing if len(asked) + len(target.model) <= REMEMBERED_LENGTH else _routing.__wrapped__
    return b"%b%d}" % (routing(call.operation, target, trail[0].key, asked), milliseconds)


REMEMBERED_LENGTH = 512
"""Characters of the names in what is encoded once: they come from clients, so there must be a bound."""


@lru_cache(maxsize=1024)
def _routing(operation: Operation, target: Target, key: str, asked: str | None) -> bytes:
    """The members of ``extra_fields`` up to the number of ``latency``."""
    fields = _routing_fields(operation, target, key, asked, is_fallback=False)
    return b'"extra_fields":' + msgspec.json.encode(fields)[:-1] + b',"latency":'


def _routing_fields(
    operation: Operation, target: Target, key: str, asked: str | None, *, is_fallback: bool
) -> JsonObject:
    return {
        "request_type": operation.value,
        "provider": target.provider,
        "original_model_requested": asked,
        "resolved_model_used": target.model,
        "routing_info": {
            "provider": target.provider,
            "model": target.model,
            "key": key,
            "is_fallback": is_fallback,
        },
    }


def extra_fields(call: Call) -> JsonObject:
    """Bifrost's ``extra_fields``; ``latency`` in milliseconds since the call was accepted.

    ``attempts`` (the trail) is there when there was more than one; ``dropped_params`` when a parameter could not be
    carried into the provider's format.
    """
    target = call.target
    if target is None:
        fields: JsonObject = {"request_type": call.operation.value}
    else:
        fields = _routing_fields(call.operation, target, call.key, call.envelope.model, is_fallback=call.fallback > 0)
    fields["latency"] = round((trio.current_time() - call.accepted_at) * 1000)
    if len(call.trail) > 1:
        fields["attempts"] = [_told(attempt) for attempt in call.trail]
    if call.dropped_params:
        fields["dropped_params"] = list(call.dropped_params)
    if call.raw_request is not None:
        fields["raw_request"] = msgspec.Raw(call.raw_request)
    if call.raw_response is not None:
        fields["raw_response"] = msgspec.Raw(call.raw_response)
    return fields


def _told(attempt: Attempt) -> JsonObject:
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "key": attempt.key,
        "status": attempt.status,
        "result": attempt.kind,
        "latency": round(attempt.seconds * 1000),
    }


def id_header(call: Call) -> list[tuple[bytes, bytes]]:
    """The client's own ``x-request-id``, where it sent one."""
    return [] if call.id is None else [(b"x-request-id", call.id.encode("latin-1"))]


def fact_headers(call: Call, shown: Headers = ()) -> list[tuple[bytes, bytes]]:
    """The same facts as headers, for answers that stay byte-exact and for streams; behind what is ``shown`` of the
    provider's, whose name for the request gives way to the client's own.

    ``x-bf-attempts`` is ``provider/model:key:result`` for each attempt, in order, separated by commas.
    """
    headers = list(shown)
    if call.id is not None:
        headers = [header for header in shown if header[0] != b"x-request-id"] + id_header(call)
    target = call.target
    if target is not None:
        of_target = _target_headers if len(target.model) <= REMEMBERED_LENGTH else _target_headers.__wrapped__
        headers += of_target(target)
    if call.fallback:
        headers.append((b"x-bf-fallback", b"%d" % call.fallback))
    if call.trail:
        trail = ", ".join(f"{a.provider}/{a.model}:{a.key}:{a.kind}" for a in call.trail)
        headers.append((b"x-bf-attempts", _header(trail)))
    if call.dropped_params:
        headers.append((b"x-bf-dropped-params", _header(", ".join(call.dropped_params))))
    return headers


@lru_cache(maxsize=1024)
def _target_headers(target: Target) -> Headers:
    return (b"x-bf-provider", _header(target.provider)), (b"x-bf-model", _header(target.model))


_PRINTABLE = bytes(byte if 0x20 <= byte < 0x7F else 0x3F for byte in range(256))

LONGEST_HEADER = 1024
"""Bytes of a header about a call: names in it come from clients, and their readers refuse heads that are too long."""


def _header(value: str) -> bytes:
    """Text as a header value: what is not printable ASCII becomes a question mark (RFC 9110 section 5.5)."""
    if len(value) > LONGEST_HEADER:
        value = value[: LONGEST_HEADER - 3] + "..."
    return value.encode("ascii", "replace").translate(_PRINTABLE)
