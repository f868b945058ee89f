"""A connected stream socket: read, write, close, hang-up."""

from __future__ import annotations

import contextlib
import math
import socket as stdlib_socket
import struct
from collections.abc import Awaitable, Callable
from typing import Protocol

import outcome
import trio
from trio.lowlevel import Abort, current_task, wait_task_rescheduled

from bifrost_trio.sockets.poller import BUCKET_SECONDS, Poller

__all__ = ["READ_SIZE", "Channel", "Socket", "connect"]

READ_SIZE = 65536
"""Bytes asked for in one read: a whole small request, and few system calls for a large one."""

READS_WITHOUT_WAIT = 16
"""After so many reads that found bytes waiting, the task lets others run (rule 7 of `poller`)."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing sends RST instead of FIN."""


class Channel(Protocol):
    """What a `Socket` and a `TlsSocket` have in common."""

    on_hangup: Callable[[], None] | None

    @property
    def hangup(self) -> bool: ...
    @property
    def waited(self) -> float: ...
    @property
    def blocked(self) -> float: ...
    @property
    def stale(self) -> bool: ...
    async def receive(self, limit: float) -> bytes: ...
    async def send(self, data: bytes, limit: float) -> None: ...
    def begin_send(self, data: bytes) -> memoryview | None: ...
    async def finish_send(self, rest: memoryview, limit: float) -> None: ...
    def send_now(self, data: bytes) -> int: ...
    def arm(self, on_hangup: Callable[[], None]) -> None: ...
    def close(self) -> None: ...
    def reset(self) -> None: ...


