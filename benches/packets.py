"""A clock outside of the gateway: the kernel's, which stamps each packet on the loopback.

How long the gateway kept a request is seen from its packets: from the request that came to it until the answer that it
sent, less the time from the request that it sent to the provider until the answer that came from there. Neither the
clients' nor the mock's own pauses are in that, and nothing of the gateway's is left out: packets that wait in its
sockets have come, and what it holds back has not gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import statistics
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Capture", "Spans", "capture"]

_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_SO_ATTACH_FILTER: Final = 26
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_ETH_P_ALL: Final = 3
_BUFFER: Final = 2**30
"""Bytes that may be kept until they are read: packets are read when the load is over, not beside it."""

_HEADS: Final = 64
"""Bytes of each packet that are looked at."""

_FILTER: Final = [
    (0x20, 0, 0, 0xFFFFF004),  # the packet's type
    (0x15, 0, 3, 4),  # outgoing: on the loopback each one comes in as well
    (0x80, 0, 0, 0),  # its length
    (0x35, 0, 1, 100),  # more than TCP's own words
    (0x06, 0, 0, _HEADS),
    (0x06, 0, 0, 0),
]
"""The kernel's packet filter, as bpf(4) and linux/filter.h have it: code, jump if true, if false, operand."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Microseconds: ``clients`` waited for the gateway, ``upstream`` the gateway for the provider; ``requests``."""

    clients: float
    upstream: float
    requests: int

    @property
    def kept(self) -> float:
        """What the gateway added to a request, in the mean."""
        return self.clients - self.upstream


@dataclass(slots=True)
class Capture:
    """The packets on the loopback since `capture` began."""

    _packets: socket.socket
    _asked: dict[tuple[int, int], int] = field(default_factory=dict)
    _spans: dict[int, list[int]] = field(default_factory=dict)

    def spans(self, gateway: int, provider: int) -> Spans:
        """Of the exchanges with both ports, each packet one request or one answer. Raises LookupError if some were
        lost."""
        self._spans = {gateway: [], provider: []}
        while (packet := self._next()) is not None:
            self._take(*packet)
        _, lost = struct.unpack("II", self._packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        if lost:
            raise LookupError(f"{lost} packets were not seen: the load was too long")
        clients, upstream = (self._spans[port] or [0] for port in (gateway, provider))
        return Spans(statistics.fmean(clients) / 1000, statistics.fmean(upstream) / 1000, len(clients))

    def _next(self) -> tuple[int, int, int] | None:
        """Nanoseconds, and the ports from which and to which it went."""
        try:
            head, ((_, _, stamp), *_), *_ = self._packets.recvmsg(_HEADS, 64)
        except BlockingIOError:
            return None
        seconds, nanoseconds = struct.unpack("ll", stamp)
        source, target = struct.unpack_from(">HH", head, (head[0] & 15) * 4)
        return seconds * 10**9 + nanoseconds, source, target

    def _take(self, when: int, source: int, target: int) -> None:
        if target in self._spans:
            self._asked.setdefault((target, source), when)
        elif source in self._spans and (asked := self._asked.pop((source, target), None)) is not None:
            self._spans[source].append(when - asked)


@contextlib.contextmanager
def capture() -> Iterator[Capture]:
    """Sees what goes over the loopback. Raises PermissionError without CAP_NET_RAW and CAP_NET_ADMIN (root)."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL)) as packets:
        packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        packets.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _FILTER))
        packets.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_FILTER), ctypes.addressof(program))
        )
        packets.bind(("lo", _ETH_P_ALL))
        packets.setblocking(False)
        yield Capture(packets)
