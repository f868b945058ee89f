"""HTTP/2 by prior knowledge, as real clients speak it and as attackers do; the refusal of WebSockets."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import h2.connection
import h2.events
import httpx
import pytest
import trio
from h2.errors import ErrorCodes

from bifrost_trio.server import Timeouts
from bifrost_trio.server.h2_limits import MAX_LIVE, Allowance
from tests.server.served import Served, serving, until

pytestmark = pytest.mark.real_clock


class H2Client:
    """A client by hand: it reads only when it is told to."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.h2 = h2.connection.H2Connection()
        self.events: list[h2.events.Event] = []

    async def begin(self) -> None:
        self.h2.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        await self.stream.send_all(self.h2.data_to_send())

    def post(self, body: bytes | None, stream_id: int | None = None, path: str = "/v1/chat/completions") -> int:
        stream_id = stream_id or self.h2.get_next_available_stream_id()
        headers = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "g")]
        self.h2.send_headers(stream_id, [*headers, ("content-type", "application/json")])
        if body is not None:
            self.h2.send_data(stream_id, body, end_stream=True)
        return stream_id

    async def until(self, kind: type, *, acknowledge: bool = True) -> Any:
        with trio.fail_after(5):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        self.events.remove(event)
                        return event
                data = await self.stream.receive_some()
                assert data, f"the connection ended before any {kind.__name__}"
                self.take(data, acknowledge)
                await self.flush()

    def take(self, data: bytes, acknowledge: bool) -> None:
        events = self.h2.receive_data(data)
        self.events += events
        for event in events:
            if acknowledge and isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)


@asynccontextmanager
async def by_hand(served: Served) -> AsyncIterator[H2Client]:
    async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
        client = H2Client(stream)
        await client.begin()
        yield client


# --- what everybody does ----------------------------------------------------------------------------------------------


async def test_whole_and_streamed(provider: Any, chat: Any) -> None:
    async with serving(provider) as served, served.client() as client:
        answer = await client.post("/v1/chat/completions", json=chat())
        assert answer.http_version == "HTTP/2"
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == "hello"
        assert answer.json()["extra_fields"]["provider"] == "openai"
        assert (await client.get("/health")).json() == {"status": "ok"}
        async with client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as streamed:
            text = "".join([piece async for piece in streamed.aiter_text()])
        assert text.endswith("data: [DONE]\n\n")
        assert "one" in text
        refused = await client.post("/v1/chat/completions", json=chat("openai/small", temperature="hot", stream=7))
        assert refused.status_code == 400
        assert refused.json()["error"]["message"]
        missing = await client.get("/nowhere")
        assert missing.status_code == 404
        assert served.open_calls == 0


async def test_a_hundred_streams_at_once(provider: Any, chat: Any) -> None:
    provider.hold = True
    async with serving(provider) as served, served.client() as client:
        texts: list[str] = []

        async def one() -> None:
            async with client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as streamed:
                texts.append("".join([piece async for piece in streamed.aiter_text()]))

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(one)
            await until(lambda: provider.open_streams == 100)
            provider.let_go.set()
        assert len(texts) == 100
        assert all(text.endswith("data: [DONE]\n\n") for text in texts)
        assert served.server.statistics().accepted == 1


async def test_large_bodies_both_ways(provider: Any, chat: Any) -> None:
    provider.whole = {**provider.whole, "padding": "x" * 3_000_000}
    async with serving(provider) as served, served.client() as client:
        answer = await client.post("/v1/chat/completions", json=chat(user="y" * 3_000_000))
        assert answer.status_code == 200
        assert len(answer.json()["padding"]) == 3_000_000
        assert len(provider.requests[0]["user"]) == 3_000_000


@pytest.mark.parametrize("leave", ["stream", "connection"])
async def test_a_client_that_leaves_cancels_the_upstream(provider: Any, chat: Any, leave: str) -> None:
    provider.hold = True
    async with serving(provider) as served, by_hand(served) as client:
        stream_id = client.post(json.dumps(chat(stream=True)).encode())
        await client.flush()
        await client.until(h2.events.DataReceived)
        assert served.open_calls == 1
        if leave == "stream":
            client.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
            await client.flush()
        else:
            await client.stream.aclose()
        await until(lambda: provider.left == 1)
        await until(lambda: served.open_calls == 0)


