"""The gateway inside a program: the same path without sockets on the client's side.

::

    async with Gateway("config.json") as gateway:
        answer = await gateway.chat(model="openai/gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}])
        async with gateway.stream(model="openai/gpt-4o-mini", messages=[...]) as chunks:
            async for chunk in chunks:
                ...

Answers and chunks are dicts in the shape of ``/v1``, ``extra_fields`` included. What ends a call is raised as a class
of `bifrost_trio.errors`. Cancelling the caller's own scope cancels the upstream request.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import trio

from bifrost_trio._wire import EventReader, scan
from bifrost_trio.app import RunningGateway, open_gateway
from bifrost_trio.config import Config, load
from bifrost_trio.errors import ClientGone, Draining, GatewayError, MalformedAnswer
from bifrost_trio.formats import FORMATS
from bifrost_trio.transport import ClientReply, Inference
from bifrost_trio.types import Call, Headers, JsonObject, Operation, Options, Sink, State

__all__ = ["Chunks", "Gateway"]

_FORMATS = {
    Operation.CHAT_COMPLETION: "openai_chat",
    Operation.TEXT_COMPLETION: "openai_completions",
    Operation.EMBEDDING: "openai_embeddings",
    Operation.RESPONSES: "openai_responses",
}

CLOSING_SECONDS = 1.0
"""How long calls of other tasks have for their clean-up when the gateway's block is left."""

OnError = Callable[[Call, ClientReply, GatewayError], Awaitable[None]]


class _Capture:
    """A sink that keeps a whole answer."""

    blocked = 0.0

    def __init__(self) -> None:
        self.arrived_at = trio.current_time()
        self.body = b""

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        self.body = body

    def start(self, status: int, headers: Headers) -> None: ...

    async def write(self, data: bytes) -> None:
        self.body += data

    def write_now(self, data: bytes) -> bool:
        return False

    async def finish(self, trailer: bytes = b"") -> None:
        self.body += trailer

    def comment(self, head: Headers | None, data: bytes) -> bool:
        return False

    def reset(self) -> None: ...


class _Pipe(_Capture):
    """A sink that hands a stream on, piece by piece: the reader's pace is the backpressure."""

    def __init__(self, pieces: trio.MemorySendChannel[bytes]) -> None:
        super().__init__()
        self._pieces = pieces

    async def write(self, data: bytes) -> None:
        try:
            await self._pieces.send(data)
        except trio.BrokenResourceError:
            raise ClientGone("the program stopped reading the stream") from None

    async def finish(self, trailer: bytes = b"") -> None:
        if trailer:
            await self.write(trailer)


class Chunks:
    """The chunks of one stream, as they come. Ends with the stream; raises what ended it otherwise."""

    def __init__(self, pieces: trio.MemoryReceiveChannel[bytes], call: Call) -> None:
        self._pieces = pieces
        self._events = EventReader()
        self._ready: list[JsonObject] = []
        self.call = call

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JsonObject:
        while not self._ready:
            try:
                piece = await self._pieces.receive()
            except trio.EndOfChannel:
                outcome = self.call.outcome
                if outcome.error is not None:
                    raise outcome.error from None
                if outcome.state is not State.DONE:
                    raise RuntimeError("the block of this stream was left before its end") from None
                raise StopAsyncIteration from None
            chunks = [_chunk(data) for _, data, _ in self._events.feed(piece)]
            self._ready = [chunk for chunk in reversed(chunks) if chunk is not None]
        return self._ready.pop()


def _chunk(data: bytes) -> JsonObject | None:
    """None for what is no chunk: the end, an empty event, or an error that the provider told, which is raised then."""
    if data in (b"", b"[DONE]"):
        return None
    try:
        chunk = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedAnswer("an event of the provider's stream is not JSON") from error
    if not isinstance(chunk, dict):
        raise MalformedAnswer("an event of the provider's stream is not a JSON object")
    return None if chunk.get("error") else chunk


