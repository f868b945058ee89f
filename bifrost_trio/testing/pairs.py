"""Connections without a network: the two ends of a socketpair."""

from __future__ import annotations

import contextlib
import socket as stdlib_socket

__all__ = ["make_reset", "socket_pair"]


def socket_pair() -> tuple[stdlib_socket.socket, stdlib_socket.socket]:
    """Both ends, non-blocking."""
    one, other = stdlib_socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


def make_reset(other: stdlib_socket.socket) -> None:
    """Makes of the next close of the other's peer a reset.

    A Unix socket knows no SO_LINGER. But if it is closed while something unread lies in it, its peer's next read fails
    with ECONNRESET (unix(7)); so ``other`` sends something.
    """
    with contextlib.suppress(OSError):
        other.send(b"\0")
