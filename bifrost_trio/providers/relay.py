"""A provider's stream on its way to the client: handed on as it comes, read along, held back until it is worth it.

Nothing is committed before the first real output: until then an error inside the stream, a cut or a stall still leads
to another attempt or a fallback, and a failure of all has its true status. What came before is held back and goes out
with the first real output in one write.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import trio

from bifrost_trio._wire import EventReader, Response, StreamScan, Usage
from bifrost_trio.errors import ConnectionBroken, FirstOutputTimeout, IdleTimeout, ProviderError, StreamFault
from bifrost_trio.providers.verdicts import blotted, cleaned, forwarded_headers
from bifrost_trio.types import Call, Clock, Format, Headers, JsonObject, Reply
from bifrost_trio.upstream import Connection

__all__ = ["MAX_HELD", "Relay", "Translation", "compressed"]

EVENT_STREAM: Headers = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))

LAST_EVENTS = (b"data: [DONE]\n\n", b"data: [DONE]\r\n\r\n")
"""Behind which OpenAI's stream has nothing more to say."""

REST_SECONDS = 0.25
"""For the end of a body whose last event was read: longer than a packet takes, too short to be noticed."""

REST_LIMIT = 5.0
"""Seconds for what follows the finish reason: the usage, the last event, the end of the body."""

MAX_HELD = 256 * 1024
"""Bytes of preamble held back for one stream; a preamble beyond it is no preamble, and the stream is committed."""


MANY_BYTES = 8 * 1024
"""Of a piece that is translated: hundreds of frames take milliseconds, after which others are to run."""

BYTES_A_TOKEN = 4
"""Of a request, where nobody has counted its tokens: the usual rule of thumb for English text."""


class Translation:
    """A stream in the provider's format in, the same in the client's format out. One per attempt."""

    __slots__ = ("_decoder", "_encoder", "_events", "made")

    def __init__(self, provider: Format, client: Format, request: JsonObject) -> None:
        self._events = EventReader()
        self._decoder = provider.stream_decoder()
        self._encoder = client.stream_encoder(request)
        self.made: list[bytes] = []
        """Of the last piece; also of one that raised, what stood before."""

    def feed(self, piece: bytes) -> bytes:
        """Raises MalformedAnswer, StreamFault."""
        encode = self._encoder.encode
        made: list[bytes] = []
        self.made = made
        for event, data, _ in self._events.feed(piece):
            made += map(encode, self._decoder.decode(event, data))
        return b"".join(made)

    def finish(self) -> bytes:
        """Raises ConnectionBroken if the stream is not complete."""
        return b"".join(map(self._encoder.encode, self._decoder.finish())) + self._encoder.finish()


def compressed(response: Response) -> bool:
    return response.header(b"content-encoding") not in (None, b"identity")


