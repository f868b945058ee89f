"""What a client's headers ask for, and what of them goes on to the provider."""

from __future__ import annotations

from typing import Any

import pytest
import trio.testing

from bifrost_trio.testing import ScriptedUpstream, gateway_in_memory

CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
PATH = "/v1/chat/completions"
KEYS = [
    {"id": "id-a", "name": "first", "value": "sk-first", "models": ["*"], "weight": 1},
    {"id": "id-b", "name": "second", "value": "sk-second", "models": ["*"], "weight": 1},
    {"id": "id-c", "name": "narrow", "value": "sk-narrow", "models": ["gpt-x"], "weight": 1},
]
SETTINGS: dict[str, Any] = {"providers": {"openai": {"keys": KEYS}, "anthropic": {}}}

PINNED = {
    "by name": ({"x-bf-api-key": "second"}, "Bearer sk-second"),
    "by id": ({"x-bf-api-key-id": "id-a"}, "Bearer sk-first"),
    "name in capitals": ({"X-BF-API-KEY": "second"}, "Bearer sk-second"),
}


@pytest.mark.parametrize(("headers", "shown"), PINNED.values(), ids=PINNED)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_pinned_key(
    headers: dict[str, str], shown: str, stream: bool, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(SETTINGS, upstream) as gateway:
        for _ in range(8):
            answer = await gateway.client().post(PATH, {**CHAT, "stream": stream}, headers)
            assert answer.status == 200
        assert {request.header("authorization") for request in upstream.requests} == {shown}


BAD = {
    "a name that nobody has": ({"x-bf-api-key": "third"}, "x-bf-api-key"),
    "an id that nobody has": ({"x-bf-api-key-id": "id-z"}, "x-bf-api-key-id"),
    "an empty name": ({"x-bf-api-key": ""}, "x-bf-api-key"),
    "an empty id": ({"x-bf-api-key-id": ""}, "x-bf-api-key-id"),
    "a flag that is none": ({"x-bf-send-back-raw-response": "1"}, "x-bf-send-back-raw-response"),
    "an empty flag": ({"x-bf-send-back-raw-request": ""}, "x-bf-send-back-raw-request"),
    "a session": ({"x-bf-session-id": "s"}, "x-bf-session-id"),
    "an asynchronous call": ({"x-bf-async": "true"}, "x-bf-async"),
    "no name behind the prefix": ({"x-bf-eh-": "x"}, "x-bf-eh-"),
}


@pytest.mark.parametrize(("headers", "param"), BAD.values(), ids=BAD)
async def test_what_means_nothing_is_refused(
    headers: dict[str, str], param: str, autojump_clock: trio.testing.MockClock
) -> None:
    """A call without the effect that was asked for is another call."""
    upstream = ScriptedUpstream()
    async with gateway_in_memory(SETTINGS, upstream) as gateway:
        answer = await gateway.client().post(PATH, CHAT, headers)
        assert (answer.status, answer.json["error"]["param"]) == (400, param)
        assert upstream.requests == []


async def test_other_headers_of_that_prefix_are_nobody_s_business(autojump_clock: trio.testing.MockClock) -> None:
    """Such as dimensions for metrics, or what a later version knows."""
    upstream = ScriptedUpstream()
    async with gateway_in_memory(SETTINGS, upstream) as gateway:
        headers = {"x-bf-dim-team": "a", "x-bf-of-the-future": "b", "x-other": "c"}
        assert (await gateway.client().post(PATH, CHAT, headers)).status == 200
        sent = {name for name, _ in upstream.requests[0].headers}
        assert not {name.encode() for name in headers} & sent


# --- headers for the provider -----------------------------------------------------------------------------------------

FILTERS: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "no filter": ({}, ["x-trace", "anything"], []),
    "allowed alone": ({"allowlist": ["x-trace"]}, ["x-trace"], ["x-tracer", "anything"]),
    "a pattern": ({"allowlist": ["x-*"]}, ["x-trace", "x-other"], ["anything"]),
    "denied alone": ({"denylist": ["x-secret"]}, ["x-trace"], ["x-secret"]),
    "the denial wins": ({"allowlist": ["x-*"], "denylist": ["x-secret*"]}, ["x-trace"], ["x-secret", "x-secrets"]),
    "denied however it is spelled": (
        {"denylist": ["x-a-b", "x_c_*"]},
        ["x_trace"],
        ["x_a_b", "x-a_b", "x-c-d", "x_c_d"],
    ),
}


@pytest.mark.parametrize(("filter_", "allowed", "denied"), FILTERS.values(), ids=FILTERS)
async def test_who_may_send_what_on(
    filter_: dict[str, Any], allowed: list[str], denied: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream()
    settings = {**SETTINGS, "client": {"header_filter_config": filter_}}
    async with gateway_in_memory(settings, upstream) as gateway:
        for name in allowed:
            answer = await gateway.client().post(PATH, CHAT, {f"x-bf-eh-{name}": "a b; c"})
            assert answer.status == 200
            assert upstream.requests[-1].header(name) == "a b; c"
        for name in denied:
            answer = await gateway.client().post(PATH, CHAT, {f"X-Bf-Eh-{name.upper()}": "x"})
            assert (answer.status, answer.json["error"]["param"]) == (400, f"x-bf-eh-{name}")
        # What one caller sends on goes with no other's request.
        assert (await gateway.client().post(PATH, CHAT)).status == 200
        assert not [name for name in allowed if upstream.requests[-1].header(name)]


OWN = ["authorization", "host", "content-length", "transfer-encoding", "connection", "x-api-key", "cookie", "api-key"]


@pytest.mark.parametrize("name", OWN)
async def test_nobody_speaks_for_the_gateway(name: str, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(SETTINGS, upstream) as gateway:
        answer = await gateway.client().post(PATH, CHAT, {f"x-bf-eh-{name}": "mine"})
        assert answer.status in (200, 400)
        for request in upstream.requests:
            assert b"mine" not in [value for _, value in request.headers]


LANGUAGES = {
    "to its own provider": ("/anthropic/v1/messages", "anthropic/m", True),
    "to another one": ("/anthropic/v1/messages", "openai/m", False),
}


@pytest.mark.parametrize(("path", "model", "sent"), LANGUAGES.values(), ids=LANGUAGES)
async def test_what_changes_the_meaning_of_a_request(
    path: str, model: str, sent: bool, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(SETTINGS, upstream) as gateway:
        headers = {"anthropic-beta": "context-1m", "anthropic-version": "2023-01-01", "x-api-key": "sk-of-the-client"}
        answer = await gateway.client().post(path, {**CHAT, "model": model, "max_tokens": 9}, headers)
        assert answer.status == 200
        [request] = upstream.requests
        assert request.header("anthropic-beta") == ("context-1m" if sent else None)
        assert request.header("anthropic-version") == ("2023-01-01" if sent else None)
        assert b"sk-of-the-client" not in b" ".join(value for _, value in request.headers)


# --- a key of the client's own ----------------------------------------------------------------------------------------


async def test_a_direct_key(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    settings = {**SETTINGS, "client": {"allow_direct_keys": True}}
    async with gateway_in_memory(settings, upstream) as gateway:
        answer = await gateway.client().post(PATH, CHAT, {"x-bf-direct-key": "sk-my-own-key-0123456789"})
        assert answer.status == 200
        assert upstream.requests[0].header("authorization") == "Bearer sk-my-own-key-0123456789"
        assert "sk-my-own" not in answer.body.decode() + str(answer.headers)
        await gateway.client().post(PATH, CHAT)
        assert upstream.requests[1].header("authorization") in ("Bearer sk-first", "Bearer sk-second")