async def test_a_broken_answer_resets_its_stream_alone(provider: Any, chat: Any) -> None:
    provider.cut = True
    async with serving(provider) as served, by_hand(served) as client:
        stream_id = client.post(json.dumps(chat(stream=True)).encode())
        await client.flush()
        # The stream's error event, and then its proper end or a reset: never a clean end without the event.
        received = b""
        while True:
            event = await client.until((h2.events.DataReceived, h2.events.StreamReset, h2.events.StreamEnded))  # type: ignore[arg-type]
            if not isinstance(event, h2.events.DataReceived):
                break
            received += event.data or b""
        assert isinstance(event, h2.events.StreamReset) or b"error" in received
        provider.cut = False
        client.post(json.dumps(chat()).encode())
        await client.flush()
        assert (await client.until(h2.events.ResponseReceived)) is not None
        assert stream_id == 1


async def test_an_answer_before_the_end_of_the_request(provider: Any) -> None:
    async with serving(provider, client={"max_request_body_size_mb": 1}) as served, by_hand(served) as client:
        await client.until(h2.events.RemoteSettingsChanged)
        # Again and again: the connection's window, of which every stream took its share, is as wide as before.
        for _ in range(8):
            stream_id = client.post(None)
            sent = await send_until_answered(client, stream_id)
            response = await client.until(h2.events.ResponseReceived)
            assert dict(response.headers)[b":status"] == b"413"
            reset = await client.until(h2.events.StreamReset)
            assert reset.error_code == ErrorCodes.NO_ERROR
            assert sent <= 2**20 + 2**19
        client.post(b"{}")
        await client.flush()
        assert dict((await client.until(h2.events.ResponseReceived)).headers)[b":status"] == b"400"


async def send_until_answered(client: H2Client, stream_id: int) -> int:
    sent = 0
    with trio.fail_after(5):
        while not any(isinstance(event, h2.events.ResponseReceived) for event in client.events):
            while size := min(client.h2.local_flow_control_window(stream_id), 16384):
                client.h2.send_data(stream_id, b" " * size)
                sent += size
            await client.flush()
            client.take(await client.stream.receive_some(), True)
    return sent


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(":method", "GET"), (":path", "/caf\xe9"), (":scheme", "http"), (":authority", "g")], b"400"),
        ([(":method", "GET"), (":path", "*"), (":scheme", "http"), (":authority", "g")], b"400"),
        ([(":method", "CONNECT"), (":authority", "g")], b"501"),
        (
            [(":method", "GET"), (":path", "/health"), (":scheme", "http"), (":authority", "g")]
            + [(f"x-{number}", "1") for number in range(130)],
            b"431",
        ),
    ],
)
async def test_requests_that_are_refused_at_once(provider: Any, headers: Any, status: bytes) -> None:
    async with serving(provider) as served, by_hand(served) as client:
        client.h2.config.validate_outbound_headers = False
        for _ in range(2):
            stream_id = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream_id, [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers], True)
            await client.flush()
            assert dict((await client.until(h2.events.ResponseReceived)).headers)[b":status"] == status


# --- what nobody should do --------------------------------------------------------------------------------------------


async def attack(served: Served, frames: Any) -> Any:
    """Sends without ever waiting for an answer; the connection's last word."""
    async with by_hand(served) as client:
        with trio.move_on_after(4):
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    try:
                        for number in range(20_000):
                            frames(client, number)
                            if number % 50 == 0:
                                await client.flush()
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        return

                nursery.start_soon(send)
                goodbye = await read_to_goodbye(client)
                nursery.cancel_scope.cancel()
                return goodbye
        raise AssertionError("nobody stopped this")


async def read_to_goodbye(client: H2Client) -> Any:
    """Reads with a connection of its own, so that the attacker's state stays as it is."""
    reader = h2.connection.H2Connection()
    reader.initiate_connection()
    received = b""
    while data := await client.stream.receive_some():
        received += data
        at = 0
        while len(received) - at >= 9:
            size = int.from_bytes(received[at : at + 3], "big")
            if len(received) - at < 9 + size:
                break
            if received[at + 3] == 7:  # GOAWAY: last stream, error code (RFC 9113 section 6.8)
                return ErrorCodes(int.from_bytes(received[at + 13 : at + 17], "big"))
            at += 9 + size
        received = received[at:]
    raise AssertionError("the connection ended without a word")


