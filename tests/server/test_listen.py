"""The server: how many connections it takes, and how it comes to its end."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from bifrost_trio.errors import GatewayError
from bifrost_trio.server import Server, Timeouts
from bifrost_trio.sockets import Poller, Socket, TlsSocket
from bifrost_trio.testing import Client, MemoryGateway, ScriptedUpstream, gateway_in_memory
from bifrost_trio.types import Body, Request, Sink
from tests.server.speaking import CHAT, PATH, Connect, post


async def gone(client: Client) -> bool:
    """Whether the gateway has closed the connection, without a byte."""
    with trio.move_on_after(0.1):
        return await client.read_raw() == b""
    return False


# --- how many ---------------------------------------------------------------------------------------------------------


async def test_what_is_counted(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream("delay=5")) as gateway, trio.open_nursery() as nursery:
        idle, busy, half = gateway.client(), gateway.client(), gateway.client()
        await idle.get("/health")
        nursery.start_soon(busy.post, PATH, CHAT)
        await half.send_raw(b"GET /hea")
        await trio.sleep(1)
        assert (gateway.server.statistics().open, gateway.server.statistics().idle) == (3, 1)
        await half.send_raw(b"lth HTTP/1.1\r\nhost: g\r\n\r\n")
        await half.read_answer()
        await trio.sleep(10)
        assert (gateway.server.statistics().open, gateway.server.statistics().idle) == (3, 3)
        await gateway.quiet()


async def test_a_socket_that_is_none(autojump_clock: trio.testing.MockClock) -> None:
    """A connection that was over before its task began costs nothing and nobody."""
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        client.reset()
        await trio.testing.wait_all_tasks_blocked()
        assert gateway.server.statistics().open == 0
        await gateway.quiet()


# --- draining ---------------------------------------------------------------------------------------------------------


async def test_idle_connections_end_now(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        fresh, served = gateway.client(), gateway.client()
        await served.get("/health")
        await trio.testing.wait_all_tasks_blocked()
        gateway.server.drain()
        assert await gone(fresh)
        assert await gone(served)
        assert gateway.server.statistics().open == 0
        gateway.server.drain()  # twice is once


async def test_a_request_that_has_come_and_was_not_read_yet_is_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Sent before the drain: on a connection that was idle, and on one that is new."""
    request = b"GET /health HTTP/1.1\r\nhost: g\r\n\r\n"
    async with gateway_in_memory() as gateway:
        clients = [gateway.client() for _ in range(20)]
        for client in clients:
            await client.get("/health")
        await trio.testing.wait_all_tasks_blocked()
        clients += [gateway.client() for _ in range(20)]
        for client in clients:
            await client.send_raw(request)
        gateway.server.drain()
        for client in clients:
            answer = await client.read_answer()
            assert answer.status == 200
            assert await client.read_raw() == b""
        assert gateway.server.statistics().open == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_in_flight_are_answered(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    """The answer says that the connection ends with it, where its head has not gone out yet."""
    async with gateway_in_memory(None, ScriptedUpstream("delay=5 gap=1")) as gateway, trio.open_nursery() as nursery:
        client = gateway.client()

        async def ask() -> None:
            answer = await client.post(PATH, {**CHAT, "stream": stream})
            assert (answer.status, answer.text) == (200, "You said: Hello")
            assert answer.headers["connection"] == "close"
            assert await client.read_raw() == b""

        nursery.start_soon(ask)
        await trio.sleep(1)
        gateway.server.drain()
        assert gateway.server.statistics().open == 1
    assert gateway.server.statistics().open == 0


async def test_a_stream_that_has_begun_comes_to_its_end(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream("gap=4")) as gateway:
        client = gateway.client()
        async with client.stream(PATH, {**CHAT, "stream": True}) as stream:
            received = await stream.read()
            gateway.server.drain()
            received += await stream.read_to_end()
            assert received.endswith(b"data: [DONE]\n\n")
        assert await client.read_raw() == b""


async def test_nothing_more_is_served(autojump_clock: trio.testing.MockClock) -> None:
    """Neither the next request of a pipeline, nor one that begins now."""
    upstream = ScriptedUpstream("delay=2")
    body = b'{"model":"openai/m","messages":[]}'
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        await client.send_raw(request * 3)
        await trio.sleep(1)
        gateway.server.drain()
        assert (await client.read_answer()).status == 200
        assert await client.read_raw() == b""
        assert len(upstream.requests) == 1


async def test_a_request_that_is_being_sent_is_answered(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        head, body = gateway.client(), gateway.client()
        await head.send_raw(b"GET /health HTT")
        await body.send_raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 34\r\n\r\n{")
        await trio.testing.wait_all_tasks_blocked()
        gateway.server.drain()
        await head.send_raw(b"P/1.1\r\nhost: g\r\n\r\n")
        await body.send_raw(b'"model":"openai/m","messages":[]}')
        for client in (head, body):
            answer = await client.read_answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await client.read_raw() == b""


# --- on a listening socket --------------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(
    place: Path, upstream: ScriptedUpstream, timeouts: Timeouts | None = None, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[MemoryGateway, Server]]:
    """A gateway behind a Unix socket at ``place``."""
    async with gateway_in_memory(None, upstream) as gateway, trio.open_nursery() as nursery:
        server = Server(gateway.running, gateway.running.poller, timeouts=timeouts, context=context)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
            listener.listen()
            listener.setblocking(False)
            await nursery.start(server.serve, [listener])
            yield gateway, server
            nursery.cancel_scope.cancel()


async def to_the_end(stream: trio.abc.ReceiveStream) -> bytes:
    received = b""
    try:
        while piece := await stream.receive_some():
            received += piece
    except trio.BrokenResourceError:
        pass
    return received


@pytest.mark.parametrize("stream", [False, True])
async def test_draining_has_an_end(
    stream: bool, tmp_path: Path, connect: Connect, autojump_clock: trio.testing.MockClock
) -> None:
    """What is not done by then is cancelled; nobody can take its answer for whole."""
    upstream = ScriptedUpstream("cut-chunk=2 end=stall" if stream else "stall=head")
    async with listening(tmp_path / "s", upstream, Timeouts(drain=7)) as (gateway, server):
        client = await connect()
        await client.send_all(post({**CHAT, "stream": stream}))
        await trio.sleep(0.2)
        began = trio.current_time()
        server.drain()
        received = await to_the_end(client)
        assert received.startswith(b"HTTP/1.1 200 OK") == stream
        assert b"0\r\n\r\n" not in received
        assert trio.current_time() - began == pytest.approx(7, abs=0.1)
        await trio.testing.wait_all_tasks_blocked()
        assert gateway.running.assembly.inference.statistics().open == 0
        assert server.statistics().open == 0
        assert upstream.statistics().abandoned == 1


async def test_serving_ends_with_the_last_connection(
    tmp_path: Path, connect: Connect, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream("delay=5")
    async with gateway_in_memory(None, upstream) as gateway:
        server = Server(gateway.running, gateway.running.poller)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            listener.listen()
            listener.setblocking(False)
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve, [listener])
                began = trio.current_time()
                idle = await connect()
                busy = await connect()
                await busy.send_all(post(CHAT))
                await trio.sleep(1)
                server.drain()
                late = await connect()
                await late.send_all(post(CHAT))
                assert await to_the_end(idle) == b""
                assert b"connection: close" in await to_the_end(busy)
            # The nursery is left: `serve` returned, and took no one after the drain.
            assert trio.current_time() - began == pytest.approx(5, abs=0.1)
            assert server.statistics().accepted == 2
            assert len(upstream.requests) == 1


async def test_more_connections_than_are_taken_at_once(
    tmp_path: Path, connect: Connect, autojump_clock: trio.testing.MockClock
) -> None:
    async with listening(tmp_path / "s", ScriptedUpstream()) as (_, server):
        clients = [await connect() for _ in range(50)]
        for client in clients:
            await client.send_all(b"GET /health HTTP/1.1\r\nhost: g\r\n\r\n")
        for client in clients:
            assert (await client.receive_some()).startswith(b"HTTP/1.1 200 OK")
        assert server.statistics().open == server.statistics().accepted == 50
        for client in clients:
            await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().open == 0


# --- TLS --------------------------------------------------------------------------------------------------------------

AUTHORITY = trustme.CA()


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("gateway.test").configure_cert(server)
    client = ssl.create_default_context()
    AUTHORITY.configure_trust(client)
    return server, client


async def test_over_tls(tmp_path: Path, connect: Connect, autojump_clock: trio.testing.MockClock) -> None:
    """Keep-alive, comments, a stream, the end: all as without."""
    server_context, client_context = contexts()
    upstream = ScriptedUpstream("", "first-output=25", "")
    async with listening(tmp_path / "s", upstream, context=server_context) as (_, server):
        raw = await connect()
        client = trio.SSLStream(raw, client_context, server_hostname="gateway.test", https_compatible=False)
        for stream in (False, True, False):
            await client.send_all(post({**CHAT, "stream": stream}))
            received = b""
            while not received.endswith(b"0\r\n\r\n" if stream else b"}"):
                received += bytes(await client.receive_some())
            assert received.startswith(b"HTTP/1.1 200 OK")
            assert received.count(b": waiting\n\n") == (2 if stream else 0)
        server.drain()
        assert await client.receive_some() == b""  # a proper end, with a close_notify


async def test_records_for_which_the_kernel_has_no_room(autojump_clock: trio.testing.MockClock) -> None:
    """`send_now` drops no half of a record: that would break the connection for good."""
    server_context, client_context = contexts()
    poller = Poller()
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        own, other = (Socket(sock, poller) for sock in socket.socketpair())
        client = TlsSocket(own, client_context, host="gateway.test")
        server = TlsSocket(other, server_context, server_side=True)
        async with trio.open_nursery() as both:
            both.start_soon(client.handshake, 5.0)
            both.start_soon(server.handshake, 5.0)
        for number in range(1000):
            assert server.send_now(b"%d" % (number % 10) * 1000) == 1000
        nursery.start_soon(server.send, b"the end", 5.0)
        received = b""
        while not received.endswith(b"the end"):
            received += await client.receive(5.0)
        assert received == b"".join(b"%d" % (number % 10) * 1000 for number in range(1000)) + b"the end"
        client.close()
        server.close()
        nursery.cancel_scope.cancel()


async def test_who_speaks_no_tls(tmp_path: Path, connect: Connect, autojump_clock: trio.testing.MockClock) -> None:
    server_context, _ = contexts()
    timeouts = Timeouts(handshake=3)
    async with listening(tmp_path / "s", ScriptedUpstream(), timeouts, server_context) as (_, server):
        for sent in (post(CHAT), b"", b"\x16\x03\x01"):
            began = trio.current_time()
            client = await connect()
            await client.send_all(sent)
            assert b"HTTP/1.1" not in await to_the_end(client)
            assert trio.current_time() - began <= 3.1
            await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().open == 0


# --- an application that fails ----------------------------------------------------------------------------------------


class Fails:
    """An application that breaks its promise to answer errors itself."""

    async def __call__(self, request: Request, body: Body, sink: Sink) -> None:
        if request.path == "/silent":
            return
        raise RuntimeError("unforeseen")

    async def refuse(self, error: GatewayError, sink: Sink) -> None:
        raise RuntimeError("unforeseen")


@pytest.mark.parametrize("path", ["/silent", "/raises"])
async def test_one_connection_alone(
    path: str, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    """It ends; nobody waits for an answer, and no other connection notices."""
    poller = Poller()
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        server = Server(Fails(), poller)
        pairs = [socket.socketpair() for _ in range(2)]
        for _, other in pairs:
            server.accept(other, nursery)
        clients = [trio.SocketStream(trio.socket.from_stdlib_socket(own)) for own, _ in pairs]
        await clients[0].send_all(b"GET %b HTTP/1.1\r\nhost: g\r\n\r\n" % path.encode())
        assert await to_the_end(clients[0]) == b""
        assert server.statistics().open == 1
        assert ("RuntimeError" in caplog.text) == (path == "/raises")
        caplog.clear()
        for client in clients:
            await client.aclose()
        nursery.cancel_scope.cancel()
