"""One HTTP/1.1 connection: read, parse, call the application inline, write head and body in one send."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import trio

from bifrost_trio._wire import Request, RequestReader, render_answer, render_chunk, render_head
from bifrost_trio.errors import ClientGone, GatewayError, MalformedRequest, RequestTimeout, SlowClient
from bifrost_trio.server.application import Application, Timeouts
from bifrost_trio.sockets import Channel
from bifrost_trio.types import Headers

__all__ = ["Http1Connection", "http_date"]

LINGER_SECONDS = 5.0
LINGER_BYTES = 64 * 1024 * 1024
"""How long, and for how much, a connection that ends before its request was read goes on reading: closing at once
would reset it and take the answer away from the client (RFC 9112 section 9.6). Some send all of a body before they
look for an answer."""

_date = (0, (b"date", b""))
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(now: int) -> bytes:
    """Seconds since 1970 as RFC 9110 section 5.6.7 writes them.

    Not by `email.utils.formatdate`: once a second one call would wait for it noticeably longer than all others.
    """
    t = time.gmtime(now)
    text = f"{_DAYS[t[6]]}, {t[2]:02} {_MONTHS[t[1] - 1]} {t[0]} {t[3]:02}:{t[4]:02}:{t[5]:02} GMT"
    return text.encode("ascii")


def date_header() -> tuple[bytes, bytes]:
    """RFC 9110 section 6.6.1 asks a server with a clock for the date; it is written once a second."""
    global _date
    now = int(time.time())
    if now != _date[0]:
        _date = now, (b"date", http_date(now))
    return _date[1]


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def _nothing_to_cancel() -> None:
    """Before the connection's scope is entered."""


