"""What a request needs before it is served: headers that the configuration asks for, and a page's origin (CORS)."""

from __future__ import annotations

from collections.abc import Sequence

from bifrost_trio.errors import Forbidden, InvalidField
from bifrost_trio.types import Headers, Request, Sink

__all__ = ["Admission", "CorsSink"]

USUAL_HEADERS = ("authorization", "content-type", "x-api-key", "x-requested-with", "anthropic-version")
"""Request headers that the SDKs send from a browser."""

PREFLIGHT_SECONDS = b"600"
"""How long a browser may remember a preflight's answer."""


class Admission:
    """``required`` headers, and the ``origins`` whose pages may call (``*`` for any) with which ``headers``."""

    def __init__(self, required: Sequence[str] = (), origins: Sequence[str] = (), headers: Sequence[str] = ()) -> None:
        self._required = [name.lower().encode("ascii") for name in required]
        self._origins = frozenset(origin.encode("ascii") for origin in origins)
        self._headers = ", ".join(dict.fromkeys([*USUAL_HEADERS, *headers])).encode("ascii")

    @property
    def needed(self) -> bool:
        return bool(self._required or self._origins)

    def check(self, request: Request) -> None:
        """Raises InvalidField for the first required header that is missing."""
        for name in self._required:
            if request.header(name) is None:
                raise InvalidField("this header is required", name.decode("ascii"), "missing_required_header")

    def check_origin(self, request: Request) -> None:
        """Raises Forbidden for a web page's request from an origin that may not call.

        Browsers send a page's POST without asking first where it looks like a form's, and only hide the answer (Fetch
        standard, "simple requests"): any page could spend the keys of a gateway on its reader's machine.
        """
        if request.header(b"origin") is not None and self.allowed_origin(request) is None:
            raise Forbidden("pages of this origin may not call this gateway (client.allowed_origins)", param="origin")

    def allowed_origin(self, request: Request) -> bytes | None:
        """The value of Access-Control-Allow-Origin; None where the request comes from no page that may call."""
        origin = request.header(b"origin")
        if origin is None or not self._origins:
            return None
        if b"*" in self._origins:
            return b"*"
        return origin if origin in self._origins else None

    def readable(self, request: Request, sink: Sink) -> Sink:
        """The sink whose answer, be it an error, the page may read; for a request from no such page the same one."""
        origin = self.allowed_origin(request)
        return sink if origin is None else CorsSink(sink, origin)

    async def answer_preflight(self, request: Request, sink: Sink, methods: str) -> None:
        """Answers OPTIONS for a route (Fetch standard, "CORS-preflight request"). Raises Forbidden."""
        origin = self.allowed_origin(request)
        if origin is None:
            raise Forbidden("pages of this origin may not call this gateway", param="origin")
        headers = [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", methods.encode("ascii")),
            (b"access-control-allow-headers", self._headers),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
            (b"vary", b"origin"),
        ]
        await sink.send(204, headers, b"")


class CorsSink:
    """A sink that tells the browser that the page may read the answer."""

    __slots__ = ("_added", "_sink")

    def __init__(self, sink: Sink, origin: bytes) -> None:
        self._sink = sink
        self._added = [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"*"),
            (b"vary", b"origin"),
        ]

    @property
    def arrived_at(self) -> float:
        return self._sink.arrived_at

    @property
    def blocked(self) -> float:
        return self._sink.blocked

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        await self._sink.send(status, [*headers, *self._added], body)

    def start(self, status: int, headers: Headers) -> None:
        self._sink.start(status, [*headers, *self._added])

    async def write(self, data: bytes) -> None:
        await self._sink.write(data)

    def write_now(self, data: bytes) -> bool:
        return self._sink.write_now(data)

    async def finish(self, trailer: bytes = b"") -> None:
        await self._sink.finish(trailer)

    def comment(self, head: Headers | None, data: bytes) -> bool:
        return self._sink.comment(None if head is None else [*head, *self._added], data)

    def reset(self) -> None:
        self._sink.reset()
