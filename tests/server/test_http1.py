"""One HTTP/1.1 connection (RFC 9110, RFC 9112): how long it lives, in which order it answers, how it ends."""

from __future__ import annotations

import email.utils
import re
import socket
import time

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ConnectionBroken, GatewayError
from bifrost_trio.server import Server, Timeouts
from bifrost_trio.server.http1 import http_date
from bifrost_trio.sockets import Poller
from bifrost_trio.testing import End, Pause, ScriptedUpstream, gateway_in_memory, streamed
from bifrost_trio.types import Body, Request, Sink
from tests.server.speaking import CHAT, FRAMES, GET, PATH, answers, post, to_the_end

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


class Noting:
    """An application that answers at once and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, request: Request, body: Body, sink: Sink) -> None:
        self.asked.append(request.path)
        await sink.send(200, [], b"")

    async def refuse(self, error: GatewayError, sink: Sink) -> None:
        raise AssertionError(error)


async def test_few_pipelined_requests_take_turns_with_others(autojump_clock: trio.testing.MockClock) -> None:
    """Three that came in one read: each answer is no reason to serve the next before other connections' first."""
    application, poller = Noting(), Poller()
    server = Server(application, poller)
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        clients = []
        for _ in range(2):
            ours, theirs = socket.socketpair()
            server.accept(ours, nursery)
            clients.append(theirs)
        await trio.testing.wait_all_tasks_blocked()
        for client, path in zip(clients, (b"/one", b"/two"), strict=True):
            client.send(b"GET %b HTTP/1.1\r\nhost: g\r\n\r\n" % path * 3)
        await trio.testing.wait_all_tasks_blocked()
        assert len(application.asked) == 6
        turns = [set(application.asked[start : start + 2]) for start in (0, 2, 4)]
        assert turns == [{"/one", "/two"}] * 3
        for client in clients:
            assert client.recv(65536).count(b"HTTP/1.1 200 OK\r\n") == 3
            client.close()
        nursery.cancel_scope.cancel()


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


def test_the_date_is_written_as_it_is_everywhere() -> None:
    """Every month and day of the week, leap years, and numbers of one digit (RFC 9110 section 5.6.7)."""
    for now in range(0, 2_600_000_000, 86_400 * 13 + 3_661):
        assert http_date(now).decode() == email.utils.formatdate(now, usegmt=True)
