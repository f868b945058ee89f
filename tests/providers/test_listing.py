"""A provider's own list of models."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import (
    ConnectionBroken,
    FirstOutputTimeout,
    GatewayError,
    MalformedAnswer,
    ProviderFault,
    TotalTimeout,
)
from bifrost_trio.testing import End, Pause, Script, whole
from tests.providers.attempt import KEY, SECRET, bench

LISTS: dict[str, tuple[Any, list[tuple[str, int, str, str]]]] = {
    "OpenAI's": (
        {"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1715, "owned_by": "system"}]},
        [("gpt-4o", 1715, "system", "")],
    ),
    "Anthropic's": (
        {"data": [{"type": "model", "id": "claude", "display_name": "Claude", "created_at": "2025-01-02T00:00:00Z"}]},
        [("claude", 1735776000, "", "Claude")],
    ),
    "a bare list": ([{"id": "a"}, {"id": "b", "name": "B"}], [("a", 0, "", ""), ("b", 0, "", "B")]),
    "odd members": (
        {"data": [{"id": "a", "created": "yesterday", "owned_by": None, "created_at": "soon"}]},
        [("a", 0, "", "")],
    ),
    "a date before all dates": ({"data": [{"id": "a", "created_at": "0001-01-01"}]}, [("a", 0, "", "")]),
    "none": ({"data": []}, []),
}


@pytest.mark.parametrize(("body", "expected"), LISTS.values(), ids=LISTS)
async def test_a_list(
    body: Any, expected: list[tuple[str, int, str, str]], autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(whole(body)) as b:
        found = await b.provider.list_models(KEY)
        assert [(m.model, m.created, m.owned_by, m.display_name) for m in found] == expected
        assert all(model.id == f"openai/{model.model}" for model in found)
        assert (b.sent.method, b.sent.path, b.sent.body) == ("GET", "/v1/models", b"")
        assert b.sent.header("authorization") == f"Bearer {SECRET}"
        assert b.idle == 1


async def test_without_a_key(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(whole({"data": []})) as b:
        assert await b.provider.list_models(None) == []
        assert b.sent.header("authorization") is None


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"
BAD: dict[str, tuple[Script, type[GatewayError]]] = {
    **{f"status {status}": (whole({}, status=status), ProviderFault) for status in (302, 401, 404, 429, 500)},
    "no JSON": (whole(b"<html>"), MalformedAnswer),
    "no list": (whole({"models": []}), MalformedAnswer),
    "null": (whole({"data": None}), MalformedAnswer),
    "names alone": (whole({"data": ["a", "b"]}), MalformedAnswer),
    "without ids": (whole({"data": [{"name": "a"}]}), MalformedAnswer),
    "a number": (whole(7), MalformedAnswer),
    "cut": (Script([HEAD], End.CLOSE), ConnectionBroken),
    "silence": (Script([], End.STALL), FirstOutputTimeout),
    "half": (Script([Pause(3), HEAD], End.STALL), TotalTimeout),
}


@pytest.mark.parametrize(("script", "error"), BAD.values(), ids=BAD)
async def test_what_is_no_list(
    script: Script, error: type[GatewayError], autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(script) as b:
        with pytest.raises(error):
            await b.provider.list_models(KEY)
        assert trio.current_time() <= 10.1
        assert b.at_home()


async def test_a_provider_that_has_none(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(whole({}), name="databricks") as b:
        assert await b.provider.list_models(KEY) == []
        assert b.upstream.requests == []
