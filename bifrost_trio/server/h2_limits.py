"""How much of HTTP/2's small change one connection may spend: frames that are cheap to send and not to serve.

The figures for resets are nghttp2's, which many servers and proxies stand on.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = [
    "CONNECTION_WINDOW",
    "MAX_HEADERS",
    "MAX_LIVE",
    "MAX_STREAMS",
    "SMALL_DATA",
    "STREAM_WINDOW",
    "Allowance",
    "Allowances",
]

MAX_STREAMS = 100
"""Streams that a client may have open at once (SETTINGS_MAX_CONCURRENT_STREAMS)."""

MAX_LIVE = 2 * MAX_STREAMS
"""Calls of one connection that are being served, those included whose stream the client has reset and that are on
their way out. A stream beyond it is refused (REFUSED_STREAM: nothing was done, it may be sent again)."""

MAX_HEADERS = 128
"""As for HTTP/1.1; beyond it 431."""

STREAM_WINDOW = 256 * 1024
CONNECTION_WINDOW = 1024 * 1024
"""Bytes of request bodies that were received and that no call has read yet: of a stream, of the whole connection."""

SMALL_DATA = 128
"""A DATA frame with fewer bytes, and not the last one, costs more to keep than it brings."""


class Allowance:
    """``burst`` at once, and ``per_second`` from then on."""

    __slots__ = ("_at", "_burst", "_left", "_now", "_per_second")

    def __init__(self, burst: float, per_second: float, now: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._now = now
        self._left = burst
        self._at = now()

    def spend(self) -> bool:
        """Whether there was one left."""
        now = self._now()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Allowances:
    """Of one connection. What is beyond them ends it with ENHANCE_YOUR_CALM (RFC 9113 section 10.5)."""

    __slots__ = ("pings", "resets", "settings", "small_data")

    def __init__(self, now: Callable[[], float]) -> None:
        self.resets = Allowance(1000, 33, now)
        """Streams that the client began and took back (rapid reset, CVE-2023-44487), or had refused."""
        self.settings = Allowance(100, 5, now)
        self.pings = Allowance(1000, 33, now)
        self.small_data = Allowance(2000, 1000, now)
