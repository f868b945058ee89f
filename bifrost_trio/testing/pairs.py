"""Connections without a network: the two ends of a socketpair."""

from __future__ import annotations

import contextlib
import socket as stdlib_socket
from collections.abc import Callable

import trio

__all__ = ["reset_of", "stream_pair"]


def stream_pair() -> tuple[trio.SocketStream, stdlib_socket.socket]:
    """This side's end as a stream, and the other side's as a bare non-blocking socket."""
    own, other = stdlib_socket.socketpair()
    own.setblocking(False)
    other.setblocking(False)
    return trio.SocketStream(trio.socket.from_stdlib_socket(own)), other


def reset_of(other: stdlib_socket.socket) -> Callable[[trio.SocketStream], None]:
    """What makes the close of the own end a reset for ``other``.

    A Unix socket knows no SO_LINGER. But if it is closed while something unread lies in it, its peer's next read fails
    with ECONNRESET (unix(7)); so something is put there.
    """

    def prepare(own: trio.SocketStream) -> None:
        with contextlib.suppress(OSError):
            other.send(b"\0")

    return prepare
