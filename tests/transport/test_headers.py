"""The same facts as headers, where the body belongs to the provider; request ids; what of its headers is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio.testing

from bifrost_trio.testing import ClientAnswer, ScriptedUpstream, gateway_in_memory, streamed, whole

CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}
DROP_IN = "/openai/v1/chat/completions"
KEY = "sk-canary-0123456789"
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
}


def facts(answer: ClientAnswer) -> dict[str, str]:
    return {name[5:]: value for name, value in answer.headers.items() if name.startswith("x-bf-")}


# --- x-bf-* -----------------------------------------------------------------------------------------------------------

WHERE = {
    "drop-in": (DROP_IN, CHAT),
    "drop-in stream": (DROP_IN, STREAM),
    "native stream": ("/v1/chat/completions", STREAM),
    "translated": ("/anthropic/v1/messages", {**CHAT, "max_tokens": 9}),
    "translated stream": ("/anthropic/v1/messages", {**STREAM, "max_tokens": 9}),
}


@pytest.mark.parametrize(("path", "body"), WHERE.values(), ids=WHERE)
async def test_who_answered(path: str, body: dict[str, Any], autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        answer = await gateway.client().post(path, body)
        assert answer.status == 200
        told = {"provider": "openai", "model": "m"}
        if not body.get("stream"):
            # The head of a stream goes out while its attempt lasts: there only those that failed before are told.
            told["attempts"] = "openai/m:openai-key:success"
        assert facts(answer) == told
        await gateway.quiet()


@pytest.mark.parametrize(("path", "body"), WHERE.values(), ids=WHERE)
async def test_a_fallback_and_its_trail(
    path: str, body: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    upstreams = {"openai": ScriptedUpstream("status=500"), "anthropic": ScriptedUpstream()}
    settings = {"providers": {"openai": {"network_config": {"max_retries": 1}}, "anthropic": {}}}
    async with gateway_in_memory(settings, upstreams) as gateway:
        answer = await gateway.client().post(path, {**body, "fallbacks": ["anthropic/claude"]})
        assert answer.status == 200
        told = facts(answer)
        assert (told["provider"], told["model"], told["fallback"]) == ("anthropic", "claude", "1")
        failed = "openai/m:openai-key:provider_server_error"
        last = "" if body.get("stream") else ", anthropic/claude:anthropic-key:success"
        assert told["attempts"] == f"{failed}, {failed}{last}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [DROP_IN, "/anthropic/v1/messages"])
async def test_dropped_params(path: str, stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    other = "anthropic" if path == DROP_IN else "openai"
    more = {"seed": 7, "logit_bias": {"1": 2}} if path == DROP_IN else {"top_k": 5, "max_tokens": 9}
    dropped = {"seed", "logit_bias"} if path == DROP_IN else {"top_k"}
    async with gateway_in_memory() as gateway:
        body = {**CHAT, **more, "model": f"{other}/m", "stream": stream}
        answer = await gateway.client().post(path, body)
        assert answer.status == 200
        assert set(facts(answer)["dropped-params"].split(", ")) == dropped


async def test_no_name_of_a_client_makes_a_header_that_others_refuse(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        body = {**CHAT, "m" * 100_000: 1, "model": "anthropic/" + "m" * 50_000}
        answer = await gateway.client().post(DROP_IN, body)
        assert answer.status == 200
        assert facts(answer)["dropped-params"] == "m" * 1021 + "..."
        assert sum(map(len, answer.headers.values())) < 8_000


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream("status=400")) as gateway:
        answer = await gateway.client().post(DROP_IN, {**CHAT, "stream": stream})
        assert facts(answer) == {
            "provider": "openai",
            "model": "m",
            "attempts": "openai/m:openai-key:caller_invalid_request",
        }
        # On /v1 the body says it.
        answer = await gateway.client().post("/v1/chat/completions", {**CHAT, "stream": stream})
        assert facts(answer) == {}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("Modèle", "Mod?le"),
        ("模型-4", "??-4"),
        ("a\r\nset-cookie: x=1", "a??set-cookie: x=1"),
        ("a\x00b\x7fc\td", "a?b?c?d"),
        ("org/name:tag@1", "org/name:tag@1"),
        ("a, b", "a, b"),
        ("\U0001f600", "?"),
    ],
)
async def test_odd_names(model: str, told: str, autojump_clock: trio.testing.MockClock) -> None:
    """What a header cannot hold is a question mark (RFC 9110 section 5.5), and never another header."""
    key = {"name": "Schlüssel\nx: y", "value": "sk-test", "models": ["*"]}
    upstream = ScriptedUpstream()
    async with gateway_in_memory({"providers": {"openai": {"keys": [key]}}}, upstream) as gateway:
        answer = await gateway.client().post(DROP_IN, {**CHAT, "model": f"openai/{model}"})
        assert answer.status == 200
        assert facts(answer)["model"] == told
        assert facts(answer)["attempts"] == f"openai/{told}:Schl?ssel?x: y:success"
        assert not {"set-cookie", "x"} & set(answer.headers)
        assert upstream.requests[0].json["model"] == model
        # On /v1 the JSON has it as it is.
        answer = await gateway.client().post("/v1/chat/completions", {**CHAT, "model": f"openai/{model}"})
        assert answer.json["extra_fields"]["routing_info"]["model"] == model


# --- bytes ------------------------------------------------------------------------------------------------------------

BODIES = [
    b'{"id":"c","choices":[]}',
    b'  {"choices" : [ ],\r\n "n" : 1.0e5, "\\u0064":"\\/" }  \n',
    b"{}",
]
FRAMES = [
    b": hello\n\n",
    b'data: {"id" : "c", "choices":[{"index":0,"delta":{"content":"a"}}]}\r\n\r\n',
    b'event: odd\nid: 7\ndata:{"choices":[{"index":0,"delta":{"content":"\\u00e9"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


@pytest.mark.parametrize("body", BODIES)
async def test_a_drop_in_answer_is_byte_exact(body: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream(whole(body))) as gateway:
        answer = await gateway.client().post(DROP_IN, CHAT)
        assert answer.body == body
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", [DROP_IN, "/v1/chat/completions"])
async def test_a_stream_is_byte_exact(path: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream(streamed(FRAMES))) as gateway:
        answer = await gateway.client().post(path, STREAM)
        assert answer.body == b"".join(FRAMES)


REQUEST = b'{ "model" : "openai/m",\n "messages":[{"role":"user","content":"\\u00e9\\/"}],"n":1e0,"unknown":[1.10] }'


async def test_a_drop_in_request_is_byte_exact(autojump_clock: trio.testing.MockClock) -> None:
    """Only the model's name is another one."""
    upstream = ScriptedUpstream()
    async with gateway_in_memory(None, upstream) as gateway:
        for path in (DROP_IN, "/v1/chat/completions"):
            assert (await gateway.client().post(path, REQUEST)).status == 200
            assert upstream.requests[-1].body == REQUEST.replace(b'"openai/m"', b'"m"')


