"""The gateway as a plain ASGI application (ASGI 3.0, HTTP and lifespan), for any server that runs on Trio."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

import trio

from bifrost_trio.errors import ClientGone, ConfigError, GatewayError, RequestTimeout
from bifrost_trio.types import Body, Headers, Request, Sink

__all__ = ["AsgiCalls", "AsgiTransport"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NO_LIFESPAN = b'{"is_bifrost_error":true,"status_code":500,"type":"internal_error","error":{"type":"internal_error",'
NO_LIFESPAN += b'"code":"no_lifespan","message":"the gateway was not started: its server must run the ASGI lifespan"}}'


class Application(Protocol):
    def __call__(self, request: Request, body: Body, sink: Sink) -> Awaitable[None]: ...
    async def refuse(self, error: GatewayError, sink: Sink) -> None: ...


class AsgiRequest:
    """A `Request` read from an ASGI scope."""

    __slots__ = ("_headers", "content_length", "method", "path", "plain", "query", "special")
    body = b""
    complete = False

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        raw_path: bytes | None = scope.get("raw_path")
        self.path: str = raw_path.decode("latin-1") if raw_path else scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self._headers: list[tuple[bytes, bytes]] = [(n.lower(), v) for n, v in scope["headers"]]
        length = self.header(b"content-length")
        self.content_length = int(length) if length is not None and length.isdigit() else None
        self.special = any(
            name.startswith((b"x-bf-", b"anthropic-", b"openai-")) or name == b"x-request-id"
            for name, _ in self._headers
        )
        names = {name for name, _ in self._headers}
        media_type = self.header(b"content-type")
        self.plain = media_type in (None, b"application/json") and not names & {b"content-encoding", b"origin"}

    def header(self, name: bytes, /) -> bytes | None:
        values = [value for known, value in self._headers if known == name]
        return b", ".join(values) if values else None

    def headers(self) -> list[tuple[bytes, bytes]]:
        return self._headers


class AsgiExchange:
    """The body of an ASGI request and the sink of its answer."""

    __slots__ = (
        "_head",
        "_limit",
        "_more",
        "_receive",
        "_send",
        "arrived_at",
        "blocked",
        "body_read",
        "ended",
        "ending",
        "left",
        "started",
    )

    def __init__(self, receive: Receive, send: Send, body_limit: float = math.inf) -> None:
        self._limit = body_limit
        self._receive = receive
        self._send = send
        self._more = True
        self._head: MutableMapping[str, Any] | None = None
        self.body_read = trio.Event()
        self.arrived_at = trio.current_time()
        self.blocked = 0.0
        self.started = False
        self.ending = False
        self.ended = False
        self.left = False

    async def receive(self) -> bytes:
        while self._more:
            try:
                with trio.fail_after(self._limit):
                    message = await self._receive()
            except trio.TooSlowError:
                raise RequestTimeout("the body of the request did not come in time", code="body_timeout") from None
            if message["type"] == "http.disconnect":
                raise ClientGone("the client closed its connection within its request")
            self.arrived_at = trio.current_time()
            self._more = message.get("more_body", False)
            piece: bytes = message.get("body", b"")
            if piece:
                return piece
        self.body_read.set()
        return b""

    async def gone(self) -> None:
        """Returns when the client has left. Waits until the body was read: there is one `receive` for both."""
        await self.body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        if status != 204:
            # RFC 9110 section 8.6: never with a 204.
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        self.start(status, headers)
        await self.finish(body)

    def start(self, status: int, headers: Headers) -> None:
        self.started = True
        self._head = {"type": "http.response.start", "status": status, "headers": [*headers]}

    async def write(self, data: bytes) -> None:
        await self._say({"type": "http.response.body", "body": data, "more_body": True})

    def write_now(self, data: bytes) -> bool:
        return False

    async def finish(self, trailer: bytes = b"") -> None:
        self.ending = True
        await self._say({"type": "http.response.body", "body": trailer, "more_body": False})
        self.ended = True

    def comment(self, head: Headers | None, data: bytes) -> bool:
        return False

    def reset(self) -> None:
        """The server resets what is not ended when the application returns; see `AsgiCalls`."""

    async def _say(self, message: MutableMapping[str, Any]) -> None:
        began = trio.current_time()
        head, self._head = self._head, None
        try:
            if head is not None:
                await self._send(head)
            await self._send(message)
        except OSError:
            self.left = True
            raise ClientGone("the client's connection broke while it was answered") from None
        finally:
            self.blocked += trio.current_time() - began


class AnswerNotWhole(GatewayError):
    """Raised to the ASGI server, so that it breaks off an answer that must not look whole."""


class AsgiCalls:
    """The calls of a running application as an ASGI application without a lifespan. WebSockets are refused."""

    def __init__(self, application: Application, *, body_limit: float = math.inf) -> None:
        """``body_limit``: seconds of silence within a request's body; servers other than our own have limits too."""
        self._application = application
        self.body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = AsgiExchange(receive, send, self.body_limit)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_gone, exchange, nursery.cancel_scope)
            await self._application(AsgiRequest(scope), exchange, exchange)
            nursery.cancel_scope.cancel()
        if exchange.started and not exchange.ended and not exchange.left:
            raise AnswerNotWhole("the answer was broken off")


async def _cancel_when_gone(exchange: AsgiExchange, scope: trio.CancelScope) -> None:
    await exchange.gone()
    if not exchange.ending:
        # A server says so as well when the answer is at its end, and may still be at work on it: within our `send`.
        scope.cancel()


class AsgiTransport:
    """``open_application`` gives the started application; the lifespan enters and leaves it."""

    def __init__(self, open_application: Callable[[], AbstractAsyncContextManager[Application]]) -> None:
        self._open = open_application
        self._calls: AsgiCalls | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._calls is not None:
            await self._calls(scope, receive, send)
        elif scope["type"] == "http":
            exchange = AsgiExchange(receive, send)
            await exchange.send(500, [(b"content-type", b"application/json")], NO_LIFESPAN)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self._open() as application:
                self._calls = AsgiCalls(application)
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except ConfigError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        finally:
            self._calls = None
        await send({"type": "lifespan.shutdown.complete"})
