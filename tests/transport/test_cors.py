"""Pages of other origins (Fetch standard, "CORS protocol"): who may call, and what the browser is told of it."""

from __future__ import annotations

from typing import Any

import pytest
import trio.testing

from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.testing import ScriptedUpstream, gateway_in_memory

PAGE = "https://app.example"
OTHER = "https://evil.example"
CHAT = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
SETTINGS = {"client": {"allowed_origins": [PAGE, "http://localhost:3000"], "allowed_headers": ["x-my-header"]}}
ANY = {"client": {"allowed_origins": ["*"]}}


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {"origin": origin, "access-control-request-method": method, "access-control-request-headers": "content-type"}


@pytest.mark.parametrize(
    ("settings", "origin", "allowed"),
    [(SETTINGS, PAGE, PAGE), (SETTINGS, "http://localhost:3000", "http://localhost:3000"), (ANY, OTHER, "*")],
    ids=["the first", "the second", "any"],
)
@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/chat/completions", "POST"),
        ("/anthropic/v1/messages", "POST"),
        ("/v1/models", "GET, HEAD"),
        ("/health", "GET, HEAD"),
    ],
)
async def test_a_preflight(
    settings: dict[str, Any],
    origin: str,
    allowed: str,
    path: str,
    methods: str,
    autojump_clock: trio.testing.MockClock,
) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(settings, upstream) as gateway:
        client = gateway.client()
        answer = await client.request("OPTIONS", path, headers=preflight(origin))
        assert (answer.status, answer.body) == (204, b"")
        assert "content-length" not in answer.headers
        assert answer.headers["access-control-allow-origin"] == allowed
        assert answer.headers["access-control-allow-methods"] == methods
        assert int(answer.headers["access-control-max-age"]) > 0
        assert "origin" in answer.headers["vary"]
        told = answer.headers["access-control-allow-headers"].split(", ")
        assert {"authorization", "content-type", "x-api-key", "anthropic-version"} <= set(told)
        assert ("x-my-header" in told) == (settings is SETTINGS)
        # A preflight is no call; the request itself follows on the same connection.
        assert upstream.requests == []
        assert (await client.get("/health", {"origin": origin})).status == 200


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        (OTHER, "another host"),
        ("http://app.example", "another scheme"),
        (PAGE + ":8443", "another port"),
        (PAGE + ".evil.example", "a name that begins the same"),
        ("null", "a sandboxed page"),
    ],
)
async def test_a_preflight_that_is_denied(origin: str, why: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(SETTINGS) as gateway:
        answer = await gateway.client().request("OPTIONS", "/v1/chat/completions", headers=preflight(origin))
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("settings", "path", "headers", "status"),
    [
        (SETTINGS, "/nothing", preflight(PAGE), 404),
        (SETTINGS, "/v1/chat/completions", {"origin": PAGE}, 405),
        (SETTINGS, "/v1/chat/completions", {}, 405),
        (None, "/v1/chat/completions", preflight(PAGE), 405),
    ],
    ids=["no route", "no preflight", "no page", "no pages at all"],
)
async def test_options_that_are_no_preflight(
    settings: dict[str, Any] | None,
    path: str,
    headers: dict[str, str],
    status: int,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with gateway_in_memory(settings) as gateway:
        answer = await gateway.client().request("OPTIONS", path, headers=headers)
        assert answer.status == status
        if status == 405:
            assert answer.headers["allow"] == "POST"


async def test_a_preflight_needs_no_required_header(autojump_clock: trio.testing.MockClock) -> None:
    """A browser sends none of the page's headers with it."""
    settings = {"client": {**SETTINGS["client"], "required_headers": ["x-team"]}}
    async with gateway_in_memory(settings) as gateway:
        client = gateway.client()
        answer = await client.request("OPTIONS", "/v1/chat/completions", headers=preflight(PAGE))
        assert answer.status == 204
        answer = await client.post("/v1/chat/completions", CHAT, {"origin": PAGE})
        assert answer.status == 400
        # The page may read why.
        assert answer.headers["access-control-allow-origin"] == PAGE


REQUESTS: dict[str, tuple[str, Any, int]] = {
    "whole": ("/v1/chat/completions", CHAT, 200),
    "drop-in": ("/anthropic/v1/messages", {**CHAT, "max_tokens": 9}, 200),
    "stream": ("/v1/chat/completions", {**CHAT, "stream": True}, 200),
    "translated stream": ("/anthropic/v1/messages", {**CHAT, "max_tokens": 9, "stream": True}, 200),
    "bad body": ("/v1/chat/completions", b"{", 400),
    "the provider's error": ("/v1/chat/completions", {**CHAT, "model": "openai/mock-400"}, 400),
    "the provider's error, drop-in": ("/openai/v1/chat/completions", {**CHAT, "model": "openai/mock-400"}, 400),
    "unknown route": ("/v1/nothing", {}, 404),
}


@pytest.mark.parametrize(("path", "data", "status"), REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize(
    ("settings", "origin", "allowed"),
    [
        (SETTINGS, PAGE, PAGE),
        (SETTINGS, OTHER, None),
        (SETTINGS, None, None),
        (ANY, OTHER, "*"),
        (ANY, None, None),
        (None, PAGE, None),
    ],
    ids=["allowed", "denied", "no page", "any", "any, but no page", "no pages at all"],
)
async def test_a_request(
    path: str,
    data: Any,
    status: int,
    settings: dict[str, Any] | None,
    origin: str | None,
    allowed: str | None,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A page that may not call is refused before it costs anything: its browser would only hide the answer from it."""
    upstream = ScriptedUpstream()
    async with gateway_in_memory(settings, upstream) as gateway:
        answer = await gateway.client().post(path, data, {"origin": origin} if origin else {})
        if origin and not allowed and status != 404:
            assert (answer.status, upstream.requests) == (403, [])
        else:
            assert answer.status == status
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert ("access-control-expose-headers" in answer.headers) == (allowed is not None)
        await gateway.quiet()


async def test_a_stream_that_waits_and_one_that_breaks_off(autojump_clock: trio.testing.MockClock) -> None:
    """The head that goes out with the first comment has the page's headers too."""
    upstream = ScriptedUpstream("first-output=12 cut-chunk=2")
    async with gateway_in_memory(SETTINGS, upstream) as gateway:
        client = gateway.client()
        async with client.stream("/v1/chat/completions", {**CHAT, "stream": True}, {"origin": PAGE}) as stream:
            assert stream.headers["access-control-allow-origin"] == PAGE
            with pytest.raises(ConnectionBroken):
                await stream.read_to_end()
        await gateway.quiet()