async def test_a_provider_s_error_is_byte_exact(autojump_clock: trio.testing.MockClock) -> None:
    said = b'{ "error" : {"message":"no","type":"odd","param":null,"code":7}, "more" : [] }\n'
    upstream = ScriptedUpstream(
        whole(said, status=422, headers=[(b"content-type", b"application/json; charset=utf-8")])
    )
    async with gateway_in_memory(None, upstream) as gateway:
        answer = await gateway.client().post(DROP_IN, CHAT)
        assert (answer.status, answer.body) == (422, said)
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


# --- x-request-id -----------------------------------------------------------------------------------------------------

REQUESTS: dict[str, tuple[str, Any, int]] = {
    "whole": ("/v1/chat/completions", CHAT, 200),
    "stream": ("/v1/chat/completions", STREAM, 200),
    "drop-in": (DROP_IN, CHAT, 200),
    "drop-in stream": (DROP_IN, STREAM, 200),
    "translated": ("/anthropic/v1/messages", {**CHAT, "max_tokens": 9}, 200),
    "an error": ("/v1/chat/completions", {**CHAT, "model": "openai/mock-400"}, 400),
    "an error in a drop-in": (DROP_IN, {**CHAT, "model": "openai/mock-400"}, 400),
    "no JSON": ("/v1/chat/completions", b"{", 400),
    "no JSON for a drop-in": (DROP_IN, b"{", 400),
    "no route": ("/v1/nothing", {}, 404),
    "an unknown model": ("/v1/chat/completions", {**CHAT, "model": "nobody"}, 404),
}