async def test_rapid_reset(provider: Any, chat: Any) -> None:
    provider.hold = True
    body = json.dumps(chat(stream=True)).encode()

    def frames(client: H2Client, number: int) -> None:
        client.h2.reset_stream(client.post(body), ErrorCodes.CANCEL)
        # The attacker does not care about windows.
        client.h2.outbound_flow_control_window = 2**20

    async with serving(provider) as served:
        assert await attack(served, frames) == ErrorCodes.ENHANCE_YOUR_CALM
        assert served.begun <= 1100
        await until(lambda: served.open_calls == 0)
        await until(lambda: provider.open_streams == 0)
        # Others are served as ever.
        provider.hold = False
        async with served.client() as client:
            assert (await client.post("/v1/chat/completions", json=chat())).status_code == 200


async def test_settings_flood(provider: Any) -> None:
    async with serving(provider) as served:
        code = await attack(served, lambda client, number: client.h2.update_settings({4: 70_000 + number}))
        assert code == ErrorCodes.ENHANCE_YOUR_CALM


async def test_ping_flood(provider: Any) -> None:
    async with serving(provider) as served:
        code = await attack(served, lambda client, number: client.h2.ping(number.to_bytes(8, "big")))
        assert code == ErrorCodes.ENHANCE_YOUR_CALM


async def test_crumbs_of_data(provider: Any) -> None:
    def frames(client: H2Client, number: int) -> None:
        if number == 0:
            client.post(None)
        client.h2.send_data(1, b"")

    async with serving(provider) as served:
        assert await attack(served, frames) == ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_client_that_takes_nothing(provider: Any, chat: Any) -> None:
    """Its window stays shut: the stream is reset, the call is over, other streams go on."""
    provider.whole = {**provider.whole, "padding": "x" * 300_000}
    async with serving(provider, Timeouts(write=0.3)) as served, by_hand(served) as client:
        client.post(json.dumps(chat()).encode())
        await client.flush()
        reset = await client.until(h2.events.StreamReset, acknowledge=False)
        assert reset.error_code == ErrorCodes.INTERNAL_ERROR
        assert served.open_calls == 0
        client.h2.increment_flow_control_window(2**20)
        client.h2.acknowledge_received_data(65535, 1)
        provider.whole.pop("padding")
        client.post(json.dumps(chat()).encode())
        await client.flush()
        await client.until(h2.events.StreamEnded)


async def test_a_client_that_reads_nothing_does_not_outlive_its_server(provider: Any, chat: Any) -> None:
    """Its windows are wide open, its socket is full: what is sent stands still inside Hypercorn's shield."""
    provider.whole = {**provider.whole, "padding": "x" * 30_000_000}
    async with serving(provider, Timeouts(write=60, drain=0.3)) as served, by_hand(served) as client:
        client.h2.update_settings({4: 2**31 - 1})
        client.h2.increment_flow_control_window(2**31 - 1 - 65535)
        client.post(json.dumps(chat()).encode())
        await client.flush()
        await until(lambda: served.gateway.assembly.inference.statistics().open == 1)
        await trio.sleep(0.3)
        served.server.drain()
        with trio.fail_after(2):
            await until(lambda: served.server.statistics().open == 0)


async def test_allowances() -> None:
    now = 0.0
    allowance = Allowance(3, 2, lambda: now)
    assert [allowance.spend() for _ in range(4)] == [True, True, True, False]
    now = 0.6
    assert [allowance.spend() for _ in range(2)] == [True, False]
    now = 100.0
    assert [allowance.spend() for _ in range(4)] == [True, True, True, False]


# --- draining ---------------------------------------------------------------------------------------------------------


async def test_drain_idle(provider: Any) -> None:
    async with serving(provider) as served, by_hand(served) as client:
        await client.until(h2.events.RemoteSettingsChanged)
        served.server.drain()
        goodbye = await client.until(h2.events.ConnectionTerminated)
        assert goodbye.error_code == ErrorCodes.NO_ERROR
        assert await client.stream.receive_some() == b""
        await until(lambda: served.server.statistics().open == 0)


