"""Bad input: one clear 4xx in the client's own error shape that names the field; the connection stays usable, or is
closed as RFC 9112 says."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.mock import MockProvider
from bifrost_trio.testing import MemoryGateway, ScriptedUpstream, gateway_in_memory

CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
PATHS = {
    "native": "/v1/chat/completions",
    "openai": "/openai/v1/chat/completions",
    "anthropic": "/anthropic/v1/messages",
}
KEY = "sk-canary-0123456789"
SETTINGS = {"providers": {"openai": {"keys": [{"name": "k", "value": KEY, "models": ["*"]}]}}}

BODIES: dict[str, tuple[bytes, int, str | None, str]] = {
    "empty": (b"", 400, None, "invalid_json"),
    "blank": (b"  \n", 400, None, "invalid_json"),
    "no JSON": (b"hello", 400, None, "invalid_json"),
    "an array": (b"[]", 400, None, "invalid_json"),
    "a string": (b'"model"', 400, None, "invalid_json"),
    "cut off": (b'{"model":"openai/m","messages":[', 400, None, "invalid_json"),
    "followed by more": (json.dumps(CHAT).encode() + b"{}", 400, None, "invalid_json"),
    "a trailing comma": (b'{"model":"openai/m",}', 400, None, "invalid_json"),
    "single quotes": (b"{'model':'openai/m'}", 400, None, "invalid_json"),
    "NaN": (b'{"model":"openai/m","temperature":NaN}', 400, None, "invalid_json"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(CHAT).encode(), 400, None, "invalid_json"),
    "broken UTF-8": (b'{"model":"openai/\xff"}', 400, None, "invalid_json"),
    "a lone surrogate": (b'{"model":"openai/m","user":"\\ud800"}', 400, None, "invalid_json"),
    "a raw line feed in a string": (b'{"model":"openai/m","user":"a\nb"}', 400, None, "invalid_json"),
    "10,000 levels": (b'{"model":"openai/m","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, None, "invalid_json"),
    "no model": (b'{"messages":[]}', 400, "model", "missing_required_parameter"),
    "a model that is null": (b'{"model":null,"messages":[]}', 400, "model", ""),
    "a model that is a number": (b'{"model":3,"messages":[]}', 400, "model", ""),
    "an empty model": (b'{"model":"","messages":[]}', 400, "model", "missing_required_parameter"),
    "a provider alone": (b'{"model":"openai/","messages":[]}', 400, "model", ""),
    "an unknown provider": (b'{"model":"nobody/m","messages":[]}', 404, "model", "model_not_found"),
    "an unknown bare model": (b'{"model":"nothing","messages":[]}', 404, "model", "model_not_found"),
    "two models": (b'{"model":"openai/m","model":"openai/n"}', 400, "model", "invalid_json"),
    "a model in disguise": (b'{"\\u006dodel":"openai/m"}', 400, "model", "invalid_json"),
    "a model in capitals": (b'{"model":"openai/m","Model":"openai/n"}', 400, "model", "invalid_json"),
    "two streams": (b'{"model":"openai/m","stream":true,"stream":false}', 400, "stream", "invalid_json"),
    "stream is a string": (b'{"model":"openai/m","stream":"yes"}', 400, "stream", "invalid_json"),
    "fallbacks is a string": (b'{"model":"openai/m","fallbacks":"x"}', 400, "fallbacks", "invalid_json"),
    "an unknown fallback": (b'{"model":"openai/m","fallbacks":["nobody/x"]}', 400, "fallbacks", "model_not_found"),
    "max_tokens is text": (b'{"model":"openai/m","max_tokens":"5"}', 400, "max_tokens", "invalid_json"),
    "max_tokens below zero": (b'{"model":"openai/m","max_tokens":-5}', 400, "max_tokens", "invalid_json"),
}


def check(body: bytes, route: str, status: int, param: str | None, code: str) -> None:
    said = json.loads(body)
    assert KEY.encode() not in body
    assert b"Traceback" not in body
    assert b"/bifrost_trio" not in body
    assert said["error"]["message"]
    if route == "anthropic":
        assert said["type"] == "error"
        assert param is None or param in said["error"]["message"]
    else:
        assert said["error"]["param"] == param
        assert not code or said["error"]["code"] == code
    if route == "native":
        assert (said["is_bifrost_error"], said["status_code"]) == (True, status)


async def still_usable(gateway: MemoryGateway, client: Any) -> None:
    assert (await client.post(PATHS["native"], CHAT)).status == 200
    await gateway.quiet()


@pytest.mark.parametrize("route", PATHS)
@pytest.mark.parametrize(("body", "status", "param", "code"), BODIES.values(), ids=BODIES)
async def test_a_bad_body(
    body: bytes, status: int, param: str | None, code: str, route: str, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream(MockProvider())
    async with gateway_in_memory(SETTINGS, upstream) as gateway:
        client = gateway.client()
        answer = await client.post(PATHS[route], body)
        if route == "openai" and code == "model_not_found" and param == "model":
            # A drop-in route hands names that nobody knows to its own provider.
            assert upstream.requests[-1].json["model"] == json.loads(body)["model"]
            return
        assert answer.status == status, answer.body
        check(answer.body, route, status, param, code)
        assert not [request for request in upstream.requests if request.method == "POST"]
        await still_usable(gateway, client)


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("name", ["cut off", "followed by more", "two models", "broken UTF-8"])
async def test_a_bad_body_in_pieces(size: int, name: str, autojump_clock: trio.testing.MockClock) -> None:
    body, status, param, code = BODIES[name]
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(MockProvider())) as gateway:
        client = gateway.client()
        await client.send_raw(head)
        for start in range(0, len(body), size):
            await client.send_raw(body[start : start + size])
            await trio.testing.wait_all_tasks_blocked()
        answer = await client.read_answer()
        assert answer.status == status
        check(answer.body, "native", status, param, code)


REQUESTS = {
    "unknown route": ("POST", "/v1/nothing", {}, 404),
    "the path in capitals": ("POST", "/V1/chat/completions", {}, 404),
    "two slashes": ("POST", "//v1/chat/completions", {}, 404),
    "an encoded slash": ("POST", "/v1%2fchat/completions", {}, 404),
    "dots": ("POST", "/v1/x/../chat/completions", {}, 404),
    "a trailing slash": ("POST", "/v1/chat/completions/", {}, 404),
    "a wrong method": ("GET", "/v1/chat/completions", {}, 405),
    "a form": ("POST", "/v1/chat/completions", {"content-type": "application/x-www-form-urlencoded"}, 415),
    "a file": ("POST", "/v1/chat/completions", {"content-type": "multipart/form-data; boundary=x"}, 415),
    "another charset": ("POST", "/v1/chat/completions", {"content-type": "application/json; charset=latin-1"}, 415),
    "compressed": ("POST", "/v1/chat/completions", {"content-encoding": "gzip"}, 415),
    "an unknown pin": ("POST", "/v1/chat/completions", {"x-bf-api-key": "other"}, 400),
    "a key that is not taken": ("POST", "/v1/chat/completions", {"x-bf-direct-key": "sk-mine"}, 403),
    "a virtual key": ("POST", "/v1/chat/completions", {"x-bf-vk": "sk-bf-1"}, 400),
    "a header of later": ("POST", "/v1/chat/completions", {"x-bf-cache-key": "a"}, 400),
    "a flag that is none": ("POST", "/v1/chat/completions", {"x-bf-send-back-raw-request": "maybe"}, 400),
}


@pytest.mark.parametrize(("method", "path", "headers", "status"), REQUESTS.values(), ids=REQUESTS)
async def test_a_bad_request(
    method: str, path: str, headers: dict[str, str], status: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(MockProvider())) as gateway:
        client = gateway.client()
        answer = await client.request(method, path, CHAT if method == "POST" else None, headers)
        assert answer.status == status, answer.body
        assert answer.json["error"]["message"]
        for name in headers:
            if status == 400:
                assert answer.json["error"]["param"] == name
        if status == 405:
            assert answer.headers["allow"] == "POST"
        await still_usable(gateway, client)


HEADS = {
    "garbage": (b"\x00\x01\x02\r\n\r\n", 400),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    "both lengths": (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        400,
    ),
    "two lengths": (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n",
        400,
    ),
    "an unknown coding": (b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 400),
    "a space before the colon": (b"GET /health HTTP/1.1\r\nhost : a\r\n\r\n", 400),
    "a folded line": (b"GET /health HTTP/1.1\r\nhost: a\r\nx: b\r\n c\r\n\r\n", 400),
    "bare line feeds": (b"GET /health HTTP/1.1\nhost: a\n\n", 400),
    "a long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
    "an endless head": (b"GET /health HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 20_000, 431),
    "a tunnel": (b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", 501),
    "an old version": (b"GET /health HTTP/0.9\r\nhost: a\r\n\r\n", 505),
    "an unknown expectation": (b"GET /health HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\n\r\n", 417),
    "a bad chunk": (b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
}


@pytest.mark.parametrize(("data", "status"), HEADS.values(), ids=HEADS)
async def test_broken_http(data: bytes, status: int, autojump_clock: trio.testing.MockClock) -> None:
    """Answered, then closed: where the next request would begin is not known any more (RFC 9112 section 9.6)."""
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(MockProvider())) as gateway:
        client = gateway.client()
        await client.send_raw(data)
        answer = await client.read_answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert answer.json["status_code"] == status
        assert await client.read_raw() == b""
        client.hang_up()
        await gateway.quiet()


async def test_a_body_that_is_too_large(autojump_clock: trio.testing.MockClock) -> None:
    """Refused from its head, before anything of it was read."""
    settings = {**SETTINGS, "client": {"max_request_body_size_mb": 1}}
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 1048577\r\n\r\n"
    async with gateway_in_memory(settings, ScriptedUpstream(MockProvider())) as gateway:
        client = gateway.client()
        await client.send_raw(head)
        answer = await client.read_answer()
        assert (answer.status, answer.json["error"]["code"]) == (413, "body_too_large")


async def test_an_endless_body(autojump_clock: trio.testing.MockClock) -> None:
    """A chunked body tells no length: it is refused when it has passed the limit."""
    settings = {**SETTINGS, "client": {"max_request_body_size_mb": 1}}
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b'10000\r\n{"model":"openai/m","x":"' + b"a" * (0x10000 - 25) + b"\r\n"
    async with gateway_in_memory(settings, ScriptedUpstream(MockProvider())) as gateway, trio.open_nursery() as nursery:
        client = gateway.client()

        async def send() -> None:
            await client.send_raw(head + chunk)
            for _ in range(40):
                await client.send_raw(b"10000\r\n" + b"a" * 0x10000 + b"\r\n")

        nursery.start_soon(send)
        answer = await client.read_answer()
        assert (answer.status, answer.json["error"]["code"]) == (413, "body_too_large")
        nursery.cancel_scope.cancel()


async def test_a_large_body_is_scanned_as_it_comes(autojump_clock: trio.testing.MockClock) -> None:
    text = "word " * 1_000_000
    upstream = ScriptedUpstream(MockProvider())
    async with gateway_in_memory(SETTINGS, upstream) as gateway:
        body = {**CHAT, "messages": [{"role": "user", "content": text}], "max_tokens": 1}
        answer = await gateway.client().post(PATHS["native"], body)
        assert answer.status == 200
        assert upstream.requests[0].json["messages"][0]["content"] == text
        await gateway.quiet()


BIG = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n"


async def test_bodies_share_their_memory(autojump_clock: trio.testing.MockClock) -> None:
    """What has come counts, so that two that fit one by one do not fit together."""
    settings = {**SETTINGS, "server": {"memory_budget_in_mb": 1}}
    half = b'{"model":"' + b"m" * 500_000
    async with gateway_in_memory(settings, ScriptedUpstream(MockProvider())) as gateway:
        first, second, third = gateway.client(), gateway.client(), gateway.client()
        for client in (first, second):
            await client.send_raw(BIG % 600_000 + b"{")
        await trio.testing.wait_all_tasks_blocked()
        for client in (first, second):
            await client.send_raw(half[1:])
        answer = await second.read_answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        # And one that cannot fit any more is told before it has come in vain.
        await third.send_raw(BIG % 600_000 + b"{")
        answer = await third.read_answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        for client in (first, second, third):
            client.hang_up()
        await gateway.quiet()
        assert gateway.running.assembly.budget.statistics().in_flight == 0


async def test_large_bodies_that_came_whole_count_too(autojump_clock: trio.testing.MockClock) -> None:
    """Of those that come in one read only small ones are left out, as there is at most one a connection."""
    settings = {**SETTINGS, "server": {"memory_budget_in_mb": 1}}
    body = json.dumps({**CHAT, "user": "u" * 120_000}).encode()
    statuses: list[int] = []
    async with gateway_in_memory(settings, ScriptedUpstream(MockProvider("delay=9"))) as gateway:

        async def ask() -> None:
            client = gateway.client()
            await client.send_raw(BIG % len(body) + body)
            statuses.append((await client.read_answer()).status)
            client.hang_up()

        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(ask)
            await trio.sleep(1)
            assert gateway.running.assembly.budget.statistics().in_flight == 8 * len(body)
            assert statuses == [503] * 4
        await gateway.quiet()
        assert gateway.running.assembly.budget.statistics().in_flight == 0
    assert sorted(statuses) == [200] * 8 + [503] * 4


async def test_promises_take_no_memory(autojump_clock: trio.testing.MockClock) -> None:
    """Those who declare large bodies and send a byte now and then stand in nobody's way, and not for long."""
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(MockProvider())) as gateway, trio.open_nursery() as nursery:
        dripping = [gateway.client() for _ in range(12)]
        for client in dripping:
            await client.send_raw(BIG % 100_000_000 + b"{")
        await trio.testing.wait_all_tasks_blocked()
        body = json.dumps({**CHAT, "user": "u" * 2_000_000}).encode()
        honest = gateway.client()
        await honest.send_raw(BIG % len(body) + body)
        assert (await honest.read_answer()).status == 200

        async def drip() -> None:
            await trio.sleep(25)
            for client in dripping:
                await client.send_raw(b" ")

        nursery.start_soon(drip)
        for client in dripping:
            answer = await client.read_answer()
            assert (answer.status, answer.json["error"]["code"]) == (408, "body_timeout")
            client.hang_up()
        assert trio.current_time() == pytest.approx(30, abs=1)
        honest.hang_up()
        await gateway.quiet()


