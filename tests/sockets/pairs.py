"""A socket in a poller's set, and its peer outside of it."""

from __future__ import annotations

import socket as stdlib_socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from bifrost_trio.sockets import Poller, Socket

__all__ = ["PATIENCE", "flood", "over_tcp", "pair"]

PATIENCE = 20.0
"""For what must not take long, on a machine that has something else to do."""

Sockets = tuple[stdlib_socket.socket, stdlib_socket.socket]


def over_tcp() -> Sockets:
    """Over loopback: only there a peer can reset."""
    with stdlib_socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = stdlib_socket.socket()
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
    return ours, theirs


@asynccontextmanager
async def pair(
    connected: Callable[[], Sockets] = stdlib_socket.socketpair,
) -> AsyncIterator[tuple[Socket, stdlib_socket.socket, Poller]]:
    """A socket in the set, its peer outside of it, and the set."""
    poller = Poller()
    ours, theirs = connected()
    theirs.setblocking(False)
    # Room for more than one read takes.
    theirs.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_SNDBUF, 1 << 20)
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        socket = Socket(ours, poller)
        try:
            yield socket, theirs, poller
        finally:
            socket.close()
            theirs.close()
            nursery.cancel_scope.cancel()


async def flood(socket: Socket, peer: stdlib_socket.socket, until: Callable[[], bool]) -> None:
    """Hands on pieces, one after the other, as long as they are asked for."""
    peer.setblocking(True)
    peer.sendall(b"piece")

    def take(data: bytes) -> bool:
        if until():
            return False
        peer.sendall(b"piece")
        return True

    await socket.pull(take, PATIENCE)
