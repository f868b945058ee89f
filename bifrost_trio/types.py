"""The words that every station speaks. Nothing here does anything.

One client request is one `Call`. It goes down the path as ``await station(call, reply)``; what comes back goes into
``reply``, and what became of it is written, as facts arrive, into ``call.outcome``.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from bifrost_trio._wire import Envelope, Usage
from bifrost_trio.errors import BodyTooLarge, GatewayError, InvalidField, StreamFault

__all__ = [
    "Attempt",
    "Body",
    "Call",
    "Format",
    "Headers",
    "JsonObject",
    "Operation",
    "Options",
    "Outcome",
    "Reply",
    "Request",
    "Sink",
    "State",
    "Station",
    "StreamDecoder",
    "StreamEncoder",
    "Target",
    "Usage",
    "WholeAnswer",
]

JsonObject: TypeAlias = dict[str, Any]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names in lower case, values without white space around them (RFC 9110 section 5)."""


MAX_DECODED = 1_000_000
"""Commas and brackets of a body that is decoded. The longest prompts have a tenth of them; ten times as many would keep
everybody waiting for a second, and take a gigabyte."""


class Operation(enum.StrEnum):
    """What a client asks for; the words are Bifrost's request types."""

    CHAT_COMPLETION = "chat_completion"
    TEXT_COMPLETION = "text_completion"
    EMBEDDING = "embedding"
    RESPONSES = "responses"
    COUNT_TOKENS = "count_tokens"
    LIST_MODELS = "list_models"


class State(enum.StrEnum):
    """How a call stands. It ends exactly once, as one of the last three."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Target:
    """One provider and the model name that it understands. ``asked`` is the name that the client used."""

    __slots__ = ("asked", "model", "provider")

    def __init__(self, provider: str, model: str, asked: str = "") -> None:
        self.provider = provider
        self.model = model
        self.asked = asked or f"{provider}/{model}"

    def __repr__(self) -> str:
        return f"{self.provider}/{self.model}"


class Attempt:
    """One upstream request: who was asked, with which key (its name), how it ended, how long it took (seconds).

    ``kind`` is "success", "cancelled", or the kind of the error; ``status`` the provider's, or 0 where it gave none.
    """

    __slots__ = ("fallback", "key", "kind", "model", "provider", "seconds", "status")

    def __init__(
        self, provider: str, model: str, key: str, status: int, kind: str, seconds: float, fallback: int
    ) -> None:
        self.provider = provider
        self.model = model
        self.key = key
        self.status = status
        self.kind = kind
        self.seconds = seconds
        self.fallback = fallback


class Outcome:
    """What became of a call, filled in as it happens: it is right at any moment, also after a cancel.

    Times are seconds on the clock of `trio.current_time`; ``upstream_seconds`` is the wait for providers, all attempts
    together; ``back_off_seconds`` the wait between attempts, ``queue_seconds`` that for a worker. 0.0 stands for "not yet".
    """

    __slots__ = (
        "back_off_seconds",
        "bytes_out",
        "committed",
        "error",
        "finish_reason",
        "first_output_at",
        "queue_seconds",
        "state",
        "status",
        "upstream_seconds",
        "usage",
        "usage_estimated",
    )

    def __init__(self) -> None:
        self.state = State.OPEN
        self.status = 0
        self.usage: Usage | None = None
        self.usage_estimated = False
        """Of a stream that broke off, or whose provider did not count: input by size, output by frames."""
        self.finish_reason: str | None = None
        self.first_output_at = 0.0
        self.upstream_seconds = 0.0
        self.queue_seconds = 0.0
        self.back_off_seconds = 0.0
        self.bytes_out = 0
        self.committed = False
        self.error: GatewayError | None = None


class Options:
    """What the client's ``x-bf-*`` headers ask for. Made only when there is such a header."""

    __slots__ = ("direct_key", "extra_headers", "key_id", "key_name", "raw_request", "raw_response", "request_id")

    def __init__(self) -> None:
        self.key_name: str | None = None
        self.key_id: str | None = None
        self.direct_key: str | None = None
        self.extra_headers: list[tuple[bytes, bytes]] = []
        self.raw_request = False
        self.raw_response = False
        self.request_id: str | None = None


