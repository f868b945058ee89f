"""A provider that repeats what it was sent: no key, and no header of the configuration, reaches a client."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.mock import Received, Script
from bifrost_trio.mock.script import End
from bifrost_trio.testing import ScriptedUpstream, gateway_in_memory
from tests.attack.answers import (
    BEGIN,
    END,
    START,
    STOP,
    TEXT,
    chunk,
    completion,
    data,
    dumps,
    event,
    message,
    stream,
    whole,
)

KEY, TENANT = "sk-canary-0123456789abcdef", "tenant-canary-0123456789abcdef"
PROVIDER: dict[str, Any] = {
    "keys": [{"name": "k", "value": KEY, "models": ["*"]}],
    "network_config": {"max_retries": 0, "extra_headers": {"x-tenant": TENANT}},
}
SETTINGS = {"providers": {"openai": PROVIDER, "anthropic": PROVIDER}}
PATHS = ("/v1/chat/completions", "/openai/v1/chat/completions", "/anthropic/v1/messages")
HEADERS = ("x-request-id", "request-id", "openai-organization", "anthropic-organization-id", "x-ratelimit-limit")

Answer = Callable[[str], bytes]


def escaped(text: str) -> bytes:
    return b'"' + b"".join(b"\\u%04x" % ord(letter) for letter in text) + b'"'


def refusal(status: str) -> Answer:
    return lambda said: whole(
        {"error": {"message": f"no: {said}", "type": said, "code": said, "param": said}},
        status,
        *(f"{name}: {said}" for name in HEADERS),
    )


REFUSALS: dict[str, Answer] = {
    **{status: refusal(status) for status in ("400 Bad", "401 Who", "404 Not", "429 Slow", "500 Broken")},
    "with escapes": lambda said: whole(b'{"error":{"message":' + escaped(said) + b"}}", "400 Bad"),
    "in a member that nobody reads": lambda said: whole(b'{"error":{},"sent":' + escaped(said) + b"}", "400 Bad"),
    "compressed": lambda said: whole(
        gzip.compress(dumps({"error": {"message": said}})), "400 Bad", "content-encoding: gzip"
    ),
    "in its type": lambda said: whole({}, "400 Bad").replace(b"application/json", b"text/" + said.encode()),
    "as text": lambda said: whole(said.encode(), "403 No"),
    "with status 200": lambda said: whole({"error": {"message": said}}),
    "with status 200 and escapes": lambda said: whole(b'{"error":{"message":' + escaped(said) + b"}}"),
}
STREAMS: dict[str, Answer] = {
    "error first": lambda said: stream(data({"error": {"message": said}})),
    "error": lambda said: stream(BEGIN, data({"error": {"message": said}}), END),
    "error with escapes": lambda said: stream(BEGIN, data(b'{"error":{"message":' + escaped(said) + b"}}"), END),
    "text": lambda said: stream(BEGIN, chunk({"content": said}), END, headers=tuple(f"{n}: {said}" for n in HEADERS)),
}
WHOLES: dict[str, Answer] = {
    "OpenAI": lambda said: whole(completion(system_fingerprint=said), "200 OK", *(f"{n}: {said}" for n in HEADERS)),
    "Anthropic": lambda said: whole(message(content=[{"type": "text", "text": said}])),
}
ANTHROPIC: dict[str, Answer] = {
    "error first": lambda said: stream(event("error", error={"type": "api_error", "message": said})),
    "error": lambda said: stream(START, TEXT, event("error", error={"type": "api_error", "message": said})),
    "text": lambda said: stream(START, TEXT.replace(b"hello", said.encode()), STOP),
}


async def said_to_clients(answer: Answer, provider: str, *, streamed: bool) -> bytes:
    """Every byte that goes to the clients of each route, and of one that asks for the provider's own words."""

    def repeat(request: Received) -> Script:
        key = request.header("authorization") or request.header("x-api-key") or ""
        assert (key.removeprefix("Bearer "), request.header("x-tenant")) == (KEY, TENANT)
        return Script([answer(KEY if request.number % 2 else TENANT)], End.CLOSE)

    received = b""
    upstream = ScriptedUpstream(repeat)
    asked = {"model": f"{provider}/m", "max_tokens": 5, "stream": streamed, "messages": []}
    body = dumps({**asked, "messages": [{"role": "user", "content": "hi"}]})
    async with gateway_in_memory(SETTINGS, upstream) as gateway:
        for path, raw in (*((path, "") for path in PATHS), (PATHS[0], "x-bf-send-back-raw-response: true\r\n")):
            for _ in range(2):
                client = gateway.client()
                head = (
                    f"POST {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{raw}content-length: {len(body)}\r\n\r\n"
                )
                await client.send_raw(head.encode() + body)
                try:
                    while piece := await client.read_raw():
                        received += piece
                except ConnectionBroken:
                    pass
                client.hang_up()
        await gateway.quiet()
    assert len(upstream.requests) == 8
    return received


def assert_silent(received: bytes) -> None:
    assert received.count(b"HTTP/1.1 ") == 8
    for secret in (KEY, TENANT):
        assert secret.encode() not in received
        assert escaped(secret)[1:-1] not in received


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_that_repeats_them(
    answer: Answer, provider: str, autojump_clock: trio.testing.MockClock
) -> None:
    assert_silent(await said_to_clients(answer, provider, streamed=False))


@pytest.mark.parametrize("answer", STREAMS.values(), ids=STREAMS)
async def test_a_stream_that_repeats_them(answer: Answer, autojump_clock: trio.testing.MockClock) -> None:
    assert_silent(await said_to_clients(answer, "openai", streamed=True))


@pytest.mark.parametrize("answer", ANTHROPIC.values(), ids=ANTHROPIC)
async def test_a_stream_of_anthropics_that_repeats_them(answer: Answer, autojump_clock: trio.testing.MockClock) -> None:
    assert_silent(await said_to_clients(answer, "anthropic", streamed=True))


@pytest.mark.parametrize(("provider", "answer"), list(zip(("openai", "anthropic"), WHOLES.values(), strict=True)))
async def test_an_answer_that_repeats_them(
    provider: str, answer: Answer, autojump_clock: trio.testing.MockClock
) -> None:
    assert_silent(await said_to_clients(answer, provider, streamed=False))


async def test_a_word_that_happens_to_be_a_key_stays_in_answers(autojump_clock: trio.testing.MockClock) -> None:
    """Providers without keys are given ``ollama`` for one: an answer may well speak of it."""
    settings = {"providers": {"openai": {"keys": [{"name": "k", "value": "ollama", "models": ["*"]}]}}}
    choice = {"index": 0, "message": {"role": "assistant", "content": "ollama runs models"}, "finish_reason": "stop"}
    async with gateway_in_memory(settings, ScriptedUpstream(whole(completion(choices=[choice])))) as gateway:
        assert (await gateway.ask("What is ollama?")).text == "ollama runs models"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_escapes_are_no_way_around_it(streamed: bool, autojump_clock: trio.testing.MockClock) -> None:
    """A translation writes plainly what the provider wrote with escapes."""
    text = escaped(KEY)
    sent = (
        stream(BEGIN.replace(b'"hello"', text), END) if streamed else whole(dumps(completion()).replace(b'"hi"', text))
    )
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(Script([sent], End.CLOSE))) as gateway:
        asked = {"model": "openai/m", "max_tokens": 5, "stream": streamed}
        wire = {**asked, "messages": [{"role": "user", "content": "hi"}]}
        answer = await gateway.client().post("/anthropic/v1/messages", wire)
        assert answer.status == 200
        assert b"***" in answer.body
        assert KEY.encode() not in answer.body
