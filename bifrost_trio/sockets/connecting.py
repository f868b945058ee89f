"""Connections to others."""

from __future__ import annotations

import socket as stdlib_socket

import trio

from bifrost_trio.sockets.options import set_options
from bifrost_trio.sockets.poller import Poller
from bifrost_trio.sockets.stream import Socket

__all__ = ["connect"]


async def connect(family: int, address: tuple[str, int], limit: float, poller: Poller) -> Socket:
    """A connection to a resolved address. Raises OSError, `trio.TooSlowError` after ``limit`` seconds."""
    sock = stdlib_socket.socket(family, stdlib_socket.SOCK_STREAM | stdlib_socket.SOCK_NONBLOCK)
    try:
        set_options(sock)
        try:
            sock.connect(address)
        except BlockingIOError:
            with trio.fail_after(limit):
                await trio.lowlevel.wait_writable(sock)
        error = sock.getsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_ERROR)
        if error:
            raise OSError(error, "connection failed")
        return Socket(sock, poller)
    except BaseException:
        sock.close()
        raise
