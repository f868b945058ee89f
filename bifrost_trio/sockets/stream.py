"""A connected stream socket: read, write, close, hang-up."""

from __future__ import annotations

import contextlib
import math
import socket as stdlib_socket
import struct
from collections.abc import Awaitable, Callable

import outcome
import trio
from trio.lowlevel import Abort, current_task, wait_task_rescheduled

from bifrost_trio.sockets.channel import Take
from bifrost_trio.sockets.deadlines import BUCKET_SECONDS
from bifrost_trio.sockets.inlet import READ_SIZE, closed, holds_bytes, open_inlet
from bifrost_trio.sockets.poller import WOKEN, Poller

__all__ = ["READ_SIZE", "Socket"]

SENT_LATER = 64 * 1024
"""Bytes that may wait for the end of the turn. More than that goes to the kernel at once: a peer that is woken by it
has something to do for a while."""

READS_WITHOUT_WAIT = 16
"""After so many reads that found bytes waiting, the task lets others run (rule 7 of `poller`)."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing sends RST instead of FIN."""


class Socket:
    """One connected socket in the poller's set. One reader, one writer.

    ``on_hangup`` is called, synchronously and from the poller, when the peer closes or resets while nobody reads.
    ``waited`` sums up the seconds for which a reader had nothing to read; what it then waited for its turn to run is
    not among them. ``blocked`` sums up the same for a writer.
    """

    __slots__ = (
        "_inlet",
        "_limit",
        "_poller",
        "_reads",
        "_receive",
        "_satisfied",
        "_send",
        "_sock",
        "_unsent",
        "_watched",
        "blocked",
        "bucket",
        "deadline",
        "fd",
        "hangup",
        "on_hangup",
        "ready",
        "seen_at",
        "take",
        "waited",
        "waiter",
        "waits_since",
    )

    def __init__(self, sock: stdlib_socket.socket, poller: Poller, *, ready: bool = False) -> None:
        """``ready``: the peer may have written already, so that the first read is tried before it is waited for."""
        sock.setblocking(False)
        self._sock = sock
        self._poller = poller
        self._inlet = inlet = open_inlet(sock, timed=poller.on_machine_time)
        self._receive = inlet.receive
        self._send = sock.send
        self._reads = 0
        self._unsent: bytes | memoryview = b""
        self._watched = False
        self.fd = sock.fileno()
        self.ready = ready
        self.take: Take | None = None
        self._limit = 0.0
        self._satisfied = False
        self.hangup = False
        self.on_hangup: Callable[[], None] | None = None
        self.seen_at = poller.came if poller.edge_triggered else poller.clock()
        """When bytes came for the last time, as far as the poller can tell."""
        self.waited = 0.0
        self.blocked = 0.0
        self.waiter: trio.lowlevel.Task | None = None
        self.waits_since = math.inf
        """Since when the wait that has not been counted yet goes on."""
        self.deadline = math.inf
        self.bucket = 0
        poller.register(self)

    @property
    def sock(self) -> stdlib_socket.socket:
        """The kernel's socket: for its addresses and for half-closing it."""
        return self._sock

    @property
    def came_at(self) -> float:
        """When that came which was read last: as the kernel says, or else as far as the poller can tell."""
        return self._inlet.came_at or self.seen_at

    @property
    def stale(self) -> bool:
        """Whether an idle connection is of no use any more: bytes or a hang-up came that nobody asked for."""
        return self.ready or self.hangup

    @property
    def unread(self) -> bool:
        """Whether bytes have come that nobody has read. Asks the kernel."""
        return holds_bytes(self._sock)

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
            data = self.receive_now()
            if data is not None:
                self._reads += 1
                return data
            self._count_wait()

    async def pull(self, take: Take, limit: float) -> None:
        """Gives each piece that comes to ``take``, empty at the end, until that wants no more.

        While this task waits the poller does it in its place: bytes that are only passed on wake no task.
        ``limit`` is in seconds from piece to piece. Raises what `receive` and ``take`` raise.
        """
        pumped = self._poller.edge_triggered
        while True:
            if self.ready or not pumped:
                if not take(await self.receive(limit)):
                    return
                continue
            self._reads = 0
            self._limit = limit
            self._satisfied = False
            self.take = take
            try:
                await self._wait(limit)
                if self._satisfied:
                    return
            finally:
                self.take = None

    def pump(self, now: float) -> bool:
        """Reads what came for ``take``; whether that was all, and the reader goes on waiting."""
        take = self.take
        assert take is not None
        try:
            for _ in range(READS_WITHOUT_WAIT):
                data = self.receive_now()
                if data is None:
                    break
                if not take(data):
                    self._satisfied = True
                    return False
                if not self.ready:
                    break
            else:
                return False
        except Exception as error:
            self.wake(outcome.Error(error))
            return True
        if self.waits_since == math.inf:
            # What came has been handed on: the wait for the next piece has begun.
            self.waits_since = self.came_at
            self.deadline = now + self._limit
        return True

    def receive_now(self) -> bytes | None:
        """What has come, without waiting: None if nothing has, empty at the end. Raises OSError."""
        if not self.ready:
            return None
        self.ready = self.hangup
        try:
            data = self._receive()
        except OSError:
            self._count_wait()
            raise
        if data is None:
            self.ready = False
            return None
        if len(data) == READ_SIZE:
            self.ready = True
        came = self._inlet.came_at or self.seen_at
        if came > (since := self.waits_since):
            self.waited += came - since
        self.waits_since = math.inf
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
            poller.deadlines.schedule(self)
        return wait_task_rescheduled(self._abort)  # noqa: ASYNC105

    async def _wait_by_trio(self, limit: float) -> None:
        began = trio.current_time()
        try:
            with trio.fail_after(limit):
                await trio.lowlevel.wait_readable(self._sock)
        finally:
            self.seen_at = now = trio.current_time()
            self.waited += now - began

    def _abort(self, _raise_cancel: object) -> Abort:
        self.waiter = None
        self._count_wait()
        return Abort.SUCCEEDED

    def _count_wait(self) -> None:
        """For a wait that ends without bytes."""
        now = self._poller.clock()
        if now > self.waits_since:
            self.waited += now - self.waits_since
            self.waits_since = math.inf

    def wake(self, result: outcome.Outcome[None]) -> None:
        """Ends the wait of the reader, if there is one, with a result or an error."""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            self._count_wait()
            self._poller.woke = True
            trio.lowlevel.reschedule(waiter, result)

    async def send(self, data: bytes, limit: float) -> None:
        """Sends all bytes; waits, at most ``limit`` seconds without progress, only if the kernel is full.

        Raises `trio.TooSlowError`, OSError, `trio.ClosedResourceError`.
        """
        if rest := self.begin_send(data):
            await self.finish_send(rest, limit)

    def begin_send(self, data: bytes) -> memoryview | None:
        """Sends at the end of the turn, at once if it is much. What the kernel has no room for is returned, for
        `finish_send`; as good as always None.

        Raises OSError. Of what goes out later a failure is told as a hang-up, to whoever reads or is armed.
        The two halves of `send`, for the path that has a coroutine less to pay for.
        """
        if self.fd < 0:
            closed()
        unsent = self._unsent
        if unsent:
            self._unsent = b""
            data = b"".join((unsent, data))
            if self._watched:
                self._watch_room(False)
                return memoryview(data)
        poller = self._poller
        if poller.crowded:
            poller.holds_back = len(data) <= SENT_LATER
            if poller.holds_back:
                self._unsent = data
                if not unsent:
                    poller.written.append(self)
                return None
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        return memoryview(data)[sent:] if sent < len(data) else None

    @property
    def full(self) -> bool:
        """Whether the kernel has had no room for what was written."""
        return self._watched

    def offer(self, data: bytes) -> bool:
        """Takes all of it, to be sent without anybody waiting for that; False, and nothing, while the kernel is full.

        Raises OSError.
        """
        if self._watched:
            return False
        if rest := self.begin_send(data):
            self._unsent = rest
            self._watch_room(True)
        return True

    async def finish_send(self, rest: memoryview, limit: float) -> None:
        while rest:
            began = trio.current_time()
            try:
                with trio.fail_after(limit):
                    await trio.lowlevel.wait_writable(self._sock)
            finally:
                self.blocked += trio.current_time() - began
            rest = rest[self.send_now(rest) :]

    async def drain(self, limit: float) -> None:
        """Waits until the kernel has everything that was written, or the peer has hung up. Raises `trio.TooSlowError`
        after ``limit`` seconds without progress."""
        self.flush()
        while self._unsent:
            with trio.fail_after(limit):
                await trio.lowlevel.wait_writable(self._sock)
            self.flush()

    def send_now(self, data: bytes | memoryview) -> int:
        """Hands over what the kernel takes without waiting, and says how many bytes that were. Raises OSError."""
        if self._unsent:
            self.flush()
            if self._unsent:
                return 0
        try:
            return self._send(data)
        except BlockingIOError:
            return 0

    def flush(self) -> None:
        """Hands to the kernel what was written, as far as it has room; for the rest the poller calls again. Never
        raises: a peer that is gone has hung up."""
        data = self._unsent
        if not data:
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._unsent = b""
            self._hang_up()
            return
        self._unsent = data = memoryview(data)[sent:] if sent < len(data) else b""
        self._watch_room(bool(data))

    def _watch_room(self, wanted: bool) -> None:
        if wanted is not self._watched:
            self._watched = wanted
            self._poller.watch_room(self, wanted)

    def _hang_up(self) -> None:
        self.hangup = self.ready = True
        if self.waiter is not None:
            self.wake(WOKEN)
        elif self.on_hangup is not None:
            self._poller.woke = True
            self.on_hangup()

    def arm(self, on_hangup: Callable[[], None]) -> None:
        """From now on a hang-up calls ``on_hangup``; at once, if it has already come."""
        self.on_hangup = on_hangup
        if self.hangup:
            on_hangup()

    def end(self) -> None:
        """Says that nothing more will be sent; reading goes on. Raises OSError."""
        self.flush()
        self._sock.shutdown(stdlib_socket.SHUT_WR)

    def close(self) -> None:
        if self.fd < 0:
            return
        if self._unsent:
            with contextlib.suppress(OSError):
                self._send(self._unsent)
            self._unsent = b""
        self.wake(outcome.Error(trio.ClosedResourceError("this socket was closed")))
        trio.lowlevel.notify_closing(self._sock)
        self._poller.unregister(self)
        self.fd = -1
        self._receive = closed
        self._sock.close()

    def reset(self) -> None:
        """Closes so that the peer sees an error instead of an end: nobody takes a half answer for a whole one."""
        if self.fd >= 0:
            self._unsent = b""
            with contextlib.suppress(OSError):
                self._sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, _RESET)
            self.close()
