"""One HTTP/1.1 connection to a provider."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from bifrost_trio._wire import Response, ResponseReader
from bifrost_trio.errors import (
    ConnectionBroken,
    FirstOutputTimeout,
    IdleTimeout,
    MalformedAnswer,
    ProviderError,
    ProviderTimeout,
    TotalTimeout,
)
from bifrost_trio.sockets import Channel, TlsSocket

__all__ = ["MAX_ANSWER", "Connection", "TimeLimits"]

MAX_ANSWER = 256 * 1024 * 1024
"""Bytes of a whole answer. Embeddings and images come in tens of megabytes; what is beyond this is an accident."""

AT_ONCE = 65536
"""Bytes of a request that the kernel takes at once, or nearly so; while more is sent, an early answer is looked for."""

WHILE_SENDING = 86_400.0
"""Seconds: as long as the provider takes the request, it need not answer."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds for each phase: a connection, the first real output, standstill of a stream, a whole answer."""

    connect: float = 5.0
    first_output: float = 60.0
    idle: float = 60.0
    total: float = 300.0


class Connection:
    """A connection and the parser of its answers. One exchange at a time; closed after any error."""

    __slots__ = ("_sent", "_waited_before", "channel", "exchanges", "idle_since", "reader", "setup_seconds")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.reader = ResponseReader()
        self.exchanges = 0
        self.idle_since = 0.0
        self.setup_seconds = 0.0
        """What it took to connect: the name, TCP, TLS."""
        self._sent = True
        self._waited_before = 0.0

    async def exchange(
        self, data: bytes, limit: float, overdue: type[ProviderTimeout] = FirstOutputTimeout
    ) -> Response:
        """Sends a request; the head of the answer, within ``limit`` seconds from when the provider had the request.

        Raises ConnectionBroken, MalformedAnswer, or ``overdue``.
        """
        self.exchanges += 1
        self._waited_before = self.channel.waited + self.channel.blocked
        if self.exchanges == 1:
            self._waited_before -= self.setup_seconds
        self.reader.expect()
        if len(data) <= AT_ONCE:
            await self._send(data, limit, overdue)
        elif rest := self._hand_over(data):
            early = await self._send_watching(rest, limit, overdue)
            if early is not None:
                return early
        return await self._read_head(limit, overdue)

    def _hand_over(self, data: bytes) -> bytes:
        """What the kernel did not take at once, which is rarely anything: only that is worth watching for."""
        if isinstance(self.channel, TlsSocket):
            return data
        self._sent = False
        try:
            taken = self.channel.send_now(data)
        except OSError:
            return data
        self._sent = taken == len(data)
        return data[taken:]

    async def _read_head(self, limit: float, overdue: type[ProviderTimeout]) -> Response:
        # Of the limit only waiting takes anything: that is counted anyway, and the clock need not be asked.
        over = self.channel.waited + limit
        while True:
            received = await self._receive(limit, overdue)
            if not received:
                self.reader.end()
            response = self.reader.feed(received)
            if response is not None:
                return response
            limit = max(over - self.channel.waited, 0.0)

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow."""
        return self._sent and self.reader.reusable

    @property
    def waited(self) -> float:
        """Seconds for which this exchange had nothing to read or could not write; of the first one with what it took to
        connect."""
        return self.channel.waited + self.channel.blocked - self._waited_before

    async def read_whole(self, response: Response, limit: float, most: int = MAX_ANSWER) -> bytes:
        """The rest of the body behind what came with the head: ``most`` bytes, within ``limit`` seconds.

        Raises as `exchange` does.
        """
        pieces = [response.body]
        size = len(response.body)
        deadline = trio.current_time() + limit
        while not self.reader.body_complete:
            piece = await self.read_piece(max(deadline - trio.current_time(), 0.0), TotalTimeout)
            size += len(piece)
            if size > most:
                raise MalformedAnswer(f"the provider's answer is larger than {most} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def read_piece(self, limit: float, overdue: type[ProviderTimeout] = IdleTimeout) -> bytes:
        """The next bytes of a body; empty when it is complete. Raises as `exchange` does."""
        reader = self.reader
        while not reader.body_complete:
            received = await self._receive(limit, overdue)
            if not received:
                reader.end()
                break
            piece = reader.feed_body(received)
            if piece:
                return piece
        return b""

    async def _send(self, data: bytes, limit: float, overdue: type[ProviderTimeout]) -> None:
        self._sent = False
        try:
            if rest := self.channel.begin_send(data):
                await self.channel.finish_send(rest, limit)
        except (BrokenPipeError, ConnectionResetError):
            # It may have answered before it read everything (413, 429): what it said is read, if it is there.
            return
        except OSError as error:
            raise ConnectionBroken("the connection to the provider broke while the request was sent") from error
        except trio.TooSlowError as error:
            raise overdue(f"the provider took nothing of the request for {limit:g} s") from error
        self._sent = True

    async def _send_watching(self, data: bytes, limit: float, overdue: type[ProviderTimeout]) -> Response | None:
        """Sends a large request; the answer, should it come before the provider has taken everything (413, 429)."""
        early: list[Response] = []
        failures: list[ProviderError] = []
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                try:
                    early.append(await self._read_head(WHILE_SENDING, overdue))
                except ProviderError as error:
                    failures.append(error)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            try:
                await self._send(data, limit, overdue)
            except ProviderError as error:
                failures.append(error)
            nursery.cancel_scope.cancel()
        if early:
            return early[0]
        try:
            if failures:
                raise failures[0]
        finally:
            failures.clear()  # an error holds this frame: not both ways
        return None

    async def _receive(self, limit: float, overdue: type[ProviderTimeout]) -> bytes:
        try:
            return await self.channel.receive(limit)
        except OSError as error:
            raise ConnectionBroken("the connection to the provider broke before its answer was complete") from error
        except trio.TooSlowError as error:
            raise overdue(_TOO_SLOW[overdue]) from error

    def close(self) -> None:
        self.channel.close()


_TOO_SLOW: dict[type[ProviderTimeout], str] = {
    FirstOutputTimeout: "the provider gave no output in time",
    IdleTimeout: "the provider's stream stood still for too long",
    TotalTimeout: "the provider's whole answer took too long",
}
