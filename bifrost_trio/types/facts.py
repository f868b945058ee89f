"""What is known of a call: small records, filled in as it happens."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from bifrost_trio._wire import Usage
from bifrost_trio.errors import GatewayError

__all__ = [
    "MAX_DECODED",
    "Attempt",
    "Clock",
    "Headers",
    "JsonObject",
    "Operation",
    "Options",
    "Outcome",
    "State",
    "Target",
    "WholeAnswer",
]

JsonObject: TypeAlias = dict[str, Any]


Clock: TypeAlias = Callable[[], float]
"""Seconds, as `trio.current_time` gives them. That one looks for the run's clock each time, which costs more than the
time: what asks for every call is given the clock itself."""


Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names in lower case, values without white space around them (RFC 9110 section 5)."""


MAX_DECODED = 1_000_000
"""Commas and brackets of a body that is decoded: ten times those of the longest prompts, a tenth of a second's work."""


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
    together; ``back_off_seconds`` the wait between attempts, ``queue_seconds`` that for a worker. 0.0: not yet.
    """

    __slots__ = (
        "back_off_seconds",
        "bytes_out",
        "client_seconds",
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
        self.client_seconds = 0.0
        """The wait for the client: for its body, where that did not come at once, and for its reading."""
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


class WholeAnswer:
    """An answer that was read to its end and is not yet written."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
