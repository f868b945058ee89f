"""Hypercorn's HTTP/2 (RFC 9113), without the holes through which one client could take more than its share.

| what a client does | what becomes of it |
|---|---|
| begins and resets streams without end, sends settings, pings, tiny DATA | GOAWAY with ENHANCE_YOUR_CALM |
| has more calls in flight than streams allow | REFUSED_STREAM |
| takes nothing of its answer | the stream is reset, the call is recorded as ``slow_client`` |
| sends a body faster than the call reads it | its window stays closed |
| sends a body after its answer is whole | RST_STREAM with NO_ERROR (section 8.1) |
| opens a stream while the process drains | REFUSED_STREAM; GOAWAY when the last answer is out |

GOAWAY waits for the answers in flight: Python's own client library (h2) breaks them off when it sees one.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import h2.events
import h2.settings
import trio
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, Data, EndBody, EndData, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, H2Protocol

from bifrost_trio.errors import GatewayError, SlowClient
from bifrost_trio.server.h2_limits import (
    CONNECTION_WINDOW,
    MAX_HEADERS,
    MAX_LIVE,
    MAX_STREAMS,
    SMALL_DATA,
    STREAM_WINDOW,
    Allowances,
)

__all__ = ["GuardedH2"]

FIRST_WINDOW = 65535
"""The window of a connection before anything is said about it (RFC 9113 section 6.9.2)."""

Receive = Callable[[], Awaitable[Any]]
Tell = Callable[[Any], Awaitable[None]]


class GuardedH2(H2Protocol):
    """One HTTP/2 connection. ``app`` is a plain ASGI application here."""

    def __init__(self, app: Any, write_limit: float, *rest: Any) -> None:
        super().__init__(app, *rest)
        self._asgi = app
        self._write_limit = write_limit
        self._allowances = Allowances(trio.current_time)
        self._ended: set[int] = set()
        """Streams whose answer was handed over to its end."""
        self._sending: set[int] = set()
        """Streams whose request has not ended."""
        self._unread: dict[int, int] = {}
        """Bytes of a request's body that its call has not read."""
        self._waits: dict[int, trio.CancelScope] = {}
        self._calls: dict[int, bool] = {}
        """Streams whose call still runs: whether their client is still there."""
        self._goodbye_said = False
        self.connection.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: self.config.h2_max_header_list_size,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            },
        )
        self._handlers: dict[type, Callable[[Any], Awaitable[None]]] = {
            h2.events.RequestReceived: self._request,
            h2.events.DataReceived: self._data,
            h2.events.StreamEnded: self._request_ended,
            h2.events.StreamReset: self._reset,
            h2.events.WindowUpdated: self._window,
            h2.events.RemoteSettingsChanged: self._settings,
            h2.events.PingReceived: self._ping,
            h2.events.ConnectionTerminated: self._terminated,
        }

    @property
    def live(self) -> int:
        """Calls that still run."""
        return len(self._calls)

    @property
    def idle(self) -> bool:
        """Nothing is asked, and every answer is out."""
        return not self.streams and not self.stream_buffers

    async def initiate(self, headers: Any = None, settings: Any = None) -> None:
        await super().initiate(headers, settings)
        self.connection.increment_flow_control_window(CONNECTION_WINDOW - FIRST_WINDOW)
        await self._flush()

    async def say_goodbye(self) -> None:
        """GOAWAY: everything that was begun has ended, and nothing more is taken."""
        await self._go_away(ErrorCodes.NO_ERROR)

    async def _go_away(self, code: ErrorCodes) -> None:
        if not self._goodbye_said:
            self._goodbye_said = True
            self.connection.close_connection(code)
            await self._flush()

    async def _calm_down(self) -> None:
        await self._go_away(ErrorCodes.ENHANCE_YOUR_CALM)
        await self.send(Closed())

    async def handle(self, event: Event) -> None:
        if self.closed and isinstance(event, RawData):
            return  # it was on its way while another task found the connection broken
        await super().handle(event)
        if isinstance(event, Closed):
            # Whoever waits for room in one of them would wait for ever.
            for buffer in list(self.stream_buffers.values()):
                await buffer.close()
            self._calls = dict.fromkeys(self._calls, False)

    # --- from the client ---

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            # Priorities are ignored: deprecated (RFC 9113 section 5.3.2), and a tree that clients grow.
            handler = self._handlers.get(type(event))
            if handler is not None:
                await handler(event)
            if self._goodbye_said or self.closed:
                return
        await self._flush()

    async def _request(self, event: h2.events.RequestReceived) -> None:
        stream_id, headers = event.stream_id or 0, event.headers or []
        if self.context.terminated.is_set():
            self._reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        elif self.live >= MAX_LIVE:
            self._reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            if not self._allowances.resets.spend():
                await self._calm_down()
        elif (status := _refused(headers)) is not None:
            with suppress(ProtocolError):
                end = [(b":status", b"%d" % status), (b"content-length", b"0")]
                self.connection.send_headers(stream_id, end, end_stream=True)
            if event.stream_ended is None:
                self._reset_stream(stream_id, ErrorCodes.NO_ERROR)
        else:
            self._sending.add(stream_id)
            self.app = self._call_of(stream_id)
            await self._create_stream(event)
            await self.send(Updated(idle=False))

    def _reset_stream(self, stream_id: int, code: ErrorCodes) -> None:
        """Of a stream that may be over: what came together with its request is known to h2 already."""
        with suppress(ProtocolError):
            self.connection.reset_stream(stream_id, code)

    async def _data(self, event: h2.events.DataReceived) -> None:
        stream_id, data = event.stream_id or 0, event.data or b""
        if len(data) < SMALL_DATA and event.stream_ended is None and not self._allowances.small_data.spend():
            await self._calm_down()
            return
        stream = self.streams.get(stream_id)
        unread = len(data) if stream is not None else 0
        self._acknowledge(stream_id, (event.flow_controlled_length or 0) - unread)
        if stream is not None and data:
            self._unread[stream_id] = self._unread.get(stream_id, 0) + unread
            await stream.handle(Body(stream_id=stream_id, data=data))

    async def _request_ended(self, event: h2.events.StreamEnded) -> None:
        stream_id = event.stream_id or 0
        self._sending.discard(stream_id)
        if stream_id in self.streams:
            await self.streams[stream_id].handle(EndBody(stream_id=stream_id))

    async def _reset(self, event: h2.events.StreamReset) -> None:
        stream_id = event.stream_id or 0
        if stream_id in self._calls:
            self._calls[stream_id] = False
        await self._close_stream(stream_id)
        await self._forget(stream_id)
        if not self._allowances.resets.spend():
            await self._calm_down()
        else:
            await self._tell_if_idle()  # the call, which is on its way out, has nothing to say any more

    async def _window(self, event: h2.events.WindowUpdated) -> None:
        await self._window_updated(event.stream_id)

    async def _settings(self, event: h2.events.RemoteSettingsChanged) -> None:
        if not self._allowances.settings.spend():
            await self._calm_down()
        elif SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
            await self._window_updated(None)

    async def _ping(self, event: h2.events.PingReceived) -> None:
        if not self._allowances.pings.spend():
            await self._calm_down()

    async def _terminated(self, event: h2.events.ConnectionTerminated) -> None:
        await self.send(Closed())

    # --- calls ---

    def _call_of(self, stream_id: int) -> Any:
        """What Hypercorn starts as the application of one stream."""
        self._calls[stream_id] = True

        async def call(scope: Any, receive: Receive, send: Tell, sync_spawn: Any, call_soon: Any) -> None:
            try:
                await self._asgi(scope, self._reading(stream_id, receive), self._telling(stream_id, send))
            except GatewayError:
                return  # the answer was broken off: a stream that is not ended is reset
            finally:
                del self._calls[stream_id]

        return call

    def _reading(self, stream_id: int, receive: Receive) -> Receive:
        """The window opens again when the call has read, not when the bytes came."""

        async def read() -> Any:
            message = await receive()
            size = len(message.get("body", b""))
            if size and stream_id in self._unread:
                self._unread[stream_id] -= size
                self._acknowledge(stream_id, size)
                await self._flush()
            return message

        return read

    def _telling(self, stream_id: int, send: Tell) -> Tell:
        """Ends a call whose client is gone where it writes: one that never has to wait would go on to its end."""

        async def tell(message: Any) -> None:
            await send(message)
            if not self._calls[stream_id]:
                raise BrokenPipeError("the client has left this stream")

        return tell

    def _acknowledge(self, stream_id: int, size: int) -> None:
        if size and not self.closed:
            with suppress(ProtocolError):
                self.connection.acknowledge_received_data(size, stream_id)

    async def _close_stream(self, stream_id: int) -> None:
        self._acknowledge(stream_id, self._unread.pop(stream_id, 0))
        await super()._close_stream(stream_id)

    async def _forget(self, stream_id: int) -> None:
        """Of a stream that is over before its answer is out.

        Hypercorn would keep its buffer, and its place among the thousand of the priority tree, for as long as the
        connection lasts.
        """
        self._sending.discard(stream_id)
        self._ended.discard(stream_id)
        buffer = self.stream_buffers.pop(stream_id, None)
        if buffer is not None:
            self.priority.remove_stream(stream_id)
            await buffer.close()  # whoever waits for room in it goes on

    async def _tell_if_idle(self) -> None:
        if self.idle and not self.closed:
            await self.send(Updated(idle=True))

    # --- to the client ---

    async def stream_send(self, event: StreamEvent) -> None:
        stream_id = event.stream_id
        if isinstance(event, StreamClosed):
            if stream_id not in self._ended:
                await self._break_off(stream_id)
            self._ended.discard(stream_id)
            await self._close_stream(stream_id)
            await self._flush()
            await self._tell_if_idle()
        elif stream_id not in self.stream_buffers:
            return  # the stream is over; its call is told by what it receives
        elif isinstance(event, EndBody | EndData):
            await self._send_while_it_moves(event)
            if stream_id in self.streams:
                self._ended.add(stream_id)
        elif isinstance(event, Body | Data) and self._unsent(stream_id) + len(event.data) >= BUFFER_HIGH_WATER:
            await self._send_while_it_moves(event)
        else:
            await super().stream_send(event)

    def _unsent(self, stream_id: int) -> int:
        buffer = self.stream_buffers.get(stream_id)
        return len(buffer.buffer) if buffer is not None else 0

    async def _send_while_it_moves(self, event: StreamEvent) -> None:
        """Raises SlowClient when the client has taken nothing of the stream for as long as a write may take."""
        stream_id = event.stream_id
        with trio.CancelScope(deadline=trio.current_time() + self._write_limit) as scope:
            self._waits[stream_id] = scope
            try:
                await super().stream_send(event)
            finally:
                del self._waits[stream_id]
        if scope.cancelled_caught:
            raise SlowClient(f"the client took nothing for {self._write_limit:g} s")

    async def _break_off(self, stream_id: int) -> None:
        """Nobody takes half an answer for a whole one."""
        if stream_id in self.stream_buffers:
            self._reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
            await self._forget(stream_id)

    async def _send_data(self, stream_id: int) -> None:
        before = self._unsent(stream_id)
        with suppress(KeyError):  # the stream was forgotten while a frame of it went out
            await super()._send_data(stream_id)
        wait = self._waits.get(stream_id)
        if wait is not None and self._unsent(stream_id) != before:
            wait.deadline = trio.current_time() + self._write_limit
        if stream_id not in self.stream_buffers:
            await self._sent(stream_id)

    async def _sent(self, stream_id: int) -> None:
        """The last frame of an answer is out."""
        if stream_id in self._sending:
            self._sending.discard(stream_id)
            self._reset_stream(stream_id, ErrorCodes.NO_ERROR)
            await self._flush()
        await self._tell_if_idle()


def _refused(headers: list[tuple[bytes, bytes]]) -> int | None:
    """The status of a request that is refused before it is looked at; what Hypercorn cannot read ends connections."""
    found = {bytes(name): bytes(value) for name, value in headers if bytes(name[:1]) == b":"}
    method, path = found.get(b":method", b""), found.get(b":path", b"")
    if method == b"CONNECT":
        return 501
    if not path.startswith(b"/") or not (method + path).isascii():
        return 400
    return 431 if len(headers) > MAX_HEADERS else None


NO_LIMIT: Any = math.inf
"""For Hypercorn's queue of a request's messages: what bounds it here are the windows."""