@pytest.mark.parametrize(("sent", "status"), [(b"POST /v1/chat", 408), (b"", None)], ids=["half a head", "nothing"])
async def test_a_head_that_does_not_come(
    sent: bytes, status: int | None, autojump_clock: trio.testing.MockClock
) -> None:
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(MockProvider())) as gateway:
        client = gateway.client()
        began = trio.current_time()
        await client.send_raw(sent)
        if status is None:
            assert await client.read_raw() == b""
            assert trio.current_time() - began == pytest.approx(75, abs=0.2)
        else:
            assert (await client.read_answer()).status == status
            assert trio.current_time() - began == pytest.approx(30, abs=0.2)
        client.hang_up()
        await gateway.quiet()


async def test_a_head_that_drips(autojump_clock: trio.testing.MockClock) -> None:
    """A byte every ten seconds keeps no connection open for longer than a head may take."""
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(MockProvider())) as gateway, trio.open_nursery() as nursery:
        client = gateway.client()

        async def drip() -> None:
            for byte in b"POST /v1/chat/completions HTTP/1.1\r\n":
                await client.send_raw(bytes([byte]))
                await trio.sleep(10)

        nursery.start_soon(drip)
        began = trio.current_time()
        assert (await client.read_answer()).status == 408
        assert trio.current_time() - began == pytest.approx(30, abs=0.2)
        nursery.cancel_scope.cancel()


