"""One HTTP/1.1 connection to a provider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

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
from bifrost_trio.sockets import Channel, Take

__all__ = ["MAX_ANSWER", "Begin", "Connection", "TimeLimits"]

Begin: TypeAlias = "Callable[[Connection, Response], None]"
"""Is given the head of an answer as soon as it is there. Called from the poller: must not wait."""

MAX_ANSWER = 256 * 1024 * 1024
"""Bytes of a whole answer. Embeddings and images come in tens of megabytes; what is beyond this is an accident."""

_BROKE_SENDING = "the connection to the provider broke while the request was sent"

WHILE_SENDING = 86_400.0
"""Seconds: as long as the provider takes the request, it need not answer."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds for each phase: a connection, the first real output, standstill of a stream, a whole answer."""

    connect: float = 5.0
    first_output: float = 60.0
    idle: float = 60.0
    total: float = 300.0


def _unwanted(data: bytes) -> bool:
    """What takes a piece while nobody pulls: a connection that is idle holds on to no call."""
    return False


class Connection:
    """A connection and the parser of its answers. One exchange at a time; closed after any error."""

    __slots__ = (
        "_begin",
        "_head",
        "_rest",
        "_sent",
        "_take",
        "_waited_before",
        "channel",
        "exchanges",
        "idle_since",
        "reader",
        "setup_seconds",
    )

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.reader = ResponseReader()
        self.exchanges = 0
        self.idle_since = 0.0
        self.setup_seconds = 0.0
        """What it took to connect: the name, TCP, TLS; in the place of a stale one, with the wait for that."""
        self._sent = True
        self._rest: memoryview | None = None
        self._begin: Begin | None = None
        self._head: Response | None = None
        self._take: Take = _unwanted
        self._waited_before = 0.0

    def send(self, data: bytes) -> None:
        """Sends a request as far as the kernel takes it at once, nearly always whole. Raises ConnectionBroken."""
        channel = self.channel
        self.exchanges += 1
        self._waited_before = channel.waited + channel.blocked
        if self.exchanges == 1:
            self._waited_before -= self.setup_seconds
        self.reader.expect()
        self._head = None
        self._sent = False
        try:
            self._rest = channel.begin_send(data)
        except (BrokenPipeError, ConnectionResetError):
            # It may have answered before it read anything: what it said is read, if it is there.
            return
        except OSError as error:
            raise ConnectionBroken(_BROKE_SENDING) from error
        self._sent = self._rest is None

    async def read_head(
        self, limit: float, overdue: type[ProviderTimeout] = FirstOutputTimeout, begin: Begin | None = None
    ) -> Response:
        """The head of the answer to what was sent, within ``limit`` seconds from when the provider had the request.

        ``begin`` is given it without this task being woken for that; not if the request took longer to send. Raises
        ConnectionBroken, MalformedAnswer, or ``overdue``.
        """
        rest, self._rest = self._rest, None
        if rest:
            early = await self._send_watching(rest, limit, overdue)
            if early is not None:
                return early
        elif begin is not None:
            return await self._begun(limit, overdue, begin)
        return await self._read_head(limit, overdue)

    async def _begun(self, limit: float, overdue: type[ProviderTimeout], begin: Begin) -> Response:
        channel = self.channel
        over = channel.waited + limit
        self._begin = begin
        try:
            while self._head is None:
                await channel.pull(self._head_received, max(over - channel.waited, 0.0))
        except (OSError, trio.TooSlowError) as error:
            raise _failure(error, overdue) from error
        finally:
            self._begin = None
        return self._head

    def _head_received(self, data: bytes) -> bool:
        if not data:
            self.reader.end()
        self._head = response = self.reader.feed(data)
        if response is not None and self._begin is not None:
            self._begin(self, response)
        return False

    async def _read_head(self, limit: float, overdue: type[ProviderTimeout]) -> Response:
        # Of the limit only waiting takes anything: that is counted anyway, and the clock need not be asked.
        channel, reader = self.channel, self.reader
        over = channel.waited + limit
        while True:
            try:
                received = await channel.receive(limit)
            except (OSError, trio.TooSlowError) as error:
                raise _failure(error, overdue) from error
            if not received:
                reader.end()
            response = reader.feed(received)
            if response is not None:
                return response
            limit = max(over - channel.waited, 0.0)

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

        Raises as `read_head` does.
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
        """The next bytes of a body; empty when it is complete. Raises as `read_head` does."""
        reader = self.reader
        while not reader.body_complete:
            try:
                received = await self.channel.receive(limit)
            except (OSError, trio.TooSlowError) as error:
                raise _failure(error, overdue) from error
            if not received:
                reader.end()
                break
            piece = reader.feed_body(received)
            if piece:
                return piece
        return b""

    async def pull(self, take: Take, limit: float) -> None:
        """Gives each piece of the body to ``take``, until that wants no more or the body is complete.

        ``limit`` is in seconds from read to read. Raises as `read_head` does, IdleTimeout, and what ``take`` raises,
        which must be no OSError.
        """
        if self.reader.body_complete:
            return
        self._take = take
        try:
            await self.channel.pull(self._received, limit)
        except (OSError, trio.TooSlowError) as error:
            raise _failure(error, IdleTimeout) from error
        finally:
            self._take = _unwanted

    def _received(self, data: bytes) -> bool:
        reader = self.reader
        if not data:
            reader.end()
            return False
        piece = reader.feed_body(data)
        if piece and not self._take(piece):
            return False
        return not reader.body_complete

    async def _finish_sending(self, rest: memoryview, limit: float, overdue: type[ProviderTimeout]) -> None:
        try:
            await self.channel.finish_send(rest, limit)
        except (BrokenPipeError, ConnectionResetError):
            # It may have answered before it read everything (413, 429): what it said is read, if it is there.
            return
        except OSError as error:
            raise ConnectionBroken(_BROKE_SENDING) from error
        except trio.TooSlowError as error:
            raise overdue(f"the provider took nothing of the request for {limit:g} s") from error
        self._sent = True

    async def _send_watching(self, rest: memoryview, limit: float, overdue: type[ProviderTimeout]) -> Response | None:
        """Sends what is left; the answer, should it come before the provider has taken everything.

        One that refuses (413, 429) ends the sending; beside any other one it goes on.
        """
        early: list[Response] = []
        failures: list[ProviderError] = []
        waited, blocked = self.channel.waited, self.channel.blocked
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                try:
                    early.append(await self._read_head(WHILE_SENDING, overdue))
                    if early[0].status < 400:
                        return
                except ProviderError as error:
                    failures.append(error)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            try:
                await self._finish_sending(rest, limit, overdue)
            except ProviderError as error:
                failures.append(error)
            nursery.cancel_scope.cancel()
        # Both waited side by side: what they did at the same time counts once.
        self._waited_before += min(self.channel.waited - waited, self.channel.blocked - blocked)
        if early:
            return early[0]
        try:
            if failures:
                raise failures[0]
        finally:
            failures.clear()  # an error holds this frame: not both ways
        return None

    def close(self) -> None:
        self.channel.close()


def _failure(error: OSError | trio.TooSlowError, overdue: type[ProviderTimeout]) -> ProviderError:
    """What it means that nothing could be read."""
    if isinstance(error, OSError):
        return ConnectionBroken("the connection to the provider broke before its answer was complete")
    return overdue(_TOO_SLOW[overdue])


_TOO_SLOW: dict[type[ProviderTimeout], str] = {
    FirstOutputTimeout: "the provider gave no output in time",
    IdleTimeout: "the provider's stream stood still for too long",
    TotalTimeout: "the provider's whole answer took too long",
}
