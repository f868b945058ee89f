"""The body of a request: its size, its time, its share of memory; scanned as it comes."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from bifrost_trio._wire import Envelope, Scanner
from bifrost_trio.errors import BodyTooLarge, MemoryFull, RequestTimeout, UnsupportedMediaType
from bifrost_trio.types import Body, Request

__all__ = ["UNCOUNTED", "BodyBudget", "BodyStatistics", "Reading", "check_media_type"]

SCANNED_AT_ONCE = 1024 * 1024
"""Bytes scanned without letting other calls run: less than a millisecond."""

UNCOUNTED = 64 * 1024
"""Bytes of a body that came whole with its head and is not counted: a connection holds at most one."""

AHEAD = 256 * 1024
"""Bytes of the budget that a body may hold beyond those that have come: what a few reads bring. A promise alone takes
no memory from others."""

SLOWEST_BODY = 4 * 1024
"""Bytes a second that a body has to come at, or it is given up as soon as it lags by the longest silence: 32 kbit/s is
below the poorest line, and bodies that drip hold memory that others wait for."""

RETRY_AFTER_MEMORY = 1.0
"""Seconds that a client is told to wait when the bodies in flight have used up their memory."""


@dataclass(frozen=True, slots=True)
class BodyStatistics:
    """Bytes of the bodies that are being read or served, but for small ones that came in one read."""

    in_flight: int
    limit: int
    refused: int


class BodyBudget:
    """The memory that the bodies of a process share, and the size of one of them.

    Those that came whole with their head and are at most `UNCOUNTED` are not counted.
    """

    def __init__(
        self, largest: int = 100 * 1024 * 1024, limit: int = 1024 * 1024 * 1024, patience: float = 30.0
    ) -> None:
        """``patience``: seconds by which a body may lag behind `SLOWEST_BODY`."""
        # These three may be changed at any time; what was reserved stays reserved.
        self.largest = largest
        self.limit = limit
        self.patience = patience
        self._in_flight = 0
        self._refused = 0

    def reserve(self, size: int, promised: int = 0) -> None:
        """``promised`` bytes have to fit as well, and are not reserved: they would have come in vain. Raises
        MemoryFull."""
        if self._in_flight + max(size, promised) > self.limit:
            self._refused += 1
            raise MemoryFull(
                "the gateway has no memory for another large body just now",
                code="memory_full",
                retry_after=RETRY_AFTER_MEMORY,
            )
        self._in_flight += size

    def release(self, size: int) -> None:
        self._in_flight -= size

    def statistics(self) -> BodyStatistics:
        return BodyStatistics(self._in_flight, self.limit, self._refused)


def check_media_type(request: Request) -> None:
    """JSON or nothing said; a form or a file would be read as something that it is not. Raises UnsupportedMediaType."""
    if (request.header(b"content-encoding") or b"identity").lower() != b"identity":
        raise UnsupportedMediaType("a compressed body is not supported", param="content-encoding")
    value = request.header(b"content-type")
    if value is None or value == b"application/json":
        return
    media_type, _, parameters = value.lower().partition(b";")
    if media_type.strip() != b"application/json":
        raise UnsupportedMediaType("the content type must be application/json", param="content-type")
    if b"charset" in parameters and b"utf-8" not in parameters and b"utf8" not in parameters:
        raise UnsupportedMediaType("JSON is UTF-8 (RFC 8259 section 8.1)", param="content-type")


class Reading:
    """A body on its way in. ``reserved`` bytes of the budget are its own until `release`."""

    __slots__ = ("_budget", "reserved")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.reserved = 0

    def release(self) -> None:
        self._budget.release(self.reserved)
        self.reserved = 0

    def _reserve(self, came: int, length: int | None) -> None:
        """What has come, and of what is to come one step."""
        if came > self._budget.largest:
            raise self._too_large()
        size = came if length is None else max(came, min(length, came + AHEAD))
        if size > self.reserved:
            self._budget.reserve(size - self.reserved, (length or 0) - self.reserved)
            self.reserved = size

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body is larger than {self._budget.largest} bytes", code="body_too_large")

    async def read(self, first: bytes, length: int | None, body: Body) -> tuple[bytes, Envelope]:
        """The whole body and its envelope.

        ``length`` is what the head promised, None where it did not say. Raises RequestError, MemoryFull, ClientGone.
        """
        if length is not None and length > self._budget.largest:
            raise self._too_large()
        self._reserve(0, length)
        with trio.move_on_after(self._budget.patience) as scope:
            return await self._read(first, length, body, scope)
        raise RequestTimeout("the body of the request came too slowly", code="body_timeout")

    async def _read(
        self, first: bytes, length: int | None, body: Body, scope: trio.CancelScope
    ) -> tuple[bytes, Envelope]:
        scanner = Scanner()
        pieces = []
        size = unyielded = 0
        piece = first
        while True:
            if piece:
                pieces.append(piece)
                size += len(piece)
                self._reserve(size, length)
                # What came fast earns no leave to drip afterwards.
                latest = trio.current_time() + self._budget.patience
                scope.deadline = min(scope.deadline + len(piece) / SLOWEST_BODY, latest)
                for start in range(0, len(piece), SCANNED_AT_ONCE):
                    scanner.feed(piece[start : start + SCANNED_AT_ONCE])
                unyielded += len(piece)
                if unyielded >= SCANNED_AT_ONCE:
                    unyielded = 0
                    await trio.lowlevel.checkpoint()
            piece = await body.receive()
            if not piece:
                return b"".join(pieces), scanner.finish()
