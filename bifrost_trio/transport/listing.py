"""``GET /v1/models``: the models of all providers in one list, a page at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import parse_qs

import msgspec

from bifrost_trio.errors import InvalidField
from bifrost_trio.types import Body, JsonObject, Request, Sink

__all__ = ["Listing"]

MAX_PAGE = 1000
"""Models of one page at most (Anthropic's limit)."""

MAX_DIGITS = 9
"""Of a number in a query: Python raises ValueError for one of thousands of digits."""

YEAR_10000 = 253_402_300_800
"""What a provider says beyond it is no date in seconds; Anthropic's word for an unknown date is 1970."""


class Listed(Protocol):
    """One model of one provider."""

    @property
    def id(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def created(self) -> int: ...
    @property
    def owned_by(self) -> str: ...
    @property
    def display_name(self) -> str: ...


class Listing:
    """The merged list in three shapes: Bifrost's, OpenAI's, Anthropic's.

    On ``/v1`` a model is ``provider/model``. A drop-in route names its own provider's models as that provider does, so
    that a program finds the names that it knows.
    """

    def __init__(
        self, refresh: Callable[[], Awaitable[None]], models: Callable[[str | None], Sequence[Listed]]
    ) -> None:
        self._refresh = refresh
        self._models = models

    async def native(self, request: Request, body: Body, sink: Sink) -> None:
        """``?provider=&page_size=&page_token=``; ``next_page_token`` where there is more."""
        query = _query(request)
        await self._refresh()
        models = self._models(query.get("provider"))
        size = _size(query, "page_size", 0) or len(models)
        start = _offset(query.get("page_token"))
        answer: JsonObject = {
            "object": "list",
            "data": [_openai(model, model.id) for model in models[start : start + size]],
        }
        if start + size < len(models):
            answer["next_page_token"] = str(start + size)
        await _send(sink, answer)

    async def openai(self, request: Request, body: Body, sink: Sink) -> None:
        """All at once, as OpenAI's own list."""
        await self._refresh()
        data = [_openai(m, m.model if m.provider == "openai" else m.id) for m in self._models(None)]
        await _send(sink, {"object": "list", "data": data})

    async def anthropic(self, request: Request, body: Body, sink: Sink) -> None:
        """``?limit=&after_id=&before_id=`` (Anthropic, "List models")."""
        query = _query(request)
        await self._refresh()
        data = [_anthropic(m, m.model if m.provider == "anthropic" else m.id) for m in self._models(None)]
        limit = _size(query, "limit", 20)
        page, more = _page(data, limit, query.get("after_id"), query.get("before_id"))
        first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
        await _send(sink, {"data": page, "has_more": more, "first_id": first, "last_id": last})


def _page(data: list[JsonObject], limit: int, after: str | None, before: str | None) -> tuple[list[JsonObject], bool]:
    ids = [one["id"] for one in data]
    for name, value in (("after_id", after), ("before_id", before)):
        if value is not None and value not in ids:
            raise InvalidField("there is no model of this id", name)
    if before is not None:
        end = ids.index(before)
        return data[max(end - limit, 0) : end], end > limit
    start = ids.index(after) + 1 if after is not None else 0
    return data[start : start + limit], start + limit < len(data)


def _query(request: Request) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(request.query).items()}


def _size(query: dict[str, str], name: str, default: int) -> int:
    if name not in query:
        return default
    size = _number(query[name])
    if size is None or not 1 <= size <= MAX_PAGE:
        raise InvalidField(f"expected a number from 1 to {MAX_PAGE}", name)
    return size


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    offset = _number(token)
    if offset is None:
        raise InvalidField("this is no page token of this list", "page_token")
    return offset


def _number(text: str) -> int | None:
    """None for what is none, or has more than `MAX_DIGITS`."""
    return int(text) if len(text) <= MAX_DIGITS and text.isascii() and text.isdigit() else None


def _openai(model: Listed, id: str) -> JsonObject:
    return {"id": id, "object": "model", "created": model.created, "owned_by": model.owned_by or model.provider}


def _anthropic(model: Listed, id: str) -> JsonObject:
    seconds = model.created if 0 <= model.created < YEAR_10000 else 0
    created = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": id, "display_name": model.display_name or model.model, "created_at": created}


async def _send(sink: Sink, answer: JsonObject) -> None:
    await sink.send(200, [(b"content-type", b"application/json")], msgspec.json.encode(answer))
