"""What each TCP socket of ours is set to."""

from __future__ import annotations

import socket as stdlib_socket

from bifrost_trio.sockets.inlet import note_arrivals

__all__ = ["set_options"]


def set_options(sock: stdlib_socket.socket) -> None:
    """To be called before it connects or listens: who is accepted inherits both. Nothing is set on what is not TCP."""
    if sock.family in (stdlib_socket.AF_INET, stdlib_socket.AF_INET6):
        # Without it a small write waits for the peer's delayed acknowledgement: 40 ms.
        sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
        note_arrivals(sock)
