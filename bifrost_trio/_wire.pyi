"""The Rust half: HTTP/1.1, JSON framing, event streams. Bytes in, facts out; no I/O, no clock, but for `Inlet`.

Every call holds the GIL: they are short (a head 1 us, a body 1 us per KB or less). Nothing here waits.
Offsets are bytes. Header names are lower case. "More, please" is ``None``, broken bytes are an exception of
`bifrost_trio.errors`.
"""

import sys
from collections.abc import Sequence
from typing import Final, Self, final

__all__ = [
    "MAX_CHUNK_EXTENSION",
    "MAX_DEPTH",
    "MAX_EVENT",
    "MAX_HEAD",
    "MAX_HEADERS",
    "MAX_MEMBERS",
    "MAX_TARGET",
    "MAX_TRAILERS",
    "Answer",
    "Envelope",
    "EventReader",
    "Inlet",
    "Request",
    "RequestReader",
    "Response",
    "ResponseReader",
    "Scanner",
    "StreamScan",
    "Usage",
    "render_answer",
    "render_chunk",
    "render_head",
    "render_message",
    "scan",
    "scan_answer",
    "splice_answer",
]

MAX_HEAD: Final[int]
"""Bytes of a request or response head, start line included: 64 KiB (RFC 9112 section 3 asks for 8,000 at least)."""
MAX_HEADERS: Final[int]
"""Header lines of one head: 128."""
MAX_TARGET: Final[int]
"""Bytes of a request target: 8 KiB; beyond it 414."""
MAX_DEPTH: Final[int]
"""Nesting of a JSON body: 512."""
MAX_MEMBERS: Final[int]
"""Members of one JSON object at the top level: 1,024."""
MAX_CHUNK_EXTENSION: Final[int]
"""Bytes of chunk extensions over one body: 4 KiB. They are read and dropped."""
MAX_TRAILERS: Final[int]
"""Bytes of a trailer section: 8 KiB. Trailers are checked and dropped."""
MAX_EVENT: Final[int]
"""Bytes of one event of an event stream, whatever its framing: 16 MiB."""

# --- HTTP/1.1, the client's side (RFC 9110, RFC 9112) -----------------------------------------------------------------

@final
class Request:
    """The head of one request, with as much of its body as came with it."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str:
        """The path of the target as it was sent, percent-encoding kept; of an absolute-form target its path."""
    @property
    def query(self) -> str:
        """What follows the first ``?``; empty where there is none."""
    @property
    def minor_version(self) -> int:
        """0 or 1."""
    @property
    def keep_alive(self) -> bool:
        """Whether the connection may serve another request (RFC 9112 section 9.3). Never with HTTP/1.0."""
    @property
    def content_length(self) -> int | None:
        """None for a chunked body; 0 where the request has no body."""
    @property
    def body(self) -> bytes:
        """What of the body came in the same read, decoded; all of it if ``complete``."""
    @property
    def complete(self) -> bool: ...
    @property
    def expect_continue(self) -> bool:
        """The client waits for ``100 Continue`` before it sends the body."""
    @property
    def handover(self) -> bytes | None:
        """Set when the client asks for another protocol: every byte received so far, from the head's first one on.

        A WebSocket upgrade (RFC 6455), an ``h2c`` upgrade is ignored, or the HTTP/2 preface (RFC 9113 section 3.4,
        ``method`` is then ``PRI``).
        """
    @property
    def usual(self) -> bool:
        """Whether it needs no thought before it is served: all of it is there, its connection stays (so it is not of
        HTTP/1.0), and it is neither HEAD, nor waits for ``100 Continue``, nor is for another protocol."""
    @property
    def special(self) -> bool:
        """Whether any header begins with ``x-bf-``, ``anthropic-``, ``openai-`` or is ``x-request-id``."""
    @property
    def plain(self) -> bool:
        """Whether the content type is ``application/json`` or none, and there is no content coding and no origin."""
    def header(self, name: bytes, /) -> bytes | None:
        """The value of the header; several lines are joined by ``, ``; None where there is none."""
    def headers(self) -> list[tuple[bytes, bytes]]: ...

@final
class RequestReader:
    """The requests of one client connection, one after another. Keeps what came too early (pipelining)."""

    def __new__(cls) -> Self: ...
    def feed(self, data: bytes, /) -> Request | None:
        """Takes what a read gave (or ``b""`` to look at what is left over); the next request, or None for "more".

        To be called only when no body is being read (ValueError). Raises MalformedRequest with the status to answer;
        after that the reader is of no use. Up to eight empty lines before a head are skipped.
        """
    def feed_body(self, data: bytes, /) -> bytes:
        """Takes what a read gave while a body is being read; the decoded bytes (may be empty).

        Raises MalformedRequest.
        """
    @property
    def body_complete(self) -> bool: ...
    @property
    def pending(self) -> bool:
        """Whether bytes of a next request have already come."""

# --- HTTP/1.1, the provider's side ------------------------------------------------------------------------------------

@final
class Response:
    """The head of one answer, with as much of its body as came with it."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes:
        """What of the body came in the same read, decoded; all of it if ``complete``."""
    @property
    def complete(self) -> bool: ...
    @property
    def content_length(self) -> int | None: ...
    @property
    def content_type(self) -> bytes:
        """Without parameters, in lower case; empty where there is none."""
    @property
    def event_stream(self) -> bool:
        """Whether the content type is ``text/event-stream``."""
    def header(self, name: bytes, /) -> bytes | None: ...
    def headers(self) -> list[tuple[bytes, bytes]]: ...