class Request(Protocol):
    """The head of a client's request: `bifrost_trio._wire.Request`, or what stands for it under ASGI or in memory."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def content_length(self) -> int | None: ...
    @property
    def body(self) -> bytes:
        """What of the body came with the head; all of it if ``complete``."""

    @property
    def complete(self) -> bool: ...
    @property
    def special(self) -> bool:
        """Whether any header begins with ``x-bf-``, ``anthropic-``, ``openai-`` or is ``x-request-id``."""

    def header(self, name: bytes, /) -> bytes | None:
        """The value of the header (name in lower case); several are joined by a comma; None where there is none."""

    def headers(self) -> list[tuple[bytes, bytes]]: ...


class Body(Protocol):
    """The body of a client's request, piece by piece."""

    async def receive(self) -> bytes:
        """The next piece; empty at the end. Raises ClientGone, RequestTimeout or MalformedRequest."""


class Sink(Protocol):
    """Where an answer leaves the gateway: a connection, an ASGI ``send``, a list in memory.

    ``send``, or ``start``, ``write`` ..., ``finish``. Each returns when the bytes are on their way and raises
    ClientGone or SlowClient when they never will be.
    """

    async def send(self, status: int, headers: Headers, body: bytes) -> None: ...
    async def start(self, status: int, headers: Headers) -> None: ...
    async def write(self, data: bytes) -> None: ...
    async def finish(self, trailer: bytes = b"") -> None: ...
    def comment(self, head: Headers | None, data: bytes) -> bool:
        """Sends bytes of a waiting stream without waiting, behind the head of a 200 where one is given.

        Synchronous; never raises. False: this sink cannot, and nothing was sent.
        """

    def reset(self) -> None:
        """Ends the answer so that nobody can take it for whole. Synchronous; never raises."""


class Reply(Protocol):
    """Where a station puts an answer. States: new, then sent; or started, then finished or failed.

    Only the innermost writer calls ``send``, or ``start``, ``write`` ..., ``finish``; the return of ``write`` is the
    backpressure. ``claim`` is synchronous: the first attempt that calls it wins, a loser's write raises. After the
    commit only the transport calls ``fail``.
    """

    async def send(self, status: int, headers: Headers, body: bytes) -> None: ...
    async def start(self, status: int, headers: Headers) -> None: ...
    async def write(self, data: bytes) -> None: ...
    async def finish(self, trailer: bytes = b"") -> None: ...
    async def fail(self, error: GatewayError) -> None: ...
    def claim(self) -> None: ...


class WholeAnswer:
    """An answer that was read to its end and is not yet written."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class StreamDecoder(Protocol):
    """A provider's events in, chunks of the common shape out. One per attempt."""

    def decode(self, event: str, data: bytes) -> Iterable[JsonObject]:
        """Raises MalformedAnswer on data that is not of the format, StreamFault on an error event."""

    def finish(self) -> Iterable[JsonObject]:
        """What the end of the stream brings. Raises ConnectionBroken if the stream is not complete."""


class StreamEncoder(Protocol):
    """Chunks of the common shape in, bytes of an event stream out. One per attempt."""

    def encode(self, chunk: JsonObject) -> bytes: ...
    def finish(self) -> bytes: ...


