"""One table, faults × operations × formats: what a client gets of each, alone, with a fallback, and within a stream."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio._wire import EventReader
from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.mock import MockProvider
from bifrost_trio.testing import ClientAnswer, MemoryGateway, ScriptedUpstream, gateway_in_memory

SECRET = "sk-canary-0123456789"


@dataclass(frozen=True)
class Fault:
    """What the provider does (words of `bifrost_trio.mock.behaviour`) and what a client gets of it."""

    words: str
    status: int
    fallback: bool = True


FAULTS = {
    "400": Fault("status=400", 400, fallback=False),
    "401": Fault("status=401", 502),
    "402": Fault("status=402", 502),
    "403": Fault("status=403", 502),
    "404": Fault("status=404", 404, fallback=False),
    "408": Fault("status=408", 408),
    "413": Fault("status=413", 413, fallback=False),
    "422": Fault("status=422", 422, fallback=False),
    "429": Fault("status=429", 429),
    "429 and when": Fault("status=429 retry-after=7", 429),
    "500": Fault("status=500", 500),
    "503": Fault("status=503", 503),
    "529": Fault("status=529", 529),
    "redirect": Fault("status=302", 502),
    "reset before the head": Fault("reset=head", 502),
    "reset in the body": Fault("reset=body", 502),
    "closed before the head": Fault("cut-head=0", 502),
    "closed in the head": Fault("cut-head=20", 502),
    "silent": Fault("stall=head", 504),
    "silent behind the head": Fault("stall=body", 504),
    "garbage for a head": Fault("garble=head", 502),
    "a web page": Fault("garble=html", 502),
    "an error with status 200": Fault("error-body=yes status=429", 429),
}
WHOLE_ONLY = {
    "cut body": Fault("cut-body=10", 502),
    "no JSON": Fault("garble=json", 502),
    "a length too long": Fault("garble=length-long", 502),
    "a length too short": Fault("garble=length-short", 502),
}
STREAM_ONLY = {
    "no output": Fault("cut-chunk=0", 502),
    "silent before output": Fault("first-output=90", 504),
    "an error before output": Fault("error-chunk=0 status=429", 429),
}
WITHIN = {
    "cut": "cut-chunk=2",
    "reset": "cut-chunk=2 end=reset",
    "standstill": "cut-chunk=2 end=stall",
    "an error": "error-chunk=2 status=500",
    "no end": "garble=no-end",
    "a bad chunk size": "garble=chunk-size",
}

CHAT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "native": ("/v1/chat/completions", CHAT),
    "openai": ("/openai/v1/chat/completions", CHAT),
    "anthropic": ("/anthropic/v1/messages", CHAT),
    "text": ("/v1/completions", {"prompt": "Hello"}),
    "embedding": ("/openai/v1/embeddings", {"input": "Hello"}),
    "responses": ("/v1/responses", {"input": "Hello"}),
    "count": ("/anthropic/v1/messages/count_tokens", {"messages": CHAT["messages"]}),
}
CHATS = [(route, provider) for route in ("native", "openai", "anthropic") for provider in ("openai", "anthropic")]
WHOLE = [*CHATS, ("text", "openai"), ("embedding", "openai"), ("responses", "openai"), ("count", "anthropic")]
STREAMS = [*CHATS, ("text", "openai"), ("responses", "openai")]


def settings() -> dict[str, Any]:
    """Two providers that fail, and one of each language that does not."""
    providers: dict[str, Any] = {}
    for name in ("openai", "anthropic"):
        network = {"max_retries": 0, "default_request_timeout_in_seconds": 60}
        key = {"name": "k", "value": SECRET, "models": ["*"]}
        providers[name] = {"keys": [key], "network_config": network}
        backup: dict[str, Any] = {"custom_provider_config": {"base_provider_type": name}}
        providers[f"{name}-backup"] = {**backup, "keys": [dict(key)]}
    return {"providers": providers}


def upstreams(words: str) -> dict[str, ScriptedUpstream]:
    broken, sound = MockProvider(words), MockProvider("content='All is well'")
    return {
        "openai": ScriptedUpstream(broken),
        "anthropic": ScriptedUpstream(broken),
        "openai-backup": ScriptedUpstream(sound),
        "anthropic-backup": ScriptedUpstream(sound),
    }


def request(route: str, provider: str, **more: Any) -> tuple[str, dict[str, Any]]:
    path, body = ROUTES[route]
    return path, {"model": f"{provider}/m", **body, **more}


def check_error(answer: ClientAnswer, route: str, status: int) -> None:
    """One clear error in the shape of the client's own API."""
    assert answer.status == status, answer.body
    assert SECRET.encode() not in answer.body + repr(answer.headers).encode()
    said = answer.json
    if ROUTES[route][0].startswith("/v1/"):
        assert said["status_code"] == status
        assert said["error"]["message"]
        assert said["extra_fields"]["routing_info"]["provider"] in ("openai", "anthropic")
    elif ROUTES[route][0].startswith("/anthropic/"):
        assert said["type"] == "error"
        assert said["error"]["message"]
    else:
        assert said["error"]["message"]
        assert "x-bf-attempts" in answer.headers


