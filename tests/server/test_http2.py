"""HTTP/2 by prior knowledge, as real clients speak it; draining; the refusal of WebSockets."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import h2.connection
import h2.events
import httpx
import pytest
import trio
from h2.errors import ErrorCodes

from bifrost_trio.server import Timeouts
from tests.server.h2_client import H2Client, by_hand
from tests.server.served import serving, until

pytestmark = pytest.mark.real_clock


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


async def test_an_idle_connection_is_taken_leave_of(provider: Any) -> None:
    async with serving(provider, Timeouts(keep_alive=0.2)) as served, by_hand(served) as client:
        goodbye = await client.until(h2.events.ConnectionTerminated)
        assert goodbye.error_code == ErrorCodes.NO_ERROR
        await client.stream.aclose()
        await until(lambda: served.server.statistics().open == 0)


async def test_a_body_that_does_not_come(provider: Any) -> None:
    async with serving(provider, Timeouts(body=0.2)) as served, by_hand(served) as client:
        client.post(None)
        await client.flush()
        response = await client.until(h2.events.ResponseReceived)
        assert dict(response.headers)[b":status"] == b"408"


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


@pytest.mark.parametrize(
    "early", [b"", b"\x81\x00", b"GET / HTTP/1.1\r\nhost: g\r\n\r\n"], ids=["", "a frame", "a request"]
)
async def test_a_websocket_is_refused(provider: Any, early: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """And its connection is over, whatever the client sent without waiting for the answer."""
    async with serving(provider) as served:
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            await stream.send_all(UPGRADE + early)
            answer = b""
            with trio.fail_after(3), suppress(trio.BrokenResourceError):
                async for piece in stream:
                    answer += piece
        if not early:
            assert answer.startswith(b"HTTP/1.1 403")
        assert answer.count(b"HTTP/1.1 ") <= 1
        await until(lambda: served.server.statistics().open == 0)
    assert not [record for record in caplog.records if record.exc_info and record.levelname != "DEBUG"]


NOT_WHOLE: dict[str, tuple[bytes, bytes]] = {
    "another protocol too": (b"upgrade: websocket", b"upgrade: websocket\r\nupgrade: h2c"),
    "a list": (b"upgrade: websocket", b"upgrade: h2c, websocket"),
    "no key": (b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "another version": (b"sec-websocket-version: 13", b"sec-websocket-version: 8"),
}


@pytest.mark.parametrize(("part", "instead"), NOT_WHOLE.values(), ids=NOT_WHOLE)
async def test_what_is_no_whole_handshake_is_an_ordinary_request(provider: Any, part: bytes, instead: bytes) -> None:
    """So that what follows on its connection is read by the gateway's own strict rules."""
    async with serving(provider) as served:
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            await stream.send_all(UPGRADE.replace(part, instead))
            with trio.fail_after(3):
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 404")
                await stream.send_all(b"GET /health HTTP/1.1\r\nhost: g\nfolded: x\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
        await until(lambda: served.server.statistics().open == 0)


async def test_http2_that_is_off(provider: Any, config: Any) -> None:
    async with serving(provider) as served:
        served.server._others.http2 = False  # type: ignore[union-attr]
        async with served.client() as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/health")
