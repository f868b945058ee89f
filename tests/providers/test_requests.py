"""What a provider is sent: bytes as they came where nothing has to change, headers, keys, addresses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import UnsupportedOperation
from bifrost_trio.testing import ScriptedUpstream, gateway_in_memory, whole
from bifrost_trio.types import Operation, Options
from bifrost_trio.workers import Key
from tests.providers.attempt import KEY, SECRET, Head, bench
from tests.workers.calls import ANSWER, make_call

# What the client sent; what the provider gets, to the byte.
BYTES = {
    "nothing but the model": (
        b'{"model":"openai/gpt-4o","messages":[]}',
        b'{"model":"gpt-4o","messages":[]}',
    ),
    "white space": (
        b' {\n  "model" : "openai/gpt-4o" ,\n  "messages" : [ ] \r\n}\n',
        b' {\n  "model" : "gpt-4o" ,\n  "messages" : [ ] \r\n}\n',
    ),
    "unknown members, numbers, escapes": (
        b'{"seed":1.0e2,"x":{"model":"openai/x"},"big":123456789012345678901234567890,"model":"openai/gpt-4o",'
        b'"messages":[{"role":"user","content":"\\u00e9\\/ \xc3\xa9"}],"n":null}',
        b'{"seed":1.0e2,"x":{"model":"openai/x"},"big":123456789012345678901234567890,"model":"gpt-4o",'
        b'"messages":[{"role":"user","content":"\\u00e9\\/ \xc3\xa9"}],"n":null}',
    ),
    "fallbacks at the end": (
        b'{"model":"openai/gpt-4o","messages":[],"fallbacks":["anthropic/claude"]}',
        b'{"model":"gpt-4o","messages":[]}',
    ),
    "fallbacks at the beginning": (
        b'{"fallbacks":["a/b"],"model":"openai/gpt-4o","messages":[]}',
        b'{"model":"gpt-4o","messages":[]}',
    ),
}


@pytest.mark.parametrize(("body", "expected"), BYTES.values(), ids=BYTES)
async def test_a_body_stays_as_it_is(body: bytes, expected: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with bench(whole(ANSWER)) as b:
        call = make_call("openai/gpt-4o", body=body)
        await b.attempt(call)
        assert b.sent.body == expected
        assert (b.sent.method, b.sent.path, b.sent.host) == ("POST", "/v1/chat/completions", "up.test")
        assert call.dropped_params == ()


async def test_a_changed_request_is_written_again(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(whole(ANSWER)) as b:
        call = make_call("openai/gpt-4o", fallbacks=["a/b"], unknown={"x": 1})
        call.request = {**call.request, "temperature": 0.5}
        await b.attempt(call)
        expected = {"model": "gpt-4o", "messages": call.request["messages"], "unknown": {"x": 1}, "temperature": 0.5}
        assert b.sent.json == expected


async def test_an_alias_is_resolved_by_its_key(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(whole(ANSWER)) as b:
        key = Key("main", SECRET, resolve={"fast": "gpt-4o-mini"}.__getitem__)
        await b.attempt(make_call("openai/fast"), key)
        assert b.sent.json["model"] == "gpt-4o-mini"


# --- headers ---

FORWARDED = {
    "anthropic-beta": "tools-2024",
    "anthropic-version": "2099-01-01",
    "openai-beta": "assistants=v2",
}
NEVER = {
    "api-key": "x",
    "authorization": "Bearer sk-of-the-client",
    "connection": "close",
    "content-encoding": "gzip",
    "content-length": "7",
    "content-type": "text/plain",
    "cookie": "session=1",
    "expect": "100-continue",
    "host": "evil.test",
    "accept-encoding": "gzip",
    "proxy-authorization": "Basic eA==",
    "te": "trailers",
    "trailer": "x",
    "transfer-encoding": "chunked",
    "upgrade": "h2c",
    "x-api-key": "x",
    "x-goog-api-key": "x",
}


async def test_the_headers_of_a_request(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(whole(ANSWER)) as b:
        await b.attempt(make_call("openai/m", head=Head({**FORWARDED, **NEVER, "x-anything": "else"})))
        body = b.sent.body
        assert dict(b.sent.headers) == {
            b"host": b"up.test",
            b"user-agent": b"bifrost-trio",
            b"accept": b"*/*",
            b"accept-encoding": b"identity",
            b"content-type": b"application/json",
            b"authorization": f"Bearer {SECRET}".encode(),
            b"content-length": b"%d" % len(body),
        }


@pytest.mark.parametrize("name", FORWARDED)
async def test_what_changes_the_meaning_goes_along(name: str, autojump_clock: trio.testing.MockClock) -> None:
    """To a provider of the client's own language; and never into another call's request."""
    async with bench(whole(ANSWER)) as b:
        await b.attempt(make_call("openai/m", head=Head(FORWARDED), options=Options()))
        assert b.sent.header(name) == FORWARDED[name]
        await b.attempt(make_call("openai/m", head=Head({})))
        assert b.sent.header(name) is None
        body = b'{"model":"openai/m","max_tokens":9,"messages":[]}'
        translated = make_call("openai/m", body=body, format="anthropic", head=Head(FORWARDED), options=Options())
        await b.attempt(translated)
        assert b.sent.header(name) is None


@pytest.mark.parametrize("spelled", [str, lambda name: name.replace("-", "_")], ids=["as it is", "with underscores"])
@pytest.mark.parametrize("name", NEVER)
async def test_what_a_caller_may_not_say(
    spelled: Callable[[str], str], name: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(whole(ANSWER)) as b:
        await b.attempt(make_call("openai/m"))
        before = b.sent.headers
        options = Options()
        options.extra_headers = [(spelled(name).encode(), NEVER[name].encode()), (b"x-mine", b"1")]
        await b.attempt(make_call("openai/m", options=options))
        assert sorted(b.sent.headers) == sorted([*before, (b"x-mine", b"1")])


async def test_the_configured_headers(autojump_clock: trio.testing.MockClock) -> None:
    network = {"extra_headers": {"X-Team": "a", "X_Unit": "a", "OpenAI-Organization": "org"}}
    async with bench(whole(ANSWER), network=network) as b:
        options = Options()
        options.extra_headers = [(b"x-team", b"b"), (b"x_team", b"c"), (b"x_unit", b"c"), (b"x-mine", b"b")]
        await b.attempt(make_call("openai/m"))
        assert (b.sent.header("x-team"), b.sent.header("openai-organization")) == ("a", "org")
        await b.attempt(make_call("openai/m", options=options))
        # The operator's word stands.
        assert (b.sent.header("x-team"), b.sent.header("x_team"), b.sent.header("x-mine")) == ("a", None, "b")
        assert b.sent.header("x_unit") == "a"
        await b.attempt(make_call("openai/m"))
        assert (b.sent.header("x-team"), b.sent.header("x-mine")) == ("a", None)


async def test_each_call_has_its_own_key(autojump_clock: trio.testing.MockClock) -> None:
    direct = Options()
    direct.direct_key = "sk-of-the-caller"
    async with bench(whole(ANSWER)) as b:
        keys = [(KEY, None), (Key("second", "sk-2"), None), (Key("direct", "sk-of-the-caller"), direct), (KEY, None)]
        for key, options in keys:
            await b.attempt(make_call("openai/m", options=options), key)
            assert b.sent.header("authorization") == f"Bearer {key.value}"


async def test_anthropics_headers(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(whole({}, status=500), name="anthropic") as b:
        with pytest.raises(Exception, match="500"):
            await b.attempt(make_call("anthropic/m", body=b'{"model":"anthropic/m","messages":[]}', format="anthropic"))
        assert b.sent.header("x-api-key") == SECRET
        assert b.sent.header("anthropic-version") == "2023-06-01"
        assert b.sent.header("authorization") is None
        assert b.sent.path == "/v1/messages"


# --- quirks ---

CEREBRAS = {"frequency_penalty": 1, "presence_penalty": 0, "logit_bias": {}, "service_tier": "auto"}
QUIRKS: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[str]]] = {
    "nothing to change": ("groq", {"temperature": 1}, {"temperature": 1}, []),
    "left out and told": ("cerebras", {**CEREBRAS, "top_p": 1}, {"top_p": 1}, list(CEREBRAS)),
    "of another name": ("mistral", {"max_completion_tokens": 5}, {"max_tokens": 5}, []),
    "both names, its own first": (
        "mistral",
        {"max_tokens": 1, "max_completion_tokens": 5},
        {"max_tokens": 1},
        ["max_completion_tokens"],
    ),
    "both names, its own last": (
        "mistral",
        {"max_completion_tokens": 5, "max_tokens": 1},
        {"max_tokens": 1},
        ["max_completion_tokens"],
    ),
    "a name within a text": ("cerebras", {"user": '"logit_bias"'}, {"user": '"logit_bias"'}, []),
}


@pytest.mark.parametrize(("name", "members", "expected", "dropped"), QUIRKS.values(), ids=QUIRKS)
async def test_what_a_provider_has_otherwise(
    name: str,
    members: dict[str, Any],
    expected: dict[str, Any],
    dropped: list[str],
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with bench(whole(ANSWER), name=name) as b:
        call = make_call(f"{name}/m", unknown=[1], **members)
        await b.attempt(call)
        assert b.sent.json == {"model": "m", "messages": call.request["messages"], "unknown": [1], **expected}
        assert list(call.dropped_params) == dropped


async def test_a_name_written_with_escapes_is_found_too(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(whole(ANSWER), name="cerebras") as b:
        call = make_call("cerebras/m", body=b'{"model":"cerebras/m","messages":[],"logit\\u005fbias":{}}')
        await b.attempt(call)
        assert b.sent.json == {"model": "m", "messages": []}
        assert call.dropped_params == ["logit_bias"]


async def test_what_another_format_has_no_place_for_is_told(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(whole({}, status=500), name="anthropic") as b:
        call = make_call("anthropic/m", max_tokens=9, logprobs=True)
        with pytest.raises(Exception, match="500"):
            await b.attempt(call)
        assert "logprobs" in call.dropped_params
        assert "logprobs" not in b.sent.json
        assert call.spoken_to_in is not None
        assert call.spoken_to_in.name == "anthropic"


# --- addresses ---

CUSTOM = {"base_provider_type": "openai"}
ADDRESSES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "the usual path": ({}, {}, "up.test", "/v1/chat/completions"),
    "below a path": ({"base_url": "http://up.test/llm"}, {}, "up.test", "/llm/v1/chat/completions"),
    "as an SDK has it": ({"base_url": "http://up.test/v1/"}, {}, "up.test", "/v1/chat/completions"),
    "a port": ({"base_url": "http://up.test:8080"}, {}, "up.test:8080", "/v1/chat/completions"),
    "another path": ({}, {"request_path_overrides": {"chat_completion": "/chat"}}, "up.test", "/chat"),
    "another host": (
        {},
        {"request_path_overrides": {"chat_completion": "http://chat.test/do?v=1"}},
        "chat.test",
        "/do",
    ),
}


@pytest.mark.parametrize(("network", "custom", "host", "path"), ADDRESSES.values(), ids=ADDRESSES)
async def test_where_a_request_goes(
    network: dict[str, Any],
    custom: dict[str, Any],
    host: str,
    path: str,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with bench(whole(ANSWER), name="own", network=network, custom_provider_config={**CUSTOM, **custom}) as b:
        await b.attempt(make_call("own/m"))
        assert b.sent.header("host") == host
        assert b.sent.path == path
        assert b.sent.host == host.partition(":")[0]


async def test_what_a_provider_does_not_offer(autojump_clock: trio.testing.MockClock) -> None:
    allowed = {**CUSTOM, "allowed_requests": {"chat_completion": True}}
    async with bench(whole(ANSWER), name="own", custom_provider_config=allowed) as b:
        await b.attempt(make_call("own/m"))
        for call in (make_call("own/m", stream=True), make_call("own/m", operation=Operation.EMBEDDING)):
            with pytest.raises(UnsupportedOperation, match="own does not offer") as caught:
                await b.attempt(call)
            assert (caught.value.status, caught.value.param) == (400, "model")
        assert len(b.upstream.requests) == 1


@pytest.mark.parametrize("by", ["configuration", "option"])
@pytest.mark.parametrize("translated", [False, True])
async def test_what_was_sent_and_answered_is_kept_where_that_is_asked_for(
    by: str, translated: bool, autojump_clock: trio.testing.MockClock
) -> None:
    options = Options()
    options.raw_request = options.raw_response = by == "option"
    kept = by == "configuration"
    async with bench(whole(ANSWER), send_back_raw_request=kept, send_back_raw_response=kept) as b:
        body = json.dumps({"model": "openai/m", "max_tokens": 9, "messages": []}).encode()
        call = make_call("openai/m", body=body, format="anthropic" if translated else "openai_chat", options=options)
        await b.attempt(call)
        assert call.raw_request == b.sent.body
        assert call.raw_response == json.dumps(ANSWER).encode()


async def test_what_the_operator_has_set_is_not_the_clients_to_change(autojump_clock: trio.testing.MockClock) -> None:
    settings = {"providers": {"openai": {"network_config": {"extra_headers": {"X-Tenant": "operator"}}}}}
    upstream = ScriptedUpstream()
    async with gateway_in_memory(settings, upstream) as gateway:
        body = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"x-bf-eh-x-tenant": "client", "x-bf-eh-x-other": "client"}
        assert (await gateway.client().post("/v1/chat/completions", body, headers)).status == 200
        assert upstream.requests[0].header("x-tenant") == "operator"
        assert upstream.requests[0].header("x-other") == "client"
