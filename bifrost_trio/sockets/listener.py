"""Listening sockets: opening them and taking connections from them."""

from __future__ import annotations

import errno
import math
import socket as stdlib_socket
from collections.abc import Callable

import trio

from bifrost_trio.sockets.options import set_options
from bifrost_trio.sockets.poller import Poller
from bifrost_trio.sockets.sharing import Share

__all__ = ["ACCEPTS_PER_WAKE", "Room", "accept_from", "listen"]

BACKLOG = 2048
"""Connections that the kernel holds for us; it takes the smaller of this and net.core.somaxconn."""

ACCEPTS_PER_WAKE = 16
"""Several worker processes accept from one queue: who takes more than this at once leaves the others idle."""

EXHAUSTED_SECONDS = 0.1
"""How long the queue is left alone when there is no descriptor or no memory for the next connection."""

LEFT_SECONDS = 0.001
"""How often a worker that has more than others looks whether they took what it left to them."""

PATIENCE = 0.025
"""For how long it does so: from workers that hang the clients shall not suffer."""

GIVEN_UP_SECONDS = 0.1
"""For how long, from then on, nothing is left to those who did not take what was left to them."""

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
            set_options(sock)
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
    """Places for ``limit`` connections, of any number of listeners. ``filled`` counts how often the last was taken.

    ``share``: of what this process and its like accept from one queue.
    """

    def __init__(self, limit: float = math.inf, share: Share | None = None) -> None:
        self._limit = limit
        self.share = share
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
        if self.share is not None:
            self.share.tell(self.taken)
        if self.taken == self._limit:
            self.filled += 1

    def leave(self) -> None:
        self.taken -= 1
        if self.share is not None:
            self.share.tell(self.taken)
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
        # Not `socket.accept`: for each connection that makes enums anew of a family and a type that are the listener's.
        self._accept = listener._accept  # type: ignore[attr-defined]
        self._kind = int(listener.family), int(listener.type), listener.proto
        self._handle = handle
        self._room = room
        self._latest = -math.inf
        self._pause = 0.0
        self._left: tuple[int | None, float] = None, -math.inf
        """What the least of the other workers had when a connection was last left to it, and when that was."""
        self.paused = trio.Event()

    def take(self, now: float) -> None:
        """Called when connections wait. Sets ``paused`` when no more are to be taken for now."""
        # One that comes alone is served before the queue is looked at again; in a rush they are taken together.
        before, self._latest = self._latest, now
        share = self._room.share
        for _ in range(ACCEPTS_PER_WAKE if now - before < RUSH_SECONDS else 1):
            if not self._room.free:
                self.paused.set()
                return
            if share is not None and share.ahead and not self._was_left(share, now):
                return
            try:
                fd, _ = self._accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OF_THE_CONNECTION:
                    continue
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._pause = EXHAUSTED_SECONDS
                    self.paused.set()
                    return
                raise
            self._handle(stdlib_socket.socket(*self._kind, fd))

    def _was_left(self, share: Share, now: float) -> bool:
        """Whether connections were left to the other workers for long enough, and those with fewest took none."""
        least = share.least
        before, since = self._left
        if least != before or now - since > GIVEN_UP_SECONDS:
            self._left = least, (since := now)
        if now - since >= PATIENCE:
            return True
        self._pause = LEFT_SECONDS
        self.paused.set()
        return False

    async def resume(self) -> None:
        if self._pause:
            await trio.sleep(self._pause)
            self._pause = 0.0
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
        await trio.lowlevel.checkpoint_if_cancelled()
        if poller is not None and poller.edge_triggered:
            with poller.listening(listener, accepting.take):
                await accepting.paused.wait()
        else:
            while not accepting.paused.is_set():
                await trio.lowlevel.wait_readable(listener)
                accepting.take(trio.current_time())
