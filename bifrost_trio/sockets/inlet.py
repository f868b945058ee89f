"""Reading what has come, and when it came.

Who reads only later, because it has others to serve, sees how late it is only if somebody notes when the bytes came.
The kernel does (SO_TIMESTAMPNS, socket(7)), and says so with the bytes in recvmsg(2). As a Python call that costs
0.7 µs more than a read, in Rust half of that, and 2 µs for 100 KB, which are copied (``python -m benches.budget
--quoted``).
"""

from __future__ import annotations

import contextlib
import errno
import socket as stdlib_socket
import sys
from typing import Protocol

if sys.platform == "linux":
    from bifrost_trio._wire import Inlet as TcpInlet

__all__ = ["READ_SIZE", "Inlet", "closed", "holds_bytes", "note_arrivals", "open_inlet"]

READ_SIZE = 256 * 1024
"""Bytes asked for in one read: a whole small request, and few system calls for a large one."""

SO_TIMESTAMPNS = 35
"""Python's socket module does not name it (asm-generic/socket.h)."""


class Inlet(Protocol):
    """The reading end of a socket that does not block."""

    @property
    def came_at(self) -> float:
        """When that came which was read last, in seconds of `time.perf_counter`; 0 where nobody knows."""
        ...

    def receive(self) -> bytes | None:
        """What has come, at most `READ_SIZE` bytes: None if nothing has, empty at the end. Raises OSError."""
        ...


class PlainInlet:
    """For what is not TCP, where the kernel is not Linux, and where time is not the machine's."""

    __slots__ = ("_recv",)

    came_at = 0.0

    def __init__(self, sock: stdlib_socket.socket) -> None:
        self._recv = sock.recv

    def receive(self) -> bytes | None:
        try:
            return self._recv(READ_SIZE)
        except BlockingIOError:
            return None


def open_inlet(sock: stdlib_socket.socket, *, timed: bool) -> Inlet:
    """``timed``: the time that the kernel tells is one that its reader can use."""
    if sys.platform == "linux" and timed and sock.family != stdlib_socket.AF_UNIX:
        return TcpInlet(sock.fileno(), READ_SIZE)
    return PlainInlet(sock)


def note_arrivals(sock: stdlib_socket.socket) -> None:
    """The kernel notes when bytes come, on this socket and on those that are accepted from it."""
    if sys.platform == "linux":
        # Where it is refused the times are those that the poller sees.
        with contextlib.suppress(OSError):
            sock.setsockopt(stdlib_socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def holds_bytes(sock: stdlib_socket.socket) -> bool:
    """Whether the kernel has bytes for whoever reads."""
    try:
        return bool(sock.recv(1, stdlib_socket.MSG_PEEK))
    except OSError:
        return False


def closed() -> bytes:
    """What is received of a socket that was closed: the number by which an inlet knows it may be another's by then."""
    raise OSError(errno.EBADF, "this socket was closed")