class Socket:
    """One connected socket in the poller's set. One reader, one writer.

    ``on_hangup`` is called, synchronously and from the poller, when the peer closes or resets while nobody reads.
    ``waited`` sums up the seconds for which a reader had nothing to read; what it then waited for its turn to run is
    not among them. ``blocked`` sums up the same for a writer.
    """

    __slots__ = (
        "_poller",
        "_reads",
        "_recv",
        "_send",
        "_sock",
        "blocked",
        "bucket",
        "deadline",
        "fd",
        "hangup",
        "on_hangup",
        "ready",
        "waited",
        "waiter",
        "waits_since",
    )

    def __init__(self, sock: stdlib_socket.socket, poller: Poller) -> None:
        sock.setblocking(False)
        if sock.family in (stdlib_socket.AF_INET, stdlib_socket.AF_INET6):
            # Without it a small write waits for the peer's delayed acknowledgement: 40 ms.
            sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
        self._sock = sock
        self._poller = poller
        self._recv = sock.recv
        self._send = sock.send
        self._reads = 0
        self.fd = sock.fileno()
        self.ready = False
        self.hangup = False
        self.on_hangup: Callable[[], None] | None = None
        self.waited = 0.0
        self.blocked = 0.0
        self.waiter: trio.lowlevel.Task | None = None
        self.waits_since = 0.0
        self.deadline = math.inf
        self.bucket = 0
        poller.register(self)

    @property
    def sock(self) -> stdlib_socket.socket:
        """The kernel's socket: for its addresses and for half-closing it."""
        return self._sock

    @property
    def stale(self) -> bool:
        """Whether an idle connection is of no use any more: bytes or a hang-up came that nobody asked for."""
        return self.ready or self.hangup

    async def receive(self, limit: float) -> bytes:
        """What has come, at most `READ_SIZE` bytes; empty at the end.

        Waits at most ``limit`` seconds. Raises `trio.TooSlowError`, OSError, `trio.ClosedResourceError`.
        """
        while True:
            if not self.ready:
                self._reads = 0
                await self._wait(limit)
            elif self._reads >= READS_WITHOUT_WAIT:
                self._reads = 0
                await trio.lowlevel.checkpoint()
            self.ready = self.hangup
            try:
                data = self._recv(READ_SIZE)
            except BlockingIOError:
                self.ready = False
                continue
            self._reads += 1
            if len(data) == READ_SIZE:
                self.ready = True
            return data

    def receive_now(self) -> bytes | None:
        """What has come, without waiting: None if nothing has, empty at the end. Raises OSError."""
        if not self.ready:
            return None
        self.ready = self.hangup
        try:
            data = self._recv(READ_SIZE)
        except BlockingIOError:
            self.ready = False
            return None
        self.ready = self.ready or len(data) == READ_SIZE
        return data

    def _wait(self, limit: float) -> Awaitable[None]:
        """How a read waits: the one place to change it. Over when bytes, the end or an error may be read.

        To be awaited at once. Not a coroutine itself: there are two waits a request, and each would make another one.
        """
        poller = self._poller
        if not poller.edge_triggered:
            return self._wait_by_trio(limit)
        if self.fd < 0:
            raise trio.ClosedResourceError("this socket was closed")
        if self.waiter is not None:
            raise trio.BusyResourceError("another task is reading from this socket")
        self.waiter = current_task()
        self.waits_since = began = poller.clock()
        self.deadline = deadline = began + limit
        if not self.bucket or deadline < (self.bucket - 1) * BUCKET_SECONDS:
            poller.schedule(self)
        return wait_task_rescheduled(self._abort)  # noqa: ASYNC105

    async def _wait_by_trio(self, limit: float) -> None:
        began = trio.current_time()
        try:
            with trio.fail_after(limit):
                await trio.lowlevel.wait_readable(self._sock)
        finally:
            self.waited += trio.current_time() - began

    def _abort(self, _raise_cancel: object) -> Abort:
        self.waiter = None
        self.waited += self._poller.clock() - self.waits_since
        return Abort.SUCCEEDED

    def wake(self, result: outcome.Outcome[None]) -> None:
        """Ends the wait of the reader, if there is one, with a result or an error."""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            self.waited += self._poller.clock() - self.waits_since
            trio.lowlevel.reschedule(waiter, result)

    async def send(self, data: bytes, limit: float) -> None:
        """Hands all bytes to the kernel; waits, at most ``limit`` seconds without progress, only if it is full.

        Nothing else runs between the kernel's taking of the last byte and the return.
        Raises `trio.TooSlowError`, OSError, `trio.ClosedResourceError`.
        """
        if rest := self.begin_send(data):
            await self.finish_send(rest, limit)

    def begin_send(self, data: bytes) -> memoryview | None:
        """What the kernel does not take at once, for `finish_send`; as good as always None. Raises OSError.

        The two halves of `send`, for the path that has a coroutine less to pay for.
        """
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        return memoryview(data)[sent:] if sent < len(data) else None

    async def finish_send(self, rest: memoryview, limit: float) -> None:
        while rest:
            began = trio.current_time()
            try:
                with trio.fail_after(limit):
                    await trio.lowlevel.wait_writable(self._sock)
            finally:
                self.blocked += trio.current_time() - began
            with contextlib.suppress(BlockingIOError):
                rest = rest[self._send(rest) :]

    def send_now(self, data: bytes) -> int:
        """Hands over what the kernel takes without waiting, and says how many bytes that were. Raises OSError."""
        try:
            return self._send(data)
        except BlockingIOError:
            return 0

    def arm(self, on_hangup: Callable[[], None]) -> None:
        """From now on a hang-up calls ``on_hangup``; at once, if it has already come."""
        self.on_hangup = on_hangup
        if self.hangup:
            on_hangup()

    def close(self) -> None:
        if self.fd < 0:
            return
        self.wake(outcome.Error(trio.ClosedResourceError("this socket was closed")))
        trio.lowlevel.notify_closing(self._sock)
        self._poller.unregister(self)
        self.fd = -1
        self._sock.close()

    def reset(self) -> None:
        """Closes so that the peer sees an error instead of an end: nobody takes a half answer for a whole one."""
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, _RESET)
            self.close()


async def connect(family: int, address: tuple[str, int], limit: float, poller: Poller) -> Socket:
    """A connection to a resolved address. Raises OSError, `trio.TooSlowError` after ``limit`` seconds."""
    sock = stdlib_socket.socket(family, stdlib_socket.SOCK_STREAM | stdlib_socket.SOCK_NONBLOCK)
    try:
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