class Http1Connection:
    """The connection's loop; at once the body of the request that is being served and the sink of its answer.

    A hang-up while a call is being served cancels it: the scope is entered once per connection, so a request pays
    nothing for it. It is disarmed in the step in which the kernel took the last byte of the answer.
    """

    __slots__ = (
        "_answered",
        "_application",
        "_begun",
        "_blocked_before",
        "_cancel",
        "_channel",
        "_chunked",
        "_continue",
        "_head",
        "_keep_alive",
        "_reader",
        "_timeouts",
        "_unsent",
        "arrived_at",
        "draining",
        "idle",
    )

    def __init__(self, channel: Channel, application: Application, timeouts: Timeouts) -> None:
        self._channel = channel
        self._application = application
        self._timeouts = timeouts
        self._reader = RequestReader()
        self._cancel: Callable[[], None] = _nothing_to_cancel
        self._answered = False
        self._begun = False
        self._blocked_before = 0.0
        self._chunked = True
        self._continue = False
        self._head = False
        self._keep_alive = True
        self._unsent = b""
        self.arrived_at = 0.0
        self.draining = False
        self.idle = True

    async def run(self) -> bytes | None:
        """Serves requests until the connection is over. What a client sent to be spoken to in another protocol is
        returned, from the first byte of its request on."""
        with trio.CancelScope() as scope:
            self._cancel = scope.cancel
            while (request := await self._next_request()) is not None:
                self._blocked_before = self._channel.blocked
                if request.usual:
                    self._answered = self._begun = self._head = self._continue = False
                    self._chunked = self._keep_alive = True
                    self._channel.arm(self._cancel)
                elif request.handover is not None:
                    return request.handover
                else:
                    self._begin(request)
                await self._application(request, self, self)
                self._channel.on_hangup = None
                if not self._answered:
                    self.reset()
                elif not self._reader.body_complete:
                    await self._linger()
                if self.draining or not (self._keep_alive and self._answered):
                    await self._drain()
                    break
        return None

    async def _drain(self) -> None:
        """The last answer leaves before the connection is closed."""
        with contextlib.suppress(OSError, trio.TooSlowError, trio.ClosedResourceError):
            await self._channel.drain(self._timeouts.write)

    def drain(self) -> None:
        """No further request on this connection; one that waits for its next request ends now, unless that has come."""
        self.draining = True
        if self.idle and not self._channel.unread:
            self._channel.close()

    # --- requests ---

    async def _next_request(self) -> Request | None:
        """None: the connection is over."""
        reader = self._reader
        try:
            request = None
            if reader.pending:
                # Requests that came together must not keep the others from running.
                await trio.lowlevel.checkpoint()
                self.arrived_at = trio.current_time()
                request = reader.feed(b"")
            if request is None and not reader.pending:
                if self.draining and not self._channel.unread:
                    return None
                self.idle = True
                data = await self._channel.receive(self._timeouts.keep_alive)
                if not data:
                    return None
                self.idle = False
                self.arrived_at = self._channel.came_at
                request = reader.feed(data)
            return request if request is not None else await self._rest_of_head()
        except (MalformedRequest, RequestTimeout) as error:
            await self._refuse(error)
        except (OSError, trio.TooSlowError, trio.ClosedResourceError):
            pass
        return None

    async def _rest_of_head(self) -> Request | None:
        """Raises RequestTimeout."""
        request = None
        deadline = trio.current_time() + self._timeouts.head
        while request is None:
            try:
                data = await self._channel.receive(max(deadline - trio.current_time(), 0.0))
            except trio.TooSlowError:
                raise RequestTimeout("the head of the request did not come in time", code="head_timeout") from None
            if not data:
                return None
            self.arrived_at = self._channel.came_at
            request = self._reader.feed(data)
        return request

    def _begin(self, request: Request) -> None:
        self._answered = self._begun = False
        self._head = request.method == "HEAD"
        self._chunked = request.minor_version == 1
        self._continue = request.expect_continue
        self._keep_alive = request.keep_alive
        if request.complete:
            self._channel.arm(self._cancel)

    async def _refuse(self, error: GatewayError) -> None:
        self._keep_alive = False
        self._answered = self._head = False
        await self._application.refuse(error, self)
        await self._linger()

    async def _linger(self) -> None:
        """Reads on and throws away, so that the answer reaches a client that is still sending."""
        self._keep_alive = False
        size = 0
        try:
            with trio.move_on_after(LINGER_SECONDS):
                while size < LINGER_BYTES:
                    data = await self._channel.receive(LINGER_SECONDS)
                    if not data:
                        return
                    size += len(data)
        except (OSError, trio.TooSlowError, trio.ClosedResourceError):
            return

    # --- the body of the request ---

    async def receive(self) -> bytes:
        """The next piece of the body; empty at the end. Raises ClientGone, RequestTimeout, MalformedRequest."""
        reader = self._reader
        if self._continue and not reader.body_complete:
            self._continue = False
            await self._write(CONTINUE)
        while not reader.body_complete:
            try:
                data = await self._channel.receive(self._timeouts.body)
            except trio.TooSlowError:
                raise RequestTimeout("the body of the request did not come in time", code="body_timeout") from None
            except (OSError, trio.ClosedResourceError):
                raise ClientGone("the client's connection broke within its request") from None
            if not data:
                raise ClientGone("the client closed its connection within its request")
            self.arrived_at = self._channel.came_at
            piece = reader.feed_body(data)
            if piece:
                return piece
        self._channel.arm(self._cancel)
        return b""

    # --- the answer ---

    @property
    def blocked(self) -> float:
        return self._channel.blocked - self._blocked_before

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        keep_alive = self._stays()
        headers = [*headers, date_header()]
        await self._write(render_answer(status, headers, body, keep_alive=keep_alive, head=self._head))
        self._channel.on_hangup = None
        self._answered = True

    def start(self, status: int, headers: Headers) -> None:
        keep_alive = self._stays() and self._chunked
        self._keep_alive = keep_alive
        self._begun = True
        headers = [*headers, date_header()]
        self._unsent = render_head(status, headers, keep_alive=keep_alive, chunked=self._chunked)

    async def write(self, data: bytes) -> None:
        if data and not self._head:
            await self._write(self._take_unsent() + (render_chunk(data) if self._chunked else data))

    def write_now(self, data: bytes) -> bool:
        if self._head or not self._chunked:
            return False
        unsent = self._unsent
        chunk = render_chunk(data)
        try:
            if not self._channel.offer(unsent + chunk if unsent else chunk):
                return False
        except (OSError, trio.ClosedResourceError):
            return False
        self._unsent = b""
        return True

    async def finish(self, trailer: bytes = b"") -> None:
        last = b""
        if not self._head:
            last = render_chunk(trailer, last=True) if self._chunked else trailer
        await self._write(self._take_unsent() + last)
        self._channel.on_hangup = None
        self._answered = True

    def _take_unsent(self) -> bytes:
        unsent, self._unsent = self._unsent, b""
        return unsent

    def _stays(self) -> bool:
        """Whether the connection may serve another request, as the answer's head has to say."""
        if not self._reader.body_complete or self.draining:
            self._keep_alive = False
        return self._keep_alive

    def comment(self, head: Headers | None, data: bytes) -> bool:
        if self._head or not self._chunked:
            return False
        if head is not None:
            self._begun = True
            self._unsent = render_head(200, [*head, date_header()], keep_alive=self._stays())
        elif self._unsent:
            return True
        unsent = self._unsent + render_chunk(data)
        try:
            sent = self._channel.send_now(unsent)
        except OSError:
            # The hang-up is about to be seen by the poller; the call is cancelled then.
            return False
        # A client that has not yet read its last answer gets the rest before the next bytes of the stream.
        self._unsent = unsent[sent:]
        return True

    def reset(self) -> None:
        """A chunked body without its last chunk is seen to be broken; anything else needs a reset to be."""
        self._answered = True
        self._keep_alive = False
        self._channel.on_hangup = None
        if self._begun and self._chunked and not self._unsent:
            self._channel.close()
        else:
            self._channel.reset()
        self._unsent = b""

    async def _write(self, data: bytes) -> None:
        try:
            if rest := self._channel.begin_send(data):
                await self._channel.finish_send(rest, self._timeouts.write)
        except trio.TooSlowError:
            self._channel.reset()
            self._keep_alive = False
            raise SlowClient(f"the client took nothing for {self._timeouts.write:g} s") from None
        except (OSError, trio.ClosedResourceError):
            self._keep_alive = False
            raise ClientGone("the client's connection broke while it was answered") from None