class Gateway:
    """A gateway for the program that enters it. ``config``: a `Config`, its content as a dict, or a file's path.

    Without one the providers come from the usual environment variables. Raises ConfigError when entered, RuntimeError
    outside of Trio.
    """

    def __init__(self, config: Config | Mapping[str, Any] | Path | str | None = None, **options: Any) -> None:
        self._config = config
        self._options = options
        self._exits = AsyncExitStack()
        self._running: RunningGateway | None = None
        self._calls: set[trio.CancelScope] = set()
        self._last = trio.Event()

    async def __aenter__(self) -> Self:
        if not trio.lowlevel.in_trio_run():
            raise RuntimeError("Gateway runs under Trio: start the program with trio.run(...), not asyncio.run(...)")
        self._running = await self._exits.enter_async_context(open_gateway(self._load(), **self._options))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self._running = None
        if self._calls:
            await self._end_calls()
        return await self._exits.__aexit__(kind, error, traceback)

    async def _end_calls(self) -> None:
        """Calls of other tasks: without the gateway's sockets they would wait for ever."""
        self._last = trio.Event()
        for scope in self._calls:
            scope.cancel()
        with trio.move_on_after(CLOSING_SECONDS, shield=True):
            await self._last.wait()

    def _load(self) -> Config:
        if isinstance(self._config, Config):
            return self._config
        if isinstance(self._config, Mapping):
            return Config.from_dict(dict(self._config), os.environ)
        return load(Path(self._config) if self._config is not None else None, os.environ)

    async def chat(
        self, *, model: str, messages: Sequence[JsonObject], options: Options | None = None, **parameters: Any
    ) -> JsonObject:
        """A chat completion. ``parameters`` are those of ``POST /v1/chat/completions``. Raises GatewayError."""
        return await self._whole(
            Operation.CHAT_COMPLETION, {"model": model, "messages": messages} | parameters, options
        )

    async def complete(
        self, *, model: str, prompt: Any, options: Options | None = None, **parameters: Any
    ) -> JsonObject:
        """A text completion. Raises GatewayError."""
        return await self._whole(Operation.TEXT_COMPLETION, {"model": model, "prompt": prompt} | parameters, options)

    async def embed(self, *, model: str, input: Any, options: Options | None = None, **parameters: Any) -> JsonObject:
        """Embeddings. Raises GatewayError."""
        return await self._whole(Operation.EMBEDDING, {"model": model, "input": input} | parameters, options)

    async def respond(self, *, model: str, input: Any, options: Options | None = None, **parameters: Any) -> JsonObject:
        """A response of OpenAI's Responses API. Raises GatewayError."""
        return await self._whole(Operation.RESPONSES, {"model": model, "input": input} | parameters, options)

    @asynccontextmanager
    async def stream(
        self, *, model: str, messages: Sequence[JsonObject], options: Options | None = None, **parameters: Any
    ) -> AsyncIterator[Chunks]:
        """A chat completion as a stream. Leaving the block early cancels the upstream request."""
        body = {"model": model, "messages": messages} | parameters | {"stream": True}
        call = self._call(Operation.CHAT_COMPLETION, body, options)
        inference = self.running.assembly.inference
        send, receive = trio.open_memory_channel[bytes](0)
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._feed, inference, call, send)
            try:
                yield Chunks(receive, call)
            except Exception as error:
                # Raised behind the nursery: what the block raised is not to arrive as a group of one.
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _feed(self, inference: Inference, call: Call, pieces: trio.MemorySendChannel[bytes]) -> None:
        async with pieces:
            await self._run(inference, call, _Pipe(pieces), _keep)

    async def _whole(self, operation: Operation, body: JsonObject, options: Options | None) -> JsonObject:
        if body.get("stream"):
            raise ValueError("stream=True belongs to Gateway.stream()")
        call = self._call(operation, body, options)
        capture = _Capture()
        await self._run(self.running.assembly.inference, call, capture, _raise)
        answer: JsonObject = msgspec.json.decode(capture.body)
        return answer

    async def _run(self, inference: Inference, call: Call, sink: Sink, on_error: OnError) -> None:
        reply = ClientReply(call, sink)
        with trio.CancelScope() as scope:
            self._calls.add(scope)
            try:
                await inference.run(call, reply, on_error)
            finally:
                self._calls.discard(scope)
                if not self._calls:
                    self._last.set()
        if scope.cancelled_caught:
            call.outcome.error = Draining("the gateway was closed while it served this call")
            await on_error(call, reply, call.outcome.error)

    def _call(self, operation: Operation, body: JsonObject, options: Options | None) -> Call:
        data = msgspec.json.encode(body)
        return Call(
            operation, FORMATS[_FORMATS[operation]], None, data, scan(data), trio.current_time(), options=options
        )

    @property
    def running(self) -> RunningGateway:
        """The gateway behind it, for its statistics and for `RunningGateway.use`. Raises RuntimeError when not open."""
        if self._running is None:
            raise RuntimeError("the gateway is not open: use `async with Gateway(...) as gateway`")
        return self._running


async def _raise(call: Call, reply: ClientReply, error: GatewayError) -> None:
    raise error


async def _keep(call: Call, reply: ClientReply, error: GatewayError) -> None:
    """The reader of the chunks finds the error in the outcome."""
