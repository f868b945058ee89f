"""The handler of every inference route: body, call, the stations, settling."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import trio

from bifrost_trio._wire import Envelope, scan
from bifrost_trio.errors import BodyTooLarge, ClientLeft, GatewayError, InvalidField
from bifrost_trio.transport.failures import answer_error, as_gateway_error
from bifrost_trio.transport.heartbeat import Heartbeat
from bifrost_trio.transport.options import HeaderFilter, read_options
from bifrost_trio.transport.reading import UNCOUNTED, BodyBudget, Reading, check_media_type
from bifrost_trio.transport.reply import ClientReply
from bifrost_trio.transport.routes import InferenceRoute
from bifrost_trio.types import Body, Call, Clock, Operation, Request, Sink, State, Station

__all__ = ["Inference", "InferenceStatistics"]

OnError: TypeAlias = Callable[[Call, ClientReply, GatewayError], Awaitable[None]]
"""What is done with the error of a call: it is answered, or raised to the program that made the call."""

STREAMED = frozenset({Operation.CHAT_COMPLETION, Operation.TEXT_COMPLETION, Operation.RESPONSES})
"""Operations that may be asked for as a stream."""


@dataclass(frozen=True, slots=True)
class InferenceStatistics:
    """``open`` calls, and ``settled`` ones since the start; ``begun - settled == open`` at any moment."""

    open: int
    settled: int


class Inference:
    """Makes a `Call` of a request, sends it down the path, and settles it exactly once."""

    def __init__(
        self,
        following: Station,
        settle: Callable[[Call], None],
        budget: BodyBudget,
        may_forward: HeaderFilter = lambda name: True,
        heartbeat: Heartbeat | None = None,
        clock: Clock = trio.current_time,
    ) -> None:
        """``settle`` is synchronous and must not raise: it runs in the ``finally`` of every call."""
        self._now = clock
        self._heartbeat = heartbeat
        self._following = following
        self._settle = settle
        self._budget = budget
        self._may_forward = may_forward
        self._begun = 0
        self._settled = 0
        self._reading = 0
        self._idle: trio.Event | None = None

    def __call__(self, route: InferenceRoute, request: Request, body: Body, sink: Sink) -> Awaitable[None]:
        """Serves a request. What cannot become a call raises GatewayError, at once or when awaited.

        Not a coroutine itself: a wait of the call passes through each coroutine above it, so there are few.
        """
        accepted_at = sink.arrived_at
        if not request.plain:
            check_media_type(request)
        if not request.complete:
            return self._read(route, request, body, sink, accepted_at)
        data = request.body
        if len(data) > self._budget.largest:
            raise BodyTooLarge(f"the body is larger than {self._budget.largest} bytes", code="body_too_large")
        if len(data) <= UNCOUNTED:
            return self._serve(route, request, data, scan(data), sink, accepted_at)
        return self._serve_counted(route, request, data, sink, accepted_at)

    async def _serve_counted(
        self, route: InferenceRoute, request: Request, data: bytes, sink: Sink, accepted_at: float
    ) -> None:
        """Raises MemoryFull."""
        self._budget.reserve(len(data))
        try:
            await self._serve(route, request, data, scan(data), sink, accepted_at)
        finally:
            self._budget.release(len(data))

    async def _read(self, route: InferenceRoute, request: Request, body: Body, sink: Sink, accepted_at: float) -> None:
        reading = Reading(self._budget)
        self._reading += 1
        try:
            data, envelope = await reading.read(request.body, request.content_length, body)
            came_in = sink.arrived_at - accepted_at
            await self._serve(route, request, data, envelope, sink, accepted_at, came_in)
        finally:
            reading.release()
            self._reading -= 1
            self._look_idle()

    def _serve(
        self,
        route: InferenceRoute,
        request: Request,
        data: bytes,
        envelope: Envelope,
        sink: Sink,
        accepted_at: float,
        came_in: float = 0.0,
    ) -> Awaitable[None]:
        """``came_in``: seconds that the body took to come, where it did not come with its head."""
        if envelope.stream and route.operation not in STREAMED:
            raise InvalidField(f"{route.operation.value} cannot be streamed", "stream")
        call = Call(
            route.operation,
            route.format,
            request,
            data,
            envelope,
            accepted_at,
            native=route.native,
            default_provider=route.default_provider,
        )
        call.outcome.client_seconds = came_in
        if request.special:
            call.options = read_options(request, self._may_forward)
            call.id = call.options.request_id
        reply = ClientReply(call, sink)
        return self.run(call, reply, self._answer, self._heartbeat if envelope.stream else None)

    async def wait_idle(self) -> None:
        """Returns when no call is open, and no body is read that will be one."""
        while self._reading or self._settled < self._begun:
            self._idle = trio.Event()
            await self._idle.wait()

    def _look_idle(self) -> None:
        if self._idle is not None and not self._reading and self._settled == self._begun:
            self._idle.set()

    async def run(self, call: Call, reply: ClientReply, on_error: OnError, heartbeat: Heartbeat | None = None) -> None:
        """Sends a call down the path and settles it, whatever becomes of it."""
        self._begun += 1
        if heartbeat is not None:
            heartbeat.watch(reply, self._now())
        outcome = call.outcome
        try:
            await self._following(call, reply)
            outcome.state = State.DONE
        except Exception as problem:
            error = as_gateway_error(problem)
            outcome.error = error
            outcome.state = State.CANCELLED if isinstance(error, ClientLeft) else State.FAILED
            if not outcome.committed:
                outcome.status = error.status
            await on_error(call, reply, error)
            error.forget_frames()
        finally:
            if outcome.state is State.OPEN:
                outcome.state = State.CANCELLED
            outcome.client_seconds += reply.sink.blocked
            self._settled += 1
            if heartbeat is not None:
                heartbeat.forget(reply)
            if self._idle is not None:
                self._look_idle()
            self._settle(call)

    async def _answer(self, call: Call, reply: ClientReply, error: GatewayError) -> None:
        sink = reply.sink
        if isinstance(error, ClientLeft) or not (call.outcome.committed or reply.begun):
            await answer_error(error, sink, call.format, native=call.native, call=call)
            return
        try:
            await reply.fail(error)
        except ClientLeft:
            sink.reset()

    def statistics(self) -> InferenceStatistics:
        return InferenceStatistics(self._begun - self._settled, self._settled)