class Format(Protocol):
    """One wire language. Decoded JSON in, decoded JSON out: pure functions, to and from the common shape.

    The common shape is described in `bifrost_trio.formats`. ``name`` is also the name of the format's side scan in
    `bifrost_trio._wire.StreamScan`.
    """

    name: str

    def decode_request(self, wire: JsonObject) -> JsonObject:
        """Wire to common. Raises InvalidField."""

    def encode_request(self, common: JsonObject, dropped: list[str]) -> JsonObject:
        """Common to wire; appends to ``dropped`` the path of each parameter that this format cannot carry."""

    def decode_answer(self, wire: JsonObject) -> JsonObject:
        """Raises MalformedAnswer."""

    def encode_answer(self, common: JsonObject) -> JsonObject: ...
    def stream_decoder(self) -> StreamDecoder: ...
    def stream_encoder(self, common_request: JsonObject) -> StreamEncoder: ...
    def decode_error(self, status: int, body: bytes) -> tuple[str, str | None, str | None, str | None]:
        """A provider's error answer as (message, type, code, param). Never raises."""

    def decode_stream_error(self, frame: bytes) -> StreamFault:
        """The error in a stream's frame (its JSON), or in a whole answer with status 200; with its true status."""

    def encode_error(self, error: GatewayError) -> bytes:
        """The body of an error answer."""

    def encode_stream_error(self, error: GatewayError) -> bytes:
        """The event that ends a stream which has already begun."""


class Call:
    """One client request on its way. Each field has one station that writes it.

    | field | written by |
    |---|---|
    | operation, format, head, body, envelope, identity, options, native | transport |
    | accepted_at, id, default_provider | transport |
    | target, fallback, trail | router; workers append to the trail |
    | request, changed, answer | whoever sets ``request`` or ``answer``: a plugin, the agent loop |
    | spoken_to_in, dropped_params, raw_request, raw_response | providers |
    | outcome | as facts arrive |
    """

    __slots__ = (
        "_common",
        "accepted_at",
        "body",
        "changed",
        "default_provider",
        "dropped_params",
        "envelope",
        "fallback",
        "format",
        "head",
        "id",
        "identity",
        "native",
        "operation",
        "options",
        "outcome",
        "raw_request",
        "raw_response",
        "spoken_to_in",
        "state",
        "target",
        "trail",
    )

    def __init__(
        self,
        operation: Operation,
        format: Format,
        head: Request | None,
        body: bytes,
        envelope: Envelope,
        accepted_at: float,
        *,
        native: bool = True,
        default_provider: str | None = None,
        identity: str | None = None,
        options: Options | None = None,
    ) -> None:
        self.operation = operation
        self.format = format
        self.head = head
        self.body = body
        self.envelope = envelope
        self.accepted_at = accepted_at
        self.native = native
        self.default_provider = default_provider
        self.identity = identity
        self.options = options
        self.id: str | None = None
        self.target: Target | None = None
        self.fallback = 0
        self.trail: list[Attempt] = []
        self.spoken_to_in: Format | None = None
        """The format in which the provider of the last attempt was spoken to."""
        self.dropped_params: Sequence[str] = ()
        self.raw_request: bytes | None = None
        self.raw_response: bytes | None = None
        self.outcome = Outcome()
        self.changed = False
        self._common: JsonObject | None = None
        self.state: dict[str, Any] | None = None

    @property
    def stream(self) -> bool:
        return self.envelope.stream

    @property
    def key(self) -> str:
        """The name of the key that was last used for the target that the call is about; empty where none was."""
        return next((made.key for made in reversed(self.trail) if made.fallback == self.fallback), "")

    @property
    def request(self) -> JsonObject:
        """The request in the common shape, decoded on first use. Setting it marks the call as changed.

        Whoever changes it in place sets it again (``call.request = request``), or the provider never sees the change.
        """
        if self._common is None:
            wire = _decoded(self.body)
            wire.pop("fallbacks", None)
            self._common = self.format.decode_request(wire)
        return self._common

    @request.setter
    def request(self, common: JsonObject) -> None:
        self._common = common
        self.changed = True


def _decoded(body: bytes) -> JsonObject:
    """A body that was scanned, as objects. Raises InvalidField for a number that no program can hold, BodyTooLarge."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_DECODED:
        raise BodyTooLarge(
            f"the request holds more than {MAX_DECODED} values, too many to be translated", code="too_many_values"
        )
    try:
        wire: JsonObject = msgspec.json.decode(body)
    except msgspec.DecodeError:
        for name, value in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items():
            try:
                msgspec.json.decode(value)
            except msgspec.DecodeError:
                raise InvalidField("this holds a number that is too large", name) from None
        raise
    return wire


Station: TypeAlias = Callable[[Call, Reply], Awaitable[None]]