class Relay:
    """One stream of one attempt."""

    __slots__ = (
        "_call",
        "_committed",
        "_connection",
        "_format",
        "_hidden",
        "_now",
        "_over",
        "_piece",
        "_reply",
        "_response",
        "_scan",
        "_secrets",
        "_translation",
    )

    def __init__(
        self,
        call: Call,
        reply: Reply,
        format: Format,
        translation: Translation | None,
        secrets: Sequence[str],
        hidden: Sequence[bytes],
        clock: Clock,
    ) -> None:
        """``format`` is the provider's.

        ``secrets`` are blotted out of errors; ``hidden``, the long ones of them, also out of what is handed on where a
        piece holds them whole.
        """
        self._call = call
        self._reply = reply
        self._format = format
        self._translation = translation
        self._secrets = secrets
        self._hidden = hidden
        self._scan = StreamScan(format.name)
        self._response: Response | None = None
        self._committed = False
        self._over = 0.0
        self._piece = b""
        self._now = clock

    def begin(self, connection: Connection, response: Response) -> None:
        """The head of the answer is there, and what came with it: handed on at once if it holds output and there is
        nothing else to be done with it. Called from the poller (see `Pool.receive`); `run` has to follow."""
        if response.status != 200 or not response.event_stream or compressed(response):
            return
        self._connection = connection
        self._response = response
        self._piece = piece = cleaned(response.body, self._hidden)
        scan = self._scan
        if not piece:
            return
        scan.feed(piece)
        last = scan.complete or connection.reader.body_complete
        if scan.output and scan.error is None and self._translation is None and not last:
            self._commit(response)
            if self._reply.write_now(piece):
                self._piece = b""

    def _commit(self, response: Response) -> None:
        call = self._call
        call.outcome.first_output_at = self._now()
        self._committed = True
        self._reply.claim()
        shown = EVENT_STREAM if call.native else (*EVENT_STREAM, *forwarded_headers(response, *self._secrets))
        self._reply.start(200, shown)

    async def run(self, connection: Connection, response: Response, first_output: float, idle: float) -> bytes:
        """Hands the stream on up to its last piece, which is returned: the connection goes home before it is written.

        ``first_output`` is a deadline, ``idle`` a number of seconds. Raises ProviderError, ClientLeft.
        """
        if self._response is None:
            self.begin(connection, response)
        try:
            piece = self._piece if self._committed else await self._hold_back(response, first_output)
            reader = connection.reader
            while not reader.body_complete:
                if piece:
                    if self._translation is None and piece.endswith(LAST_EVENTS):
                        piece = await self._with_the_end(piece)
                        if connection.reader.body_complete:
                            break
                    if not self._reply.write_now(piece):
                        await self._reply.write(piece)
                    if self._translation is not None and len(piece) >= MANY_BYTES:
                        await trio.lowlevel.checkpoint()
                try:
                    piece = await self._next(idle)
                except IdleTimeout:
                    if not self._scan.complete:
                        raise
                    # Nothing is missing but the end of the body, which a provider that keeps the connection may forget.
                    return await self._end(b"")
            return await self._end(piece)
        finally:
            self._count()

    async def _next(self, idle: float) -> bytes:
        """Hands on what needs nothing else, without waking this task; the first piece that does is returned, read
        along and translated. Empty: the body's end came alone."""
        self._piece = b""
        await self._connection.pull(self._take, self._limit(idle) if self._scan.complete else idle)
        if self._scan.error is not None:
            await self._fault(self._piece)
        return self._piece

    def _take(self, piece: bytes) -> bool:
        """Called as bytes come (see `Connection.pull`): whether the piece was handed on, and the next one is wanted."""
        self._piece = piece = cleaned(piece, self._hidden)
        scan = self._scan
        scan.feed(piece)
        if scan.error is not None:
            return False
        if self._translation is not None:
            self._piece = piece = self._translated(self._translation, piece)
            if not piece:
                return True
            if len(piece) >= MANY_BYTES:
                return False
        # What comes when all is said has limits of its own, and the last piece goes out after the connection is home.
        if scan.complete or self._connection.reader.body_complete or not self._reply.write_now(piece):
            return False
        self._piece = b""
        return True

    def _limit(self, idle: float) -> float:
        """Of a read when nothing is missing but the rest. Raises IdleTimeout for one that has no end."""
        now = trio.current_time()
        self._over = self._over or now + REST_LIMIT
        if now >= self._over:
            raise IdleTimeout("what followed the stream's last output had no end")
        return min(idle, self._over - now)

    async def _with_the_end(self, piece: bytes) -> bytes:
        """``piece``, which ends with the last event, and what follows: nothing, as a rule, but the end of the body.

        That is often in a packet of its own, and many clients leave as soon as they have read the last event. They get
        both at once, so that none leaves a call that looks cancelled and a connection that could have been kept.
        """
        try:
            more = await self._connection.read_piece(REST_SECONDS, IdleTimeout)
            if more:
                more = cleaned(more, self._hidden)
                self._scan.feed(more)
            return piece + more
        except IdleTimeout:
            return piece
        except ProviderError:
            await self._reply.write(piece)
            raise

    def _count(self) -> None:
        """Also when the client left or the stream broke: what was delivered until then is known or estimated."""
        outcome, scan = self._call.outcome, self._scan
        outcome.finish_reason = scan.finish_reason
        outcome.usage, outcome.usage_estimated = scan.usage, False
        if scan.outputs and (scan.usage is None or (not scan.complete and scan.outputs > scan.usage.output_tokens)):
            known = scan.usage.input_tokens if scan.usage is not None else 0
            outcome.usage = Usage(known or self._call.envelope.size // BYTES_A_TOKEN, scan.outputs)
            outcome.usage_estimated = True

    async def _hold_back(self, response: Response, deadline: float) -> bytes:
        """Reads until the first real output, or the end; commits; what was held back is returned, to be written."""
        connection, scan, piece = self._connection, self._scan, self._piece
        held: list[bytes] = []
        size = 0
        while True:
            if piece:
                if scan.error is not None:
                    raise self._fault_of(scan.error)
                size += len(piece)
                held.append(piece if self._translation is None else self._translated(self._translation, piece))
                if scan.output or size > MAX_HELD:
                    break
                if self._translation is not None and len(piece) >= MANY_BYTES:
                    await trio.lowlevel.checkpoint()
            if connection.reader.body_complete:
                if not scan.complete:
                    raise ConnectionBroken("the provider's stream ended before it was complete")
                break
            limit = max(deadline - trio.current_time(), 0.0)
            piece = cleaned(await connection.read_piece(limit, FirstOutputTimeout), self._hidden)
            scan.feed(piece)
        self._commit(response)
        return b"".join(held)

    def _translated(self, translation: Translation, piece: bytes) -> bytes:
        # Again: what stood behind escapes does so no more.
        return cleaned(translation.feed(piece), self._hidden)

    async def _fault(self, piece: bytes) -> None:
        """An error frame after the commit: the client that speaks the provider's format gets it as it came, any other
        what stood before it."""
        assert self._scan.error is not None
        fault = self._fault_of(self._scan.error)
        # A secret behind escapes cannot be blotted out of a piece: the client is told in the gateway's words then.
        plain = fault.frame == self._scan.error or b"\\" not in self._scan.error
        if self._translation is None and self._scan.boundary and plain:
            await self._reply.write(blotted(piece, *self._secrets))
            fault.told = True
        if self._translation is not None:
            with suppress(ProviderError):
                self._translation.feed(piece)
            if before := cleaned(b"".join(self._translation.made), self._hidden):
                await self._reply.write(before)
        raise fault

    def _fault_of(self, frame: bytes) -> StreamFault:
        return self._format.decode_stream_error(blotted(frame, *self._secrets))

    async def _end(self, piece: bytes) -> bytes:
        if self._scan.complete:
            return piece if self._translation is None else piece + self._translation.finish()
        if piece:
            await self._reply.write(piece)
        raise ConnectionBroken("the provider's stream ended before it was complete")