async def still_serves(gateway: MemoryGateway) -> None:
    path, body = request("native", "openai-backup")
    assert (await gateway.client().post(path, body)).status == 200
    await gateway.quiet()


@pytest.mark.parametrize(("route", "provider"), WHOLE)
@pytest.mark.parametrize("fault", (FAULTS | WHOLE_ONLY).values(), ids=FAULTS | WHOLE_ONLY)
async def test_a_whole_answer(fault: Fault, route: str, provider: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(settings(), upstreams(fault.words)) as gateway:
        client = gateway.client()
        path, body = request(route, provider)
        check_error(await client.post(path, body), route, fault.status)
        # The connection stays usable.
        answer = await client.post(path, {**body, "fallbacks": [f"{provider}-backup/m"]})
        if fault.fallback:
            assert answer.status == 200
        else:
            check_error(answer, route, fault.status)
        await still_serves(gateway)


@pytest.mark.parametrize(("route", "provider"), STREAMS)
@pytest.mark.parametrize("fault", (FAULTS | STREAM_ONLY).values(), ids=FAULTS | STREAM_ONLY)
async def test_a_stream_before_its_first_output(
    fault: Fault, route: str, provider: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The status is the true one, as nothing was committed; a wait of more than 10 s is told within the stream."""
    async with gateway_in_memory(settings(), upstreams(fault.words)) as gateway:
        client = gateway.client()
        path, body = request(route, provider, stream=True)
        if fault.status != 504:
            check_error(await client.post(path, body), route, fault.status)
        else:
            events = await broken_off(gateway, path, body)
            assert any(b"error" in data for _, data in events)
        async with gateway.client().stream(path, {**body, "fallbacks": [f"{provider}-backup/m"]}) as stream:
            assert stream.status == (200 if fault.fallback else fault.status)
            if fault.fallback:
                assert ended_well(await stream.read_to_end())
        client.hang_up()
        await still_serves(gateway)


@pytest.mark.parametrize(("route", "provider"), STREAMS)
@pytest.mark.parametrize("words", WITHIN.values(), ids=WITHIN)
async def test_a_stream_behind_its_first_output(
    words: str, route: str, provider: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Neither another attempt nor a fallback, and never an end that looks whole."""
    upstream = upstreams(f"{words} gap=1")
    async with gateway_in_memory(settings(), upstream) as gateway:
        path, body = request(route, provider, stream=True, fallbacks=[f"{provider}-backup/m"])
        events = await broken_off(gateway, path, body)
        assert any(b"error" in data for _, data in events)
        assert len(upstream[provider].requests) == 1
        assert upstream[f"{provider}-backup"].requests == []
        await still_serves(gateway)


async def broken_off(gateway: MemoryGateway, path: str, body: dict[str, Any]) -> list[tuple[str, bytes]]:
    """The events of a stream that does not end well: it says so, or its connection ends before its body does."""
    received = b""
    async with gateway.client().stream(path, body) as stream:
        assert stream.status == 200
        try:
            while piece := await stream.read():
                received += piece
            whole = True
        except ConnectionBroken:
            whole = False
    events = [(event, data) for event, data, _ in EventReader().feed(received)]
    assert SECRET.encode() not in received
    assert not whole or any(b"error" in data for _, data in events), received
    assert b"[DONE]" not in received
    assert b"message_stop" not in received
    assert b"response.completed" not in received
    return events


def ended_well(received: bytes) -> bool:
    last = [data for _, data, _ in EventReader().feed(received) if data][-1]
    return last == b"[DONE]" or json.loads(last).get("type") in ("message_stop", "response.completed")


async def test_no_done_alone_is_a_success(autojump_clock: trio.testing.MockClock) -> None:
    """Some providers end a stream without ``[DONE]``: the finish reason has said that it is whole."""
    async with gateway_in_memory(settings(), upstreams("garble=no-done")) as gateway:
        path, body = request("native", "openai", stream=True)
        async with gateway.client().stream(path, body) as stream:
            assert b'"finish_reason":"stop"' in (await stream.read_to_end()).replace(b" ", b"")
        await gateway.quiet()


async def test_when_to_try_again_is_passed_on(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(settings(), upstreams("status=429 retry-after=7")) as gateway:
        for route in ("native", "openai", "anthropic"):
            path, body = request(route, "openai")
            answer = await gateway.client().post(path, body)
            assert (answer.status, answer.headers["retry-after"]) == (429, "7")
