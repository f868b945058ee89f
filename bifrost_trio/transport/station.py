"""The transport station: finds the route of a request and has its handler answer it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from bifrost_trio.errors import GatewayError, MethodNotAllowed, RouteNotFound
from bifrost_trio.formats import FORMATS
from bifrost_trio.transport.admission import Admission
from bifrost_trio.transport.failures import answer_error, as_gateway_error
from bifrost_trio.transport.inference import Inference
from bifrost_trio.transport.routes import InferenceRoute, Route
from bifrost_trio.types import Body, Format, Request, Sink

__all__ = ["Transport"]


class Transport:
    """The one table of routes. Whatever a handler raises becomes one answer; only cancellation passes through."""

    def __init__(
        self,
        inference: Inference,
        inference_routes: Iterable[InferenceRoute],
        routes: Iterable[Route],
        admission: Admission | None = None,
        on_refused: Callable[[str, GatewayError], None] = lambda path, error: None,
    ) -> None:
        """``on_refused`` hears of every request that never became a call: its path, empty where it had none."""
        self._on_refused = on_refused
        self._origins = admission or Admission()
        self._admission = admission if admission is not None and admission.needed else None
        self._routes: dict[str, dict[str, Route]] = {}
        for found in inference_routes:
            handler = partial(inference, found)
            self._add(Route(found.path, "POST", handler, found.format, found.native))
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        self._routes.setdefault(route.path, {})[route.method] = route

    @property
    def routes(self) -> list[Route]:
        return [route for routes in self._routes.values() for route in routes.values()]

    async def __call__(self, request: Request, body: Body, sink: Sink) -> None:
        """Answers one request. Never raises a GatewayError."""
        route: Route | None = None
        try:
            if self._admission is not None:
                if await self._preflight(self._admission, request, sink):
                    return
                sink = self._admission.readable(request, sink)
                self._check_headers(self._admission, request)
            routes = self._routes.get(request.path)
            route = (routes and routes.get(request.method)) or self._find(request)
            if not (request.plain or route.open):
                self._origins.check_origin(request)
            await route.handler(request, body, sink)
        except Exception as problem:
            error = as_gateway_error(problem)
            self._on_refused(request.path, error)
            format, native = (route.format, route.native) if route is not None else self._shape(request.path)
            await answer_error(error, sink, format, native=native, id=request.header(b"x-request-id"))
            error.forget_frames()

    async def _preflight(self, admission: Admission, request: Request, sink: Sink) -> bool:
        """Whether the request was a preflight, which is answered now."""
        routes = self._routes.get(request.path)
        if request.method != "OPTIONS" or not routes or request.header(b"access-control-request-method") is None:
            return False
        await admission.answer_preflight(request, sink, _methods(routes))
        return True

    def _check_headers(self, admission: Admission, request: Request) -> None:
        routes = self._routes.get(request.path)
        if routes and not _first(routes).open:
            admission.check(request)

    async def refuse(self, error: GatewayError, sink: Sink) -> None:
        """Answers what never became a request: a broken head, one that did not come in time, a full server."""
        self._on_refused("", error)
        await answer_error(error, sink, FORMATS["openai_chat"], native=True)

    def _find(self, request: Request) -> Route:
        routes = self._routes.get(request.path)
        if routes is None:
            raise RouteNotFound("there is no such route", code="route_not_found")
        method = request.method
        route = routes.get(method) or (routes.get("GET") if method == "HEAD" else None)
        if route is not None:
            return route
        allowed = _methods(routes)
        raise MethodNotAllowed(f"this route takes {allowed}", allowed)

    def _shape(self, path: str) -> tuple[Format, bool]:
        """In whose error shape to answer what came to no handler: the route's, or that of the SDK with its prefix."""
        routes = self._routes.get(path)
        if routes:
            route = _first(routes)
            return route.format, route.native
        if path.startswith(("/anthropic/", "/v1/messages/")):
            return FORMATS["anthropic"], False
        if path.startswith("/openai/"):
            return FORMATS["openai_chat"], False
        return FORMATS["openai_chat"], True


def _first(routes: Mapping[str, Route]) -> Route:
    return next(iter(routes.values()))


def _methods(routes: Mapping[str, Route]) -> str:
    """What a path takes, as Allow says it (RFC 9110 section 10.2.1)."""
    methods = set(routes)
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