async def test_drain_with_a_stream_in_flight(provider: Any, chat: Any) -> None:
    provider.hold = True
    async with serving(provider, Timeouts(drain=10)) as served, by_hand(served) as client:
        first = client.post(json.dumps(chat(stream=True)).encode())
        await client.flush()
        await client.until(h2.events.DataReceived)
        served.server.drain()
        second = client.post(json.dumps(chat()).encode())
        await client.flush()
        reset = await client.until(h2.events.StreamReset)
        assert (reset.stream_id, reset.error_code) == (second, ErrorCodes.REFUSED_STREAM)
        provider.let_go.set()
        ended = await client.until(h2.events.StreamEnded)
        assert ended.stream_id == first
        goodbye = await client.until(h2.events.ConnectionTerminated)
        assert goodbye.error_code == ErrorCodes.NO_ERROR
        assert goodbye.last_stream_id == second
        await until(lambda: served.server.statistics().open == 0)


# --- WebSocket, HTTP/1.1 beside it, costs -----------------------------------------------------------------------------

UPGRADE = (
    b"GET /v1/realtime HTTP/1.1\r\nhost: g\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize("extra", [b"", b"upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"])
async def test_a_websocket_is_refused(provider: Any, extra: bytes) -> None:
    async with serving(provider) as served:
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            await stream.send_all(UPGRADE.replace(b"\r\n\r\n", b"\r\n" + extra + b"\r\n"))
            with trio.fail_after(3):
                answer = b"".join([piece async for piece in stream])
        assert answer.startswith(b"HTTP/1.1 403" if not extra else b"HTTP/1.1 ")
        await until(lambda: served.server.statistics().open == 0)


async def test_http2_that_is_off(provider: Any, config: Any) -> None:
    async with serving(provider) as served:
        served.server._others.http2 = False  # type: ignore[union-attr]
        async with served.client() as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/health")


def test_hypercorn_is_not_imported_before_it_is_needed() -> None:
    unwanted = ("hypercorn", "h2", "wsproto", "h11")
    code = f"import sys, bifrost_trio.serving; print([m for m in {unwanted} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def hypercorns() -> Iterator[tuple[Any, list[str]]]:
    from hypercorn.app_wrappers import ASGIWrapper
    from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
    from hypercorn.protocol.h11 import H11Protocol
    from hypercorn.trio.task_group import TaskGroup
    from hypercorn.trio.tcp_server import TCPServer
    from hypercorn.trio.worker_context import TrioSingleTask, WorkerContext

    protocol = ["self", "app", "config", "context", "task_group", "connection_state", "ssl", "client", "server", "send"]
    yield H2Protocol.__init__, protocol
    yield H11Protocol.__init__, protocol
    yield H2Protocol.initiate, ["self", "headers", "settings"]
    yield H2Protocol.stream_send, ["self", "event"]
    yield H2Protocol._handle_events, ["self", "events"]
    yield H2Protocol._send_data, ["self", "stream_id"]
    yield H2Protocol._close_stream, ["self", "stream_id"]
    yield H2Protocol._create_stream, ["self", "request"]
    yield H2Protocol._window_updated, ["self", "stream_id"]
    yield StreamBuffer.close, ["self"]
    yield TCPServer.__init__, ["self", "app", "config", "context", "state", "stream"]
    yield TCPServer.protocol_send, ["self", "event"]
    yield TCPServer._read_data, ["self"]
    yield TCPServer._idle_timeout, ["self"]
    yield TCPServer._initiate_server_close, ["self"]
    yield TaskGroup.spawn_app, ["self", "app", "config", "scope", "send"]
    yield TrioSingleTask.restart, ["self", "task_group", "action"]
    yield WorkerContext.__init__, ["self", "max_requests"]
    yield ASGIWrapper.__call__, ["self", "scope", "receive", "send", "sync_spawn", "call_soon"]


def test_hypercorns_signatures_are_those_that_were_built_upon() -> None:
    for function, expected in hypercorns():
        assert parameters(function) == expected, function.__qualname__
    assert MAX_LIVE > 100
