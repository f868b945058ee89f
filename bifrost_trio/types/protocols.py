"""What stations hand to each other: where a request comes from, where an answer goes, how a language is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from bifrost_trio.errors import GatewayError, StreamFault
from bifrost_trio.types.facts import Headers, JsonObject

__all__ = ["Body", "Format", "Reply", "Request", "Sink", "StreamDecoder", "StreamEncoder"]


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

    @property
    def plain(self) -> bool:
        """Whether the content type is ``application/json`` or none, and there is no content coding and no origin."""

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
    ClientGone or SlowClient when they never will be. ``start`` keeps the head until the first bytes of the body.
    """

    @property
    def arrived_at(self) -> float:
        """When that part of the request came which was read last, on Trio's clock: also if it had to wait until the
        gateway looked."""

    @property
    def blocked(self) -> float:
        """Seconds, of this answer, for which the client took nothing and a write had to wait."""

    async def send(self, status: int, headers: Headers, body: bytes) -> None: ...
    def start(self, status: int, headers: Headers) -> None: ...
    async def write(self, data: bytes) -> None: ...
    async def finish(self, trailer: bytes = b"") -> None: ...
    def write_now(self, data: bytes) -> bool:
        """As ``write``, without waiting; never raises. False: the sink cannot just now, and nothing was taken."""

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
    def start(self, status: int, headers: Headers) -> None: ...
    async def write(self, data: bytes) -> None: ...
    async def finish(self, trailer: bytes = b"") -> None: ...
    def write_now(self, data: bytes) -> bool:
        """As ``write``, without waiting; never raises. False: it cannot just now, and nothing was taken."""

    async def fail(self, error: GatewayError) -> None: ...
    def claim(self) -> None: ...


class StreamDecoder(Protocol):
    """A provider's events in, chunks of the common shape out. One per attempt."""

    def decode(self, event: str, data: bytes) -> Iterable[JsonObject]:
        """Raises MalformedAnswer on data that is not of the format, StreamFault on an error event.

        ``event`` is empty or ``message`` where the framing gives events no name.
        """

    def finish(self) -> Iterable[JsonObject]:
        """What the end of the stream brings. Raises ConnectionBroken if the stream is not complete."""


class StreamEncoder(Protocol):
    """Chunks of the common shape in, bytes of an event stream out. One per attempt."""

    def encode(self, chunk: JsonObject) -> bytes: ...
    def finish(self) -> bytes: ...


class Format(Protocol):
    """One wire language. Decoded JSON in, decoded JSON out: pure functions, to and from the common shape.

    The common shape is described in `bifrost_trio.formats`. ``name`` is also the name of the format's side scan in
    `bifrost_trio._wire.StreamScan`, ``stream_type`` the media type of its streams, ``framing`` how their events are
    told apart: a name that `bifrost_trio._wire.EventReader` knows.
    """

    name: str
    stream_type: bytes
    framing: str

    def decode_request(self, wire: JsonObject) -> JsonObject:
        """Wire to common. Raises InvalidField."""

    def encode_request(self, common: JsonObject, dropped: list[str]) -> JsonObject:
        """Common to wire; appends to ``dropped`` the path of each parameter that this format cannot carry.

        Raises CannotCarry for what must not be left out: a part of a message, a role, a tool's schema.
        """

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