@pytest.mark.parametrize(("path", "body", "status"), REQUESTS.values(), ids=REQUESTS)
async def test_the_client_s_request_id_comes_back(
    path: str, body: Any, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with gateway_in_memory() as gateway:
        answer = await gateway.client().post(path, body, {"X-Request-Id": 'trace-1, 2;="x"'})
        assert (answer.status, answer.headers["x-request-id"]) == (status, 'trace-1, 2;="x"')


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [DROP_IN, "/v1/chat/completions"])
async def test_there_is_one_request_id(path: str, stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    """The client's own; what the provider calls the request does not stand beside it."""
    body = json.dumps({**CHAT, "stream": stream}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: g\r\nx-request-id: mine\r\ncontent-length: {len(body)}\r\n\r\n"
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        await client.send_raw(head.encode() + body)
        received = await client.read_raw()
        assert received.count(b"x-request-id: mine\r\n") == received.count(b"x-request-id:") == 1


@pytest.mark.parametrize("length", [1, 128])
async def test_a_request_id_of_any_length_up_to_128(length: int, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        answer = await gateway.client().post("/v1/chat/completions", CHAT, {"x-request-id": "a" * length})
        assert answer.headers["x-request-id"] == "a" * length


@pytest.mark.parametrize("value", ["", "a" * 129], ids=["empty", "too long"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", DROP_IN, "/anthropic/v1/messages"])
async def test_a_bad_request_id(value: str, path: str, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(None, upstream) as gateway:
        answer = await gateway.client().post(path, CHAT, {"x-request-id": value})
        assert answer.status == 400
        assert "x-request-id" in answer.body.decode()
        assert upstream.requests == []


@pytest.mark.parametrize("value", ["a\tb", "Grüße", "\xff\xfe"])
async def test_an_odd_request_id(value: str, autojump_clock: trio.testing.MockClock) -> None:
    """A header may hold a tab and bytes beyond ASCII (RFC 9110 section 5.5): it comes back as it is."""
    async with gateway_in_memory() as gateway:
        for path in ("/v1/chat/completions", DROP_IN):
            answer = await gateway.client().post(path, CHAT, {"x-request-id": value})
            assert (answer.status, answer.headers["x-request-id"]) == (200, value)


async def test_no_request_id_is_made_up(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream(whole(ANSWER))) as gateway:
        answer = await gateway.client().post("/v1/chat/completions", CHAT)
        assert "x-request-id" not in answer.headers


# --- the provider's own headers ---------------------------------------------------------------------------------------

PROVIDER_S = [
    (b"x-request-id", b"req_provider"),
    (b"request-id", b"req_anthropic"),
    (b"x-ratelimit-remaining-requests", b"99"),
    (b"anthropic-ratelimit-tokens-remaining", b"1000"),
    (b"openai-processing-ms", b"12"),
    (b"openai-organization", b"org-" + KEY.encode()),
    (b"set-cookie", b"a=b"),
    (b"server", b"cloudflare"),
    (b"strict-transport-security", b"max-age=1"),
    (b"x-internal", b"secret"),
]
SHOWN = {
    "x-request-id",
    "request-id",
    "x-ratelimit-remaining-requests",
    "anthropic-ratelimit-tokens-remaining",
    "openai-processing-ms",
}
NAMES = {name.decode() for name, _ in PROVIDER_S}
SETTINGS = {"providers": {"openai": {"keys": [{"name": "k", "value": KEY, "models": ["*"]}]}}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "shown"), [(DROP_IN, SHOWN), ("/v1/chat/completions", set()), ("/anthropic/v1/messages", SHOWN)]
)
async def test_what_of_the_provider_s_headers_is_shown(
    path: str, shown: set[str], stream: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """What its own SDK reads, on drop-in routes; never a cookie, and never what repeats the key."""
    played = streamed(FRAMES, headers=PROVIDER_S) if stream else whole(ANSWER, headers=PROVIDER_S)
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(played)) as gateway:
        answer = await gateway.client().post(path, {**CHAT, "max_tokens": 9, "stream": stream})
        assert answer.status == 200
        assert NAMES & set(answer.headers) == shown
        assert KEY not in str(answer.headers)
        if shown:
            assert answer.headers["x-request-id"] == "req_provider"


@pytest.mark.parametrize(("path", "shown"), [(DROP_IN, SHOWN), ("/v1/chat/completions", set())])
@pytest.mark.parametrize("status", [400, 429, 500])
async def test_an_error_s_too(status: int, path: str, shown: set[str], autojump_clock: trio.testing.MockClock) -> None:
    """What is left of a rate is most wanted where it is used up."""
    played = whole({"error": {"message": "no"}}, status=status, headers=PROVIDER_S)
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(played)) as gateway:
        answer = await gateway.client().post(path, CHAT)
        assert answer.status == status
        assert NAMES & set(answer.headers) == shown
        answer = await gateway.client().post(path, CHAT, {"x-request-id": "mine"})
        assert answer.headers["x-request-id"] == "mine"