@final
class ResponseReader:
    """The answers of one upstream connection, one after another."""

    def __new__(cls) -> Self: ...
    def expect(self, *, head: bool = False) -> None:
        """Begins the next exchange; ``head``: the request was HEAD, so the answer has no body."""
    def feed(self, data: bytes, /) -> Response | None:
        """Takes what a read gave; the final answer's head, or None for "more". Interim (1xx) answers are skipped.

        Raises MalformedAnswer.
        """
    def feed_body(self, data: bytes, /) -> bytes:
        """Takes what a read gave while a body is being read; the decoded bytes (may be empty).

        Raises MalformedAnswer.
        """
    def end(self) -> None:
        """The provider closed the connection: a body that is delimited so is complete now.

        Raises ConnectionBroken if it is not, or if no answer came.
        """
    @property
    def body_complete(self) -> bool: ...
    @property
    def begun(self) -> bool:
        """Whether any byte of an answer has come since ``expect``."""
    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow: the body is complete, both sides keep alive, nothing came after it."""

# --- rendering --------------------------------------------------------------------------------------------------------

def render_answer(
    status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, /, *, keep_alive: bool = True, head: bool = False
) -> bytes:
    """A whole answer: status line, headers, ``content-length``, body (not for ``head``), in one piece.

    Framing headers among ``headers`` (``content-length``, ``transfer-encoding``, ``connection``) are an error. Raises
    ValueError on a name or value that would break the head, and on a body with a status that has none (1xx, 204, 205,
    304).
    """

def render_head(
    status: int, headers: Sequence[tuple[bytes, bytes]], /, *, keep_alive: bool = True, chunked: bool = True
) -> bytes:
    """The head of an answer whose body follows in pieces; without ``chunked`` (HTTP/1.0) the close ends it."""

def render_chunk(data: bytes, /, *, last: bool = False) -> bytes:
    """One chunk (RFC 9112 section 7.1); with ``last`` the end of the body behind it."""

def splice_answer(body: bytes, extra: bytes, /) -> bytes:
    """A JSON object with members added before its closing brace; ``extra`` is ``"name":value,…`` without a comma first.

    The body is not parsed: it was scanned before. An empty object gets no leading comma.
    """

# --- JSON (RFC 8259) --------------------------------------------------------------------------------------------------

@final
class Envelope:
    """What the gateway acts on, read from a request's body in one validating pass, and where it stands."""

    @property
    def model(self) -> str | None: ...
    @property
    def stream(self) -> bool: ...
    @property
    def fallbacks(self) -> list[str]:
        """``provider/model`` each, in order; empty where there are none."""
    @property
    def max_tokens(self) -> int | None:
        """The smallest of ``max_tokens``, ``max_completion_tokens``, ``max_output_tokens``."""
    @property
    def size(self) -> int:
        """Bytes of the body."""
    def splice(self, body: bytes, model: str | None, /) -> bytes:
        """The body with ``model`` in place and the gateway's own members removed; all other bytes unchanged.

        None, where the model stands in the URL, leaves the body's own ``model`` as it is and adds none.
        """
    def render(self, prefix: bytes, body: bytes, model: str | None, /) -> bytes:
        """A request in one piece: ``prefix`` (a head up to and including ``content-length: ``), the length, the empty
        line, and the spliced body."""

def scan(body: bytes, /) -> Envelope:
    """Validates the body as one JSON object and reads its envelope. Raises MalformedJson.

    Refused: what RFC 8259 refuses, invalid UTF-8, unpaired surrogate escapes, a byte order mark, nesting beyond
    MAX_DEPTH, a second member of a name that the gateway acts on, such a name in other letter case or written with
    escapes, and a wrong type in one of them. The message names the byte, ``param`` the member.
    """

@final
class Scanner:
    """`scan` for a body that arrives in pieces. Feed at most 1 MB at a time; cost is linear, whatever the cuts."""

    def __new__(cls) -> Self: ...
    def feed(self, piece: bytes, /) -> None: ...
    def finish(self) -> Envelope: ...

@final
class Usage:
    """Tokens as the provider counted them. ``input_tokens`` includes those read from and written to its cache."""

    def __new__(
        cls,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cached_tokens: int = 0,
        cache_write_tokens: int = 0,
        reasoning_tokens: int = 0,
    ) -> Self: ...
    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def cache_write_tokens(self) -> int: ...
    @property
    def reasoning_tokens(self) -> int: ...

