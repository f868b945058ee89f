"""Clients that mean harm, or are clumsy: what they hold is given back in time, and nobody else waits for it."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.testing import Client, MemoryGateway, ScriptedUpstream, gateway_in_memory

CHAT = json.dumps({"model": "openai/mock-1", "messages": [{"role": "user", "content": "hi"}]}).encode()
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n"
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(CHAT) + CHAT
HEALTH = b"GET /health HTTP/1.1\r\nhost: g\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: g\r\n\r\n"


def chunked(*fields: bytes) -> bytes:
    return HEAD + b"".join(field + b"\r\n" for field in fields) + b"\r\n%x\r\n" % len(CHAT) + CHAT + b"\r\n0\r\n\r\n"


async def received(client: Client) -> bytes:
    """Until the connection ends, or nothing moves for three seconds."""
    data = b""
    with trio.move_on_after(3):
        while piece := await client.read_raw():
            data += piece
    return data


async def assert_serves(gateway: MemoryGateway) -> None:
    assert (await gateway.ask("hi")).status == 200
    await gateway.quiet()


SMUGGLING = {
    "length and chunks": chunked(b"content-length: %d" % len(CHAT), b"transfer-encoding: chunked") + SMUGGLED,
    "chunks and no length": chunked(b"transfer-encoding: chunked", b"content-length: 0") + SMUGGLED,
    "two codings": chunked(b"transfer-encoding: gzip, chunked") + SMUGGLED,
    "chunks twice": chunked(b"transfer-encoding: chunked", b"transfer-encoding: chunked") + SMUGGLED,
    "a vertical tab": chunked(b"transfer-encoding: \x0bchunked") + SMUGGLED,
    "a blank behind the name": chunked(b"transfer-encoding : chunked") + SMUGGLED,
    "a folded line": chunked(b"transfer-encoding:", b" chunked") + SMUGGLED,
    "two lengths": HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n" + SMUGGLED,
    "a list of lengths": HEAD + b"content-length: 5, 5\r\n\r\n" + SMUGGLED,
    "a length with a sign": HEAD + b"content-length: +5\r\n\r\n" + SMUGGLED,
    "a bare LF": HEAD.replace(b"\r\n", b"\n") + b"\n" + SMUGGLED,
    "a bare CR": HEAD + b"a: b\rcontent-length: 5\r\n\r\n" + SMUGGLED,
    "a NUL": HEAD + b"a: b\0\r\n\r\n" + SMUGGLED,
    "a chunk size with a sign": HEAD + b"transfer-encoding: chunked\r\n\r\n+5\r\n" + SMUGGLED,
    "a chunk that ends with LF": HEAD + b"transfer-encoding: chunked\r\n\r\n2\n{}\n0\n\n" + SMUGGLED,
    "a trailer that frames": HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 5\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("sent", SMUGGLING.values(), ids=SMUGGLING)
async def test_nothing_is_smuggled(sent: bytes, autojump_clock: trio.testing.MockClock) -> None:
    """One refusal, and what follows is not read as a request."""
    async with gateway_in_memory(None, ScriptedUpstream("")) as gateway:
        client = gateway.client()
        await client.send_raw(sent)
        data = await received(client)
        assert data.count(b"HTTP/1.1 ") == 1
        assert data.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
        client.hang_up()
        await assert_serves(gateway)


async def test_a_body_that_drips(autojump_clock: trio.testing.MockClock) -> None:
    """A few of those must not take the memory that all bodies share: each is given up as soon as it is too slow."""
    settings = {"server": {"memory_budget_in_mb": 1}}
    async with gateway_in_memory(settings, ScriptedUpstream("")) as gateway, trio.open_nursery() as nursery:
        client = gateway.client()
        await client.send_raw(HEAD + b"content-length: 1000000\r\n\r\n{")

        async def drip() -> None:
            for _ in range(100):
                await trio.sleep(5)
                await client.send_raw(b" ")

        nursery.start_soon(drip)
        answer = await client.read_answer()
        assert (answer.status, answer.json["error"]["code"]) == (408, "body_timeout")
        assert trio.current_time() == pytest.approx(30, abs=1)
        nursery.cancel_scope.cancel()
        client.hang_up()
        await assert_serves(gateway)


async def test_a_large_body_may_take_its_time(autojump_clock: trio.testing.MockClock) -> None:
    body = CHAT[:-1] + b',"user":"' + b"a" * 2_000_000 + b'"}'
    async with gateway_in_memory(None, ScriptedUpstream("")) as gateway:
        client = gateway.client()
        await client.send_raw(HEAD + b"content-length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 20_000):
            await client.send_raw(body[start : start + 20_000])
            await trio.sleep(1)
        assert (await client.read_answer()).status == 200


async def test_left_at_every_byte(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream("")) as gateway:
        for end in range(0, len(WHOLE) + 1, 3):
            for leave in ("close", "reset", "half"):
                client = gateway.client()
                await client.send_raw(WHOLE[:end])
                if leave == "half":
                    await client.half_close()
                    try:
                        await received(client)
                    except ConnectionBroken:
                        pass
                if leave == "reset":
                    client.reset()
                client.hang_up()
        await trio.testing.wait_all_tasks_blocked()
        await assert_serves(gateway)


async def test_a_thousand_requests_at_once_on_one_connection(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream("")) as gateway:
        client = gateway.client()
        await client.send_raw(HEALTH * 1000 + WHOLE)
        other = await gateway.client().get("/health")
        assert other.status == 200
        data = b""
        while data.count(b"HTTP/1.1 200 OK") < 1001:
            data += await client.read_raw()
        client.hang_up()
        await assert_serves(gateway)


async def test_headers_for_the_provider_cannot_speak_for_the_gateway(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream("")
    names = ["host", "authorization", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te"]
    names += ["content-type", "content-encoding", "cookie", "x-api-key", "proxy-connection", "http2-settings"]
    async with gateway_in_memory(None, upstream) as gateway:
        await gateway.ask("hi")
        client = gateway.client()
        wire = json.loads(CHAT)
        for name in names:
            for spelled in (f"x-bf-eh-{name}", f"X-BF-EH-{name.title()}"):
                assert (await client.post("/v1/chat/completions", wire, {spelled: "0"})).status == 200
        assert (await client.post("/v1/chat/completions", wire, {"x-bf-eh-a": "b%0d%0aevil: 1"})).status == 200
        await gateway.quiet()
    plain, *others, last = [request.headers for request in upstream.requests]
    lengths = {b"content-length"}
    for headers in others:
        assert [h for h in headers if h[0] not in lengths] == [h for h in plain if h[0] not in lengths]
    assert (b"a", b"b%0d%0aevil: 1") in last
    assert b"evil" not in dict(last)