async def test_a_body_that_does_not_come(autojump_clock: trio.testing.MockClock) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 100\r\n\r\n{"
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(MockProvider())) as gateway:
        client = gateway.client()
        await client.send_raw(head)
        began = trio.current_time()
        answer = await client.read_answer()
        assert (answer.status, answer.json["error"]["code"]) == (408, "body_timeout")
        assert trio.current_time() - began == pytest.approx(30, abs=0.2)


async def test_pipelined_requests_are_answered_in_order(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(MockProvider())) as gateway:
        client = gateway.client()
        body = json.dumps(CHAT).encode()
        post = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        await client.send_raw(
            b"GET /health HTTP/1.1\r\nhost: g\r\n\r\n" + post + b"GET /nothing HTTP/1.1\r\nhost: g\r\n\r\n"
        )
        received = b""
        while received.count(b"HTTP/1.1 ") < 3 or not received.endswith(b"}"):
            received += await client.read_raw()
        statuses = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [b"200", b"200", b"404"]


async def test_a_client_that_waits_to_be_asked(autojump_clock: trio.testing.MockClock) -> None:
    body = json.dumps(CHAT).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(
        body
    )
    async with gateway_in_memory(SETTINGS, ScriptedUpstream(MockProvider())) as gateway:
        client = gateway.client()
        await client.send_raw(head)
        assert await client.read_raw() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send_raw(body)
        assert (await client.read_answer()).status == 200
        await gateway.quiet()
