"""One connection of a provider that may misbehave: requests are read properly, answers are played as bytes."""

from __future__ import annotations

import contextlib
import inspect
import socket as stdlib_socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import trio

from bifrost_trio._wire import Request, RequestReader
from bifrost_trio.errors import MalformedRequest
from bifrost_trio.mock.script import End, Pause, Received, Script, whole

__all__ = ["Answerer", "Connection", "MockStatistics", "Tally"]

Answerer: TypeAlias = Callable[[Received], Script | Awaitable[Script]]
"""What a request is answered with; it may wait."""

READ_SIZE = 65536
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class MockStatistics:
    """``open`` connections of those ``accepted``; ``answering`` requests of those ``received``.

    ``abandoned`` counts the requests whose connection the gateway left before the answer was at its end, and
    ``abandoned_at`` is when the last of them was (Trio's clock; 0.0: never).
    """

    accepted: int
    open: int
    received: int
    answering: int
    abandoned: int
    abandoned_at: float


class Tally:
    """What the connections of one provider count together."""

    def __init__(self) -> None:
        self.accepted = self.open = self.received = self.answering = self.abandoned = 0
        self.abandoned_at = 0.0

    def statistics(self) -> MockStatistics:
        return MockStatistics(
            self.accepted, self.open, self.received, self.answering, self.abandoned, self.abandoned_at
        )


class Connection:
    """Reads on while it answers, so that it knows at once when the gateway leaves: whatever it plays ends then."""

    def __init__(
        self,
        sock: stdlib_socket.socket,
        answer: Answerer,
        tally: Tally,
        *,
        host: str = "",
        prepare_reset: Callable[[], None] | None = None,
    ) -> None:
        """``host`` is where the gateway meant to connect to.

        ``prepare_reset`` sees to it that the close which follows is a reset; without it SO_LINGER does that.
        """
        self._sock = sock
        self._answer = answer
        self._tally = tally
        self._host = host
        self._prepare_reset = prepare_reset or self._linger_not
        self._reader = RequestReader()
        self._answering = False

    async def run(self) -> None:
        """Until either side closes. Never raises for what the other side does."""
        self._tally.accepted += 1
        self._tally.open += 1
        requests, received = trio.open_memory_channel[Received](float("inf"))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, requests, nursery.cancel_scope)
                await self._serve(received)
                nursery.cancel_scope.cancel()
        finally:
            self._tally.open -= 1
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    def _linger_not(self) -> None:
        self._sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, _NO_LINGER)

    # --- reading ---

    async def _pump(self, requests: trio.MemorySendChannel[Received], everything: trio.CancelScope) -> None:
        try:
            while (request := await self._next()) is not None:
                requests.send_nowait(request)
        except OSError:
            pass
        except MalformedRequest as error:
            with contextlib.suppress(OSError):
                await self._send(whole({"error": {"message": str(error)}}, status=error.status).data)
        if self._answering:
            self._tally.abandoned += 1
            self._tally.abandoned_at = trio.current_time()
        everything.cancel()

    async def _next(self) -> Received | None:
        reader = self._reader
        request = reader.feed(b"") if reader.pending else None
        while request is None:
            data = await self._receive()
            if not data:
                return None
            request = reader.feed(data)
        body = request.body
        while not reader.body_complete:
            data = await self._receive()
            if not data:
                return None
            body += reader.feed_body(data)
        return self._received(request, body)

    async def _receive(self) -> bytes:
        """Empty at the end. Raises OSError."""
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            with contextlib.suppress(BlockingIOError):
                return self._sock.recv(READ_SIZE)

    def _received(self, request: Request, body: bytes) -> Received:
        self._tally.received += 1
        return Received(
            self._host or (request.header(b"host") or b"").decode("latin-1"),
            self._tally.received,
            trio.current_time(),
            request.method,
            request.path,
            request.query,
            request.headers(),
            body,
        )

    # --- answering ---

    async def _serve(self, requests: trio.MemoryReceiveChannel[Received]) -> None:
        while True:
            request = await requests.receive()
            self._answering = True
            self._tally.answering += 1
            try:
                script = self._answer(request)
                end = await self._play(await script if inspect.isawaitable(script) else script)
            finally:
                self._answering = False
                self._tally.answering -= 1
            if end is not End.KEEP:
                return

    async def _play(self, script: Script) -> End:
        try:
            for step in script.steps:
                if isinstance(step, Pause):
                    await trio.sleep(step.seconds)
                else:
                    await trio.lowlevel.checkpoint()
                    await self._send(step)
        except OSError:
            # The reader has seen it too, or sees it now, and counts it.
            await trio.sleep_forever()
        if script.end is End.STALL:
            await trio.sleep_forever()
        if script.end is End.RESET:
            self._prepare_reset()
        return script.end

    async def _send(self, data: bytes) -> None:
        """Nothing else runs between the kernel's taking of the last byte and the return: an answer that the gateway
        has whole must not count as abandoned. Raises OSError."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)
