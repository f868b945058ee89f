"""One HTTP/1.1 connection (RFC 9110, RFC 9112): framing, keep-alive, what is read on and what is closed."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.server import Timeouts
from bifrost_trio.testing import Client, End, MemoryGateway, Pause, ScriptedUpstream, gateway_in_memory, streamed

MESSAGES = [{"role": "user", "content": "Hello"}]
CHAT: dict[str, Any] = {"model": "openai/m", "messages": MESSAGES}
PATH = "/v1/chat/completions"
FRAMES = [
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"lo"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
GET = b"GET /health HTTP/1.1\r\nhost: g\r\n\r\n"


def post(body: dict[str, Any] | bytes, *lines: str, version: str = "1.1", path: str = PATH) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"POST {path} HTTP/{version}", "host: g", f"content-length: {len(data)}", *lines, "", ""]
    return "\r\n".join(head).encode() + data


async def answers(client: Client, number: int) -> list[tuple[int, bytes]]:
    """Status and body of so many answers, which may have come together."""
    found: list[tuple[int, bytes]] = []
    received = b""
    while len(found) < number:
        one = split(received)
        if one is None:
            piece = await client.read_raw()
            assert piece, f"the connection ended behind {len(found)} answers"
            received += piece
        else:
            status, body, received = one
            found.append((status, body))
    assert received == b""
    return found


def split(received: bytes) -> tuple[int, bytes, bytes] | None:
    """Status and body of the first answer, and what follows it; None where it is not whole."""
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        return None
    status = int(head[9:12])
    length = re.search(rb"content-length: (\d+)", head)
    if length is not None:
        size = int(length[1])
        return (status, rest[:size], rest[size:]) if len(rest) >= size else None
    body = b""
    while line := re.match(rb"([0-9a-f]+)\r\n", rest):
        size = int(line[1], 16)
        if len(rest) < line.end() + size + 2:
            return None
        body += rest[line.end() : line.end() + size]
        rest = rest[line.end() + size + 2 :]
        if size == 0:
            return status, body, rest
    return None


async def to_the_end(client: Client) -> bytes:
    received = b""
    while piece := await client.read_raw():
        received += piece
    return received


# --- how long a connection lives --------------------------------------------------------------------------------------


async def test_many_requests_on_one_connection(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        for number in range(200):
            if number % 3 == 0:
                assert (await client.get("/health")).status == 200
            else:
                body = {**CHAT, "stream": number % 3 == 1, "messages": [{"role": "user", "content": str(number)}]}
                answer = await client.post(PATH, body)
                assert (answer.status, answer.text) == (200, f"You said: {number}")
                assert "connection" not in answer.headers
        assert gateway.server.statistics().accepted == 1
        await gateway.quiet()


ENDING = {
    "asked to close": (post(CHAT, "connection: close"), "close"),
    "asked to close, in capitals and a list": (post(CHAT, "Connection: x, CLOSE"), "close"),
    "an old client": (post(CHAT, version="1.0"), "close"),
    "an old client that would stay": (post(CHAT, "connection: keep-alive", version="1.0"), "close"),
    "a stream, asked to close": (post({**CHAT, "stream": True}, "connection: close"), "close"),
    "an error, asked to close": (post(b"{", "connection: close"), "close"),
}


@pytest.mark.parametrize(("sent", "said"), ENDING.values(), ids=ENDING)
async def test_the_last_answer_says_so(sent: bytes, said: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        await client.send_raw(sent)
        answer = await client.read_answer()
        assert answer.headers["connection"] == said
        assert await client.read_raw() == b""
        client.hang_up()
        await gateway.quiet()


async def test_an_idle_connection_ends(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(timeouts=Timeouts(keep_alive=20)) as gateway:
        client = gateway.client()
        for wait in (0, 19, 19):
            await trio.sleep(wait)
            assert (await client.get("/health")).status == 200
        began = trio.current_time()
        assert await client.read_raw() == b""
        assert trio.current_time() - began == pytest.approx(20, abs=0.1)
        client.hang_up()
        await gateway.quiet()


# --- HTTP/1.0 ---------------------------------------------------------------------------------------------------------


async def test_a_stream_for_http_1_0(autojump_clock: trio.testing.MockClock) -> None:
    """No chunks: the body ends with the connection."""
    upstream = ScriptedUpstream(streamed([frame for part in FRAMES for frame in (part, Pause(1))]))
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        await client.send_raw(post({**CHAT, "stream": True}, version="1.0"))
        head, _, body = (await to_the_end(client)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"transfer-encoding" not in head
        assert body == b"".join(FRAMES)
        client.hang_up()
        await gateway.quiet()


async def test_no_host_is_needed_in_http_1_0(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        await client.send_raw(b"GET /health HTTP/1.0\r\n\r\n")
        assert (await client.read_answer()).status == 200


# --- the date ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        GET,
        post(CHAT),
        post({**CHAT, "stream": True}),
        post(b"{"),
        b"GET / HTTP/1.1\r\nhost: g\r\n\r\n",
        b"garbage\r\n\r\n",
    ],
    ids=["get", "whole", "stream", "bad body", "no route", "no request"],
)
async def test_every_answer_is_dated(sent: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        await client.send_raw(sent)
        head = (await client.read_raw()).partition(b"\r\n\r\n")[0]
        [line] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"date:")]
        date = line.partition(b": ")[2].decode()
        assert date.endswith(" GMT")
        assert abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time()) < 3


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
    """The limits are on silence within a body, not on its length in time."""
    sent = post({**CHAT, "stream": False})
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        head, body = sent[: -len(json.dumps(CHAT))], sent[-len(json.dumps(CHAT)) :]
        await client.send_raw(head)
        for start in range(0, len(body), 10):
            await trio.sleep(25)
            await client.send_raw(body[start : start + 10])
        assert (await client.read_answer()).status == 200
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


# --- pipelining -------------------------------------------------------------------------------------------------------


async def test_a_stream_between_two_others(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(
        "content=first delay=2", streamed([Pause(12), *FRAMES]), "content=third", streamed([*FRAMES])
    )
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        stream = post({**CHAT, "stream": True})
        await client.send_raw(post(CHAT) + stream + post(CHAT) + GET + stream + b"\r\n" + GET)
        found = await answers(client, 6)
        assert [status for status, _ in found] == [200] * 6
        assert b"first" in found[0][1]
        assert found[1][1] == b": waiting\n\n" + b"".join(FRAMES)
        assert b"third" in found[2][1]
        assert found[4][1] == b"".join(FRAMES)
        assert found[3][1] == found[5][1] == b'{"status":"ok"}'
        assert [request.number for request in upstream.requests] == [1, 2, 3, 4]
        await gateway.quiet()


async def test_pipelined_requests_do_not_keep_others_from_running(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway, trio.open_nursery() as nursery:
        busy, other = gateway.client(), gateway.client()
        finished: list[str] = []

        async def pipeline() -> None:
            await busy.send_raw(GET * 600)
            await answers(busy, 600)
            finished.append("pipeline")

        nursery.start_soon(pipeline)
        await trio.lowlevel.checkpoint()
        assert (await other.get("/health")).status == 200
        finished.append("other")
    assert finished == ["other", "pipeline"]


async def test_nothing_is_served_behind_a_request_that_closes(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        await client.send_raw(post(CHAT, "connection: close") + post(CHAT))
        assert (await to_the_end(client)).count(b"HTTP/1.1 200 OK") == 1
        assert len(upstream.requests) == 1


async def test_a_pipelining_client_that_leaves(autojump_clock: trio.testing.MockClock) -> None:
    """What was not begun is never begun."""
    upstream = ScriptedUpstream("stall=head")
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        await client.send_raw(post(CHAT) * 5)
        await trio.sleep(1)
        client.hang_up()
        await gateway.quiet()
        assert len(upstream.requests) == 1


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
        assert trio.current_time() - began == pytest.approx(2, abs=0.6)
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
        assert 1_000_000 < sent < 2_000_000
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


# --- answers that do not come to their end ----------------------------------------------------------------------------


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_a_broken_stream_has_no_end(end: End, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream(streamed(FRAMES[:2], end=end))) as gateway:
        client = gateway.client()
        async with client.stream(PATH, {**CHAT, "stream": True}) as stream:
            received = b""
            with pytest.raises(ConnectionBroken):
                while piece := await stream.read():
                    received += piece
            assert received.startswith(b"".join(FRAMES[:2]))
            assert b"error" in received
        client.hang_up()
        await gateway.quiet()


@pytest.mark.parametrize("path", ["/health", "/nothing", PATH])
async def test_head_among_pipelined_requests(path: str, autojump_clock: trio.testing.MockClock) -> None:
    """No body follows it, whatever its content-length says (RFC 9110 section 9.3.2)."""
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        await client.send_raw(f"HEAD {path} HTTP/1.1\r\nhost: g\r\n\r\n".encode() + GET)
        received = b""
        while not received.endswith(b'{"status":"ok"}'):
            received += await client.read_raw()
        head, _, rest = received.partition(b"\r\n\r\n")
        assert re.search(rb"content-length: [1-9]", head)
        assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
