"""Requests of one HTTP/1.1 connection: in pieces, in chunks, too slow, refused before they were read."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from bifrost_trio.server import Timeouts
from bifrost_trio.testing import MemoryGateway, ScriptedUpstream, gateway_in_memory
from tests.server.speaking import CHAT, GET, post

# --- requests in pieces -----------------------------------------------------------------------------------------------

SMALL = {
    "get": (GET, 200),
    "post": (post({"model": "openai/m", "messages": []}), 200),
    "post in chunks": (
        b"POST /openai/v1/embeddings HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n"
        b'5;x=y\r\n{"mod\r\n1D\r\nel":"openai/m","input":"Hi!"}\r\n0\r\nx-trailer: 1\r\n\r\n',
        200,
    ),
    "a bad body": (post(b'{"model":3}'), 400),
    "no route": (b"GET /nothing?x=1 HTTP/1.1\r\nhost: g\r\nx-a: b\r\n\r\n", 404),
    "http/1.0": (b"GET /health HTTP/1.0\r\nuser-agent: x\r\n\r\n", 200),
    "an empty line first": (b"\r\n" + GET, 200),
    "an unknown expectation": (b"GET /health HTTP/1.1\r\nhost: g\r\nexpect: miracles\r\n\r\n", 417),
}


async def spoken(gateway: MemoryGateway, pieces: list[bytes]) -> tuple[int, dict[str, str], bytes]:
    client = gateway.client()
    for piece in pieces:
        await client.send_raw(piece)
        await trio.testing.wait_all_tasks_blocked()
    answer = await client.read_answer()
    client.hang_up()
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    body = answer.body
    if body.startswith(b"{"):
        said = answer.json
        for name in ("id", "extra_fields"):
            said.pop(name, None)
        body = json.dumps(said).encode()
        headers.pop("content-length", None)
    return answer.status, headers, body


@pytest.mark.parametrize(("request_", "status"), SMALL.values(), ids=SMALL)
async def test_cut_at_every_byte_the_answer_is_the_same(
    request_: bytes, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with gateway_in_memory() as gateway:
        whole = await spoken(gateway, [request_])
        assert whole[0] == status, whole
        for cut in range(1, len(request_)):
            assert await spoken(gateway, [request_[:cut], request_[cut:]]) == whole, cut
        assert await spoken(gateway, [bytes([byte]) for byte in request_]) == whole
        await gateway.quiet()


def chunked(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 10, 1000, 100_000])
async def test_a_body_in_chunks(size: int, autojump_clock: trio.testing.MockClock) -> None:
    text = "Grüße " * 5000
    body = json.dumps({**CHAT, "messages": [{"role": "user", "content": text}]}, ensure_ascii=False).encode()
    upstream = ScriptedUpstream()
    async with gateway_in_memory(None, upstream) as gateway, trio.open_nursery() as nursery:
        client = gateway.client()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nTransfer-Encoding: Chunked\r\n\r\n"
        nursery.start_soon(client.send_raw, head + b"".join(chunked(body, size)))
        answer = await client.read_answer()
        assert answer.status == 200
        assert upstream.requests[0].json["messages"][0]["content"] == text
        assert upstream.requests[0].header("transfer-encoding") is None
        assert int(upstream.requests[0].header("content-length") or 0) == len(upstream.requests[0].body)
        # The connection is in step behind the last chunk.
        assert (await client.get("/health")).status == 200


async def test_a_slow_client_that_keeps_sending(autojump_clock: trio.testing.MockClock) -> None:
    """The limits are on silence within a body and on its pace, not on its length in time."""
    body = json.dumps({**CHAT, "user": "u" * 1_500_000}).encode()
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        await client.send_raw(post(CHAT).partition(b"content-length")[0] + b"content-length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 125_000):
            await trio.sleep(25)
            await client.send_raw(body[start : start + 125_000])
        assert (await client.read_answer()).status == 200
        assert trio.current_time() > 300
        await gateway.quiet()


SLOW = {
    "half a head": (GET[:20], Timeouts(head=3), 3, 408),
    "half a head behind a request": (GET + GET[:20], Timeouts(head=3), 3, 408),
    "half a body": (post(CHAT)[:-5], Timeouts(body=4), 4, 408),
    "half a chunk": (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
        Timeouts(body=4),
        4,
        408,
    ),
    "nothing": (b"", Timeouts(keep_alive=7), 7, 0),
    "nothing behind a request": (GET, Timeouts(keep_alive=7), 7, 0),
}


@pytest.mark.parametrize(("sent", "timeouts", "limit", "status"), SLOW.values(), ids=SLOW)
async def test_a_client_that_falls_silent(
    sent: bytes, timeouts: Timeouts, limit: float, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(None, upstream, timeouts=timeouts) as gateway:
        client = gateway.client()
        began = trio.current_time()
        await client.send_raw(sent)
        if sent.startswith(GET):
            assert (await client.read_answer()).status == 200
        if status:
            answer = await client.read_answer()
            assert (answer.status, answer.headers["connection"]) == (status, "close")
        else:
            assert await client.read_raw() == b""
        assert trio.current_time() - began == pytest.approx(limit, abs=0.1)
        assert upstream.requests == []
        client.hang_up()
        await gateway.quiet()


# --- answers before the request was read ------------------------------------------------------------------------------

EARLY = {
    "no route": (b"POST /nothing HTTP/1.1\r\nhost: g\r\ncontent-length: 100000\r\n\r\n", 404),
    "a wrong method": (b"PUT /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 100000\r\n\r\n", 405),
    "a form": (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: text/plain\r\ncontent-length: 100000\r\n\r\n",
        415,
    ),
    "too large": (b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 2000000\r\n\r\n", 413),
    "a body that nobody reads": (b"GET /health HTTP/1.1\r\nhost: g\r\ncontent-length: 100000\r\n\r\n", 200),
}
ONE_MEGABYTE = {"client": {"max_request_body_size_mb": 1}}


@pytest.mark.parametrize(("head", "status"), EARLY.values(), ids=EARLY)
async def test_the_answer_reaches_a_client_that_still_sends(
    head: bytes, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    """A connection that is closed with unread bytes is reset, and takes its answer along (RFC 9112 section 9.6)."""
    async with gateway_in_memory(ONE_MEGABYTE) as gateway:
        client = gateway.client()
        await client.send_raw(head)
        for _ in range(10):
            await client.send_raw(b"x" * 5000)
            await trio.testing.wait_all_tasks_blocked()
        answer = await client.read_answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        await client.half_close()
        assert await client.read_raw() == b""
        client.hang_up()
        await gateway.quiet()


async def test_reading_on_has_an_end_in_time(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        began = trio.current_time()
        await client.send_raw(b"POST /nothing HTTP/1.1\r\nhost: g\r\ncontent-length: 100000\r\n\r\n")
        assert (await client.read_answer()).status == 404
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await trio.sleep(0.5)
                await client.send_raw(b"x")
        assert trio.current_time() - began == pytest.approx(5, abs=0.6)
        client.hang_up()
        await gateway.quiet()


async def test_reading_on_has_an_end_in_bytes(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        began, sent = trio.current_time(), 0
        await client.send_raw(b"POST /nothing HTTP/1.1\r\nhost: g\r\ncontent-length: 100000000\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await client.send_raw(b"x" * 65536)
                sent += 65536
        assert 64 * 2**20 <= sent < 65 * 2**20
        assert trio.current_time() - began < 1
        client.hang_up()
        await gateway.quiet()


# --- 100-continue -----------------------------------------------------------------------------------------------------

EXPECTING = "expect: 100-continue"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\n%b\r\ncontent-length: 2000000\r\n\r\n", 413),
        (b"POST /nothing HTTP/1.1\r\nhost: g\r\n%b\r\ncontent-length: 20\r\n\r\n", 404),
        (
            b"POST /v1/responses HTTP/1.1\r\nhost: g\r\n%b\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\n",
            415,
        ),
    ],
    ids=["too large", "no route", "compressed"],
)
async def test_refused_before_it_is_sent(head: bytes, status: int, autojump_clock: trio.testing.MockClock) -> None:
    """The client is spared the sending: no 100 before the refusal."""
    async with gateway_in_memory(ONE_MEGABYTE) as gateway:
        client = gateway.client()
        await client.send_raw(head % EXPECTING.encode())
        assert (await client.read_raw()).startswith(b"HTTP/1.1 %d " % status)
        client.hang_up()
        await gateway.quiet()


async def test_asked_for_and_sent(autojump_clock: trio.testing.MockClock) -> None:
    """Once for each request, also in chunks and on a connection that goes on."""
    body = json.dumps(CHAT).encode()
    heads = [
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nexpect: 100-Continue\r\ncontent-length: %d\r\n\r\n"
        % len(body),
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n",
    ]
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        for head, sent in zip(heads * 2, [body, b"".join(chunked(body, 20))] * 2, strict=True):
            await client.send_raw(head)
            assert await client.read_raw() == b"HTTP/1.1 100 Continue\r\n\r\n"
            for start in range(0, len(sent), 30):
                await client.send_raw(sent[start : start + 30])
                await trio.testing.wait_all_tasks_blocked()
            assert (await client.read_answer()).status == 200
        await gateway.quiet()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_not_asked_for_where_the_body_is_there(version: str, autojump_clock: trio.testing.MockClock) -> None:
    """Nor of an HTTP/1.0 client, which would not understand it (RFC 9110 section 10.1.1)."""
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        sent = post(CHAT, EXPECTING, version=version)
        if version == "1.0":
            await client.send_raw(sent[:-10])
            await trio.testing.wait_all_tasks_blocked()
            sent = sent[-10:]
        await client.send_raw(sent)
        assert (await client.read_raw()).startswith(b"HTTP/1.1 200 OK\r\n")