@final
class Answer:
    """What was read from a whole answer in one validating pass."""

    @property
    def usage(self) -> Usage | None: ...
    @property
    def finish_reason(self) -> str | None:
        """In the words of the format that was named; of several choices the first one's."""
    @property
    def model(self) -> str | None: ...
    @property
    def error(self) -> bool:
        """Whether the object has a top-level ``error`` that is not null, or says ``"type": "error"``."""

def scan_answer(format: str, body: bytes, /) -> Answer:
    """Validates a provider's answer as one JSON object and reads usage and finish reason. Raises MalformedAnswer.

    Formats: ``openai_chat``, ``openai_completions``, ``openai_embeddings``, ``openai_images``, ``openai_moderations``,
    ``openai_responses``, ``anthropic``, ``anthropic_count_tokens``, ``bedrock_converse``, ``bedrock_invoke`` (whose
    answers are Anthropic's), ``cohere``, ``cohere_embeddings``, ``gemini``, ``gemini_count_tokens``,
    ``gemini_embeddings``, ``ollama``, ``ollama_embeddings``, ``rerank`` (Cohere's and those like OpenAI's), ``json``
    (any object; usage like OpenAI's, if it is there).
    """

# --- event streams ----------------------------------------------------------------------------------------------------

@final
class EventReader:
    """An event stream, cut anywhere, as its events.

    Framings: ``sse`` (WHATWG HTML, section "Server-sent events"; lines end with CR, LF or CRLF; a first BOM is
    skipped), ``ndjson`` (one JSON text per line, which ends with LF or CRLF; empty lines are skipped), ``amazon``
    (``application/vnd.amazon.eventstream``; both checksums are verified).
    """

    def __new__(cls, framing: str = "sse", /) -> Self:
        """Raises ValueError on a framing that there is not."""
    def feed(self, data: bytes, /) -> list[tuple[str, bytes, str]]:
        """The events that are complete now. Raises MalformedAnswer beyond MAX_EVENT and on a malformed message.

        ``sse``: (event, data, last event id). ``ndjson``: (``message``, line, nothing). ``amazon``: (``:event-type``,
        ``:exception-type`` or ``:error-code``; payload, or ``:error-message`` where that is empty; ``:message-type``:
        ``event``, ``exception`` or ``error``). Invalid UTF-8 in ``data`` is handed on as it is.
        """

@final
class StreamScan:
    """Reads along with a provider's stream that is passed on unchanged. Looks only into frames that can matter."""

    def __new__(cls, format: str, /) -> Self:
        """Formats: ``openai_chat``, ``openai_completions``, ``openai_responses``, ``anthropic``, ``cohere``, ``gemini``
        (framing ``sse``), ``ollama`` (``ndjson``), ``bedrock_converse``, ``bedrock_invoke`` (``amazon``)."""
    def feed(self, data: bytes, /) -> bool:
        """Takes what is about to be passed on; whether one of the facts below (not ``boundary``) has changed.

        Raises MalformedAnswer on a frame with data that is not JSON (``[DONE]`` of ``sse`` and empty data excepted),
        beyond MAX_EVENT, and on a malformed message; the stream cannot be read on then.
        """
    @property
    def output(self) -> bool:
        """Whether real output has been seen: text, a tool call's name, thinking, a refusal, audio.

        Not a role, a ping, ``response.created``.
        """
    @property
    def outputs(self) -> int:
        """Frames from the first real output on: about as many as there were tokens, where nobody has counted them."""

    @property
    def complete(self) -> bool:
        """Whether the stream has said that it is whole: by its last event, or a finish reason of each choice begun.

        False again where another choice begins.
        """
    @property
    def error(self) -> bytes | None:
        """The JSON of the first error frame; of Bedrock's exceptions an object with its name as ``__type``."""
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def usage(self) -> Usage | None:
        """The newest count; of Anthropic's, ``message_start`` and ``message_delta`` put together."""
    @property
    def boundary(self) -> bool:
        """Whether the last byte fed ended an event, so that a frame of the gateway's own may follow."""

def render_message(headers: Sequence[tuple[str, str]], payload: bytes, /) -> bytes:
    """One message of Amazon's event stream with headers that are strings, and both checksums.

    Raises ValueError where a name is empty, stands there twice or is longer than 255 bytes, a value is longer than
    32,767 bytes, and where the whole is more than a reader takes.
    """

if sys.platform == "linux":
    @final
    class Inlet:
        """The reading end of a socket that does not block (recvmsg(2))."""

        def __new__(cls, fd: int, size: int, /) -> Self:
            """Reads at most ``size`` bytes at once. ``fd`` must stay open as long as `receive` is called."""
        @property
        def came_at(self) -> float:
            """When that came which was read last, in seconds of `time.perf_counter`; 0.0 where the kernel says nothing:
            SO_TIMESTAMPNS is not set, it is not TCP (socket(7)), or what was read waited for more than 5 s.
            """
        def receive(self) -> bytes | None:
            """What has come: None if nothing has, empty at the end. Raises OSError."""
