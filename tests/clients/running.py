"""A gateway on a port, and both SDKs in front of it, sync and async, with their bytes written down."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, TypeAlias

import anthropic
import httpx2
import openai
import pytest
import trio

from bifrost_trio.mock import MockProvider
from bifrost_trio.sockets import listen
from bifrost_trio.testing import MemoryGateway, PlayedAnswer, ScriptedUpstream, gateway_in_memory

__all__ = [
    "MANNERS",
    "SDK_WARNINGS",
    "Manner",
    "Scene",
    "Sdk",
    "Served",
    "Wire",
    "gateway_on_a_port",
    "open_sdk",
    "sdk_before_a_gateway",
]

Manner: TypeAlias = Literal["sync", "async"]
MANNERS: tuple[Manner, ...] = ("sync", "async")

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here is encrypted; the SDK's own choice would read the system's certificates for every client."""


def _ignore(warning: str) -> pytest.MarkDecorator:
    return pytest.mark.filterwarnings(f"ignore:{warning}")


SDK_WARNINGS = [
    # A stream of the async SDKs leaves generators of its own unfinished, even when it is read to its end.
    _ignore("Async generator '(anthropic|httpcore2|httpx2|openai):ResourceWarning"),
    # The recordings ask for models that Anthropic has announced the end of.
    _ignore("The model:DeprecationWarning"),
]
"""The SDKs' own."""


class Wire:
    """The last exchange of an SDK as bytes: what it ``sent`` and what it ``received`` as bodies, and both heads."""

    def __init__(self) -> None:
        self.sent = b""
        self.sent_headers = httpx2.Headers()
        self.received = bytearray()
        self.status = 0
        self.headers = httpx2.Headers()

    def begin(self, request: httpx2.Request, response: httpx2.Response) -> None:
        self.sent = request.content
        self.sent_headers = request.headers
        self.received = bytearray()
        self.status = response.status_code
        self.headers = response.headers


