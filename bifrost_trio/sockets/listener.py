"""Listening sockets: opening them and taking connections from them."""

from __future__ import annotations

import errno
import math
import socket as stdlib_socket
from collections.abc import Callable

import trio

from bifrost_trio.sockets.poller import Poller

__all__ = ["ACCEPTS_PER_WAKE", "Room", "accept_from", "listen"]

BACKLOG = 2048
"""Connections that the kernel holds for us; it takes the smaller of this and net.core.somaxconn."""

ACCEPTS_PER_WAKE = 16
"""Several worker processes accept from one queue: who takes more than this at once leaves the others idle."""

RUSH_SECONDS = 0.01
"""Connections that come faster than this come in a rush."""

_OF_THE_CONNECTION = frozenset(
    {errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPERM}
)
"""The connection died while it waited: its errno is none of the listener's (accept(2), "Error handling")."""


def listen(host: str, port: int) -> list[stdlib_socket.socket]:
    """Listening sockets for every address of the host. Raises OSError.

    With port 0 all addresses get the same free port.
    """
    sockets: list[stdlib_socket.socket] = []
    try:
        for family, kind, protocol, _, address in stdlib_socket.getaddrinfo(
            host or None, port, type=stdlib_socket.SOCK_STREAM, flags=stdlib_socket.AI_PASSIVE
        ):
            sock = stdlib_socket.socket(family, kind, protocol)
            sockets.append(sock)
            sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_REUSEADDR, 1)
            # Whoever is accepted inherits it. Without it a small write waits for the peer's delayed acknowledgement.
            sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
            if family == stdlib_socket.AF_INET6:
                sock.setsockopt(stdlib_socket.IPPROTO_IPV6, stdlib_socket.IPV6_V6ONLY, 1)
            sock.bind((address[0], port, *address[2:]))
            port = sock.getsockname()[1]
            sock.listen(BACKLOG)
            sock.setblocking(False)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


class Room:
    """Places for ``limit`` connections, of any number of listeners. ``filled`` counts how often the last was taken."""

    def __init__(self, limit: float = math.inf) -> None:
        self._limit = limit
        self._waiting = trio.lowlevel.ParkingLot()
        self.taken = 0
        self.filled = 0

    @property
    def free(self) -> bool:
        return self.taken < self._limit

    @property
    def limit(self) -> float:
        """May be set at any time; those who have a place keep it."""
        return self._limit

    @limit.setter
    def limit(self, limit: float) -> None:
        self._limit = limit
        self._wake()

    def take(self) -> None:
        self.taken += 1
        if self.taken == self._limit:
            self.filled += 1

    def leave(self) -> None:
        self.taken -= 1
        self._wake()

    async def wait_free(self) -> None:
        while not self.free:
            await self._waiting.park()

    def _wake(self) -> None:
        if self.free:
            self._waiting.unpark_all()


class _Accepting:
    """Takes connections from one listening socket, a lot at a time."""

    def __init__(
        self, listener: stdlib_socket.socket, handle: Callable[[stdlib_socket.socket], None], room: Room
    ) -> None:
        # Not `socket.accept`: that makes enums of the family and the type for each connection, which takes longer than
        # the system call.
        self._accept = listener._accept  # type: ignore[attr-defined]
        self._kind = int(listener.family), int(listener.type), listener.proto
        self._handle = handle
        self._room = room
        self._latest = -math.inf
        self.exhausted = False
        """Whether the process had no descriptor or no memory for the next connection."""
        self.paused = trio.Event()

    def take(self, now: float) -> None:
        """Called when connections wait. Sets ``paused`` when no more are to be taken for now."""
        # One that comes alone is served before the queue is looked at again; in a rush they are taken together.
        before, self._latest = self._latest, now
        for _ in range(ACCEPTS_PER_WAKE if now - before < RUSH_SECONDS else 1):
            if not self._room.free:
                self.paused.set()
                return
            try:
                fd, _ = self._accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OF_THE_CONNECTION:
                    continue
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self.exhausted = True
                    self.paused.set()
                    return
                raise
            self._handle(stdlib_socket.socket(*self._kind, fd))

    async def resume(self) -> None:
        if self.exhausted:
            await trio.sleep(0.1)
            self.exhausted = False
        await self._room.wait_free()
        self.paused = trio.Event()


async def accept_from(
    listener: stdlib_socket.socket,
    handle: Callable[[stdlib_socket.socket], None],
    room: Room | None = None,
    poller: Poller | None = None,
) -> None:
    """Takes connections for ever and gives each to ``handle``, which must not wait.

    With a poller they are taken in the turn in which they came, and a task that ``handle`` starts has its first step in
    that turn. Without one, or where there is no epoll, a task is woken first.

    Out of descriptors or memory: those connected go on, and the queue is looked at again after 100 ms. Without room
    none is taken: what waits in the kernel's queue may be another process's to serve.
    """
    accepting = _Accepting(listener, handle, room or Room())
    while True:
        await accepting.resume()
        if poller is not None and poller.edge_triggered:
            with poller.listening(listener, accepting.take):
                await accepting.paused.wait()
        else:
            while not accepting.paused.is_set():
                await trio.lowlevel.wait_readable(listener)
                accepting.take(trio.current_time())
