"""Replies that let hooks see and change what goes to the client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

from bifrost_trio._wire import EventReader
from bifrost_trio.errors import GatewayError
from bifrost_trio.formats.codec import encode
from bifrost_trio.plugins.plugin import Answer
from bifrost_trio.plugins.replay import as_chunks
from bifrost_trio.types import Call, Headers, JsonObject, Reply

__all__ = ["AnswerReply", "ChunkReply", "rendered", "write_rendered"]

JSON: Headers = ((b"content-type", b"application/json"),)
EVENT_STREAM: Headers = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))


class _Through:
    """A reply that hands everything on; the ones below change one thing each."""

    __slots__ = ("_reply",)

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        await self._reply.send(status, headers, body)

    def start(self, status: int, headers: Headers) -> None:
        self._reply.start(status, headers)

    async def write(self, data: bytes) -> None:
        await self._reply.write(data)

    def write_now(self, data: bytes) -> bool:
        return self._reply.write_now(data)

    async def finish(self, trailer: bytes = b"") -> None:
        await self._reply.finish(trailer)

    async def fail(self, error: GatewayError) -> None:
        await self._reply.fail(error)

    def claim(self) -> None:
        self._reply.claim()


class AnswerReply(_Through):
    """Shows a whole answer to ``change`` before it is sent."""

    __slots__ = ("_call", "_change")

    def __init__(self, call: Call, reply: Reply, change: Callable[[Answer], Awaitable[None]]) -> None:
        super().__init__(reply)
        self._call = call
        self._change = change

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        answer = Answer(body=body, format=self._call.format)
        await self._change(answer)
        if answer.changed:
            body = encode(self._call.format.encode_answer(answer.common))
        await self._reply.send(status, headers, body)


class ChunkReply(_Through):
    """Shows each chunk of a stream to ``change``; the stream is decoded and encoded again for it."""

    __slots__ = ("_change", "_decoder", "_encoder", "_events")

    def __init__(self, call: Call, reply: Reply, change: Callable[[JsonObject], JsonObject | None]) -> None:
        super().__init__(reply)
        self._change = change
        self._events = EventReader()
        self._decoder = call.format.stream_decoder()
        self._encoder = call.format.stream_encoder(call.request)

    async def write(self, data: bytes) -> None:
        out: list[bytes] = []
        try:
            self._feed(data, out)
        finally:
            # Also when an error stands behind them in the same piece.
            if out:
                await self._reply.write(b"".join(out))

    def write_now(self, data: bytes) -> bool:
        # A hook may raise with a half of the piece changed; `write` sees to that.
        return False

    async def finish(self, trailer: bytes = b"") -> None:
        out: list[bytes] = []
        self._feed(trailer, out)
        out += self._changed(self._decoder.finish())
        await self._reply.finish(b"".join(out) + self._encoder.finish())

    def _feed(self, data: bytes, out: list[bytes]) -> None:
        for event, frame, _ in self._events.feed(data):
            out.extend(self._changed(self._decoder.decode(event, frame)))

    def _changed(self, chunks: Iterable[JsonObject]) -> Iterator[bytes]:
        for chunk in chunks:
            changed = self._change(chunk)
            if changed is not None:
                yield self._encoder.encode(changed)


def rendered(call: Call, answer: Answer) -> bytes:
    """An answer that a plugin made, whole or as the stream that the client asked for.

    Raises whatever comes of an answer that is none.
    """
    if not call.stream:
        return answer.body or encode(call.format.encode_answer(answer.common))
    encoder = call.format.stream_encoder(call.request)
    frames = [encoder.encode(chunk) for chunk in as_chunks(call.operation, answer.common)]
    return b"".join(frames) + encoder.finish()


async def write_rendered(call: Call, reply: Reply, data: bytes) -> None:
    reply.claim()
    if call.stream:
        reply.start(200, EVENT_STREAM)
        await reply.finish(data)
    else:
        await reply.send(200, JSON, data)