class Overheard(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The body of an answer, written down as it passes."""

    def __init__(self, stream: Any, received: bytearray) -> None:
        self._stream = stream
        self._received = received

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._received += piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._received += piece
            yield piece

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()


class SyncEar(httpx2.HTTPTransport):
    def __init__(self, wire: Wire) -> None:
        super().__init__(verify=NO_TLS, trust_env=False)
        self._wire = wire

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        self._wire.begin(request, response)
        response.stream = Overheard(response.stream, self._wire.received)
        return response


class AsyncEar(httpx2.AsyncHTTPTransport):
    def __init__(self, wire: Wire) -> None:
        super().__init__(verify=NO_TLS, trust_env=False)
        self._wire = wire

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        self._wire.begin(request, response)
        response.stream = Overheard(response.stream, self._wire.received)
        return response


class Sdk:
    """The clients of both SDKs in one manner. What is called runs on Trio, or in a thread if it is sync.

    Neither client tries again by itself: what a test sees is what the gateway did.
    """

    def __init__(self, url: str, manner: Manner, wire: Wire, http: Any) -> None:
        self.manner = manner
        self.wire = wire
        kinds: tuple[Any, Any] = (openai.OpenAI, anthropic.Anthropic)
        if manner == "async":
            kinds = (openai.AsyncOpenAI, anthropic.AsyncAnthropic)
        settings = {"api_key": "sk-of-the-client", "http_client": http, "max_retries": 0}
        self.openai: Any = kinds[0](base_url=f"{url}/openai/v1", **settings)
        self.native: Any = kinds[0](base_url=f"{url}/v1", **settings)
        self.anthropic: Any = kinds[1](base_url=f"{url}/anthropic", **settings)

    async def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """What the function gives."""
        if self.manner == "async":
            return await function(*args, **kwargs)
        return await trio.to_thread.run_sync(partial(function, *args, **kwargs))

    async def collect(self, function: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """All that is in what the function gives: events of a stream, models of all pages."""
        if self.manner == "async":
            found = function(*args, **kwargs)
            return [one async for one in (await found if hasattr(found, "__await__") else found)]
        return await trio.to_thread.run_sync(lambda: list(function(*args, **kwargs)))

    async def final(self, manager: Any, getter: str, **kwargs: Any) -> Any:
        """What a helper for streams (a context manager) has put together when its stream has ended."""
        if self.manner == "async":
            async with manager(**kwargs) as stream:
                return await getattr(stream, getter)()

        def read() -> Any:
            with manager(**kwargs) as stream:
                return getattr(stream, getter)()

        return await trio.to_thread.run_sync(read)

    async def first_pieces(self, count: int, function: Any, **kwargs: Any) -> list[Any]:
        """Of a stream, which is then closed."""
        if self.manner == "async":
            async with await function(**kwargs) as stream:
                return [await anext(stream) for _ in range(count)]

        def read() -> list[Any]:
            with function(**kwargs) as stream:
                return [next(stream) for _ in range(count)]

        return await trio.to_thread.run_sync(read)

    async def pieces_until_it_breaks(self, function: Any, **kwargs: Any) -> tuple[list[Any], Exception | None]:
        """What came of a stream, and what the SDK raised at its end."""
        pieces: list[Any] = []

        def read() -> Exception | None:
            try:
                pieces.extend(iter(function(**kwargs)))
            except (openai.APIError, anthropic.APIError, httpx2.HTTPError) as error:
                return error
            return None

        if self.manner == "sync":
            return pieces, await trio.to_thread.run_sync(read)
        try:
            async for piece in await function(**kwargs):
                pieces.append(piece)
        except (openai.APIError, anthropic.APIError, httpx2.HTTPError) as error:
            return pieces, error
        return pieces, None


@asynccontextmanager
async def open_sdk(url: str, manner: Manner) -> AsyncIterator[Sdk]:
    wire = Wire()
    if manner == "sync":
        with httpx2.Client(transport=SyncEar(wire), trust_env=False) as http:
            yield Sdk(url, manner, wire, http)
    else:
        async with httpx2.AsyncClient(transport=AsyncEar(wire), trust_env=False) as async_http:
            yield Sdk(url, manner, wire, async_http)


class Served:
    """A gateway that serves on ``url``; ``memory`` is the same without the port."""

    def __init__(self, memory: MemoryGateway, upstream: ScriptedUpstream, url: str) -> None:
        self.memory = memory
        self.upstream = upstream
        self.url = url


@asynccontextmanager
async def gateway_on_a_port(upstream: ScriptedUpstream, settings: Mapping[str, Any]) -> AsyncIterator[Served]:
    """Raises what the block raises, as it is."""
    failure: Exception | None = None
    async with gateway_in_memory(settings, upstream) as memory, trio.open_nursery() as nursery:
        [listener] = listen("127.0.0.1", 0)
        await nursery.start(memory.server.serve, [listener])
        try:
            yield Served(memory, upstream, f"http://127.0.0.1:{listener.getsockname()[1]}")
        except Exception as error:
            failure = error
        nursery.cancel_scope.cancel()
        listener.close()
    if failure is not None:
        raise failure


@asynccontextmanager
async def sdk_before_a_gateway(
    upstream: ScriptedUpstream, settings: Mapping[str, Any], manner: Manner
) -> AsyncIterator[Sdk]:
    """Asserts at the end that the gateway has everything back."""
    async with gateway_on_a_port(upstream, settings) as served:
        async with open_sdk(served.url, manner) as sdk:
            yield sdk
        await served.memory.quiet()


class Scene:
    """A client's SDK, the gateway, and ``provider`` behind it: a mock, or what `answers` says.

    ``model`` is what the client asks for.
    """

    def __init__(self, sdk: Sdk, served: Served, provider: str) -> None:
        self.sdk = sdk
        self.url = served.url
        self.memory = served.memory
        self.upstream = served.upstream
        self.provider = provider
        self.model = f"{provider}/mock-1"

    def answers(self, *answers: PlayedAnswer) -> None:
        """From the next request on."""
        self.upstream.requests.clear()
        self.upstream.answers = [MockProvider(one) if isinstance(one, str) else one for one in answers]

    @property
    def asked(self) -> Any:
        """What the provider was asked last."""
        return self.upstream.requests[-1].json
