"""What is played on a connection: bytes, pauses, and how it ends. Every answer and every fault is one of these."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bifrost_trio._wire import render_answer, render_chunk, render_head
from bifrost_trio.types import Headers

__all__ = ["End", "Pause", "Received", "Script", "Step", "in_pieces", "streamed", "whole"]

JSON: Headers = ((b"content-type", b"application/json"),)
EVENT_STREAM: Headers = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


class End(enum.StrEnum):
    """What happens to the connection behind the last step."""

    KEEP = "keep"
    """The next request may come."""
    CLOSE = "close"
    RESET = "reset"
    """The gateway's next read fails (ECONNRESET)."""
    STALL = "stall"
    """Silence, until the gateway leaves."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds of silence."""

    seconds: float


Step: TypeAlias = bytes | Pause


@dataclass(frozen=True, slots=True)
class Script:
    """Bytes go out one step at a time, exactly as they are: nothing is added, nothing is checked."""

    steps: Sequence[Step]
    end: End = End.KEEP

    @property
    def data(self) -> bytes:
        """All bytes of the steps."""
        return b"".join(step for step in self.steps if isinstance(step, bytes))


@dataclass(slots=True)
class Received:
    """A request as the provider got it. ``number`` counts an upstream's requests from 1; ``at`` is Trio's clock."""

    host: str
    number: int
    at: float
    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first header of that name, in any letter case."""
        wanted = name.lower().encode("ascii")
        return next((value.decode("latin-1") for known, value in self.headers if known == wanted), None)


def whole(body: bytes | Any, *, status: int = 200, headers: Headers = ()) -> Script:
    """An answer with a content-length; a ``body`` that is not bytes is written as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    typed = headers if any(name == b"content-type" for name, _ in headers) else (*JSON, *headers)
    return Script([render_answer(status, typed, data)])


def streamed(frames: Iterable[bytes | Pause], *, headers: Headers = (), end: End = End.KEEP) -> Script:
    """An event stream with status 200: each frame is one chunk of the transfer coding, sent on its own."""
    head = render_head(200, (*EVENT_STREAM, *headers))
    body = [frame if isinstance(frame, Pause) else render_chunk(frame) for frame in frames]
    last = [render_chunk(b"", last=True)] if end is End.KEEP else []
    return Script([head, *body, *last], end)


def in_pieces(data: bytes, size: int = 1, *, end: End = End.KEEP, gap: float = 0.0) -> Script:
    """A recorded answer, head and all, in pieces of ``size`` bytes, ``gap`` seconds apart."""
    steps: list[Step] = []
    for start in range(0, len(data), size):
        steps += [data[start : start + size], Pause(gap)]
    return Script(steps[:-1], end)
