"""Comments for a client that waits for a stream: when they come, and that nothing but the status is committed."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio._wire import EventReader
from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.testing import (
    Client,
    Connecting,
    Pause,
    Received,
    Script,
    ScriptedUpstream,
    gateway_in_memory,
    streamed,
    whole,
)
from tests.server.speaking import FRAMES

CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
COMMENT = b": waiting\n\n"
ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "native": ("/v1/chat/completions", CHAT),
    "drop-in": ("/openai/v1/chat/completions", CHAT),
    "translated": ("/anthropic/v1/messages", {**CHAT, "max_tokens": 9}),
    "text": ("/v1/completions", {"model": "openai/m", "prompt": "Hello", "stream": True}),
    "responses": ("/v1/responses", {"model": "openai/m", "input": "Hello", "stream": True}),
}


async def timed(client: Client, path: str, body: dict[str, Any]) -> tuple[list[tuple[float, bytes]], bool]:
    """Each piece of a stream's body with the second at which it came, and whether the body came to its end."""
    began = trio.current_time()
    pieces = []
    async with client.stream(path, body) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        try:
            async for piece in stream:
                pieces.append((trio.current_time() - began, piece))
        except ConnectionBroken:
            return pieces, False
    return pieces, True


def comments(pieces: list[tuple[float, bytes]]) -> list[int]:
    """The seconds at which there were comments."""
    return [round(at) for at, piece in pieces for _ in range(piece.count(COMMENT))]


def said(pieces: list[tuple[float, bytes]]) -> bytes:
    return b"".join(piece for _, piece in pieces).replace(COMMENT, b"")


@pytest.mark.parametrize(("path", "body"), ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("delay=9.9", []),
        ("delay=10.1", [10]),
        ("first-output=35", [10, 20, 30]),
        ("delay=15 first-output=20", [10, 20, 30]),
        ("first-output=25 gap=12", [10, 20]),
        ("gap=30", []),
    ],
)
async def test_when_they_come(
    words: str, expected: list[int], path: str, body: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    """After ten seconds without output, every ten seconds, and never once output has begun."""
    async with gateway_in_memory(None, ScriptedUpstream(f"{words} content='one two'")) as gateway:
        pieces, complete = await timed(gateway.client(), path, body)
        assert complete
        assert comments(pieces) == expected
        await gateway.quiet()
    async with gateway_in_memory({"server": {"stream_comment_after_seconds": 0}}, ScriptedUpstream(words)) as gateway:
        pieces, complete = await timed(gateway.client(), path, body)
        assert complete
        assert comments(pieces) == []


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/openai/v1/chat/completions"])
async def test_behind_them_the_stream_is_byte_exact(path: str, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(streamed([Pause(25), *FRAMES]))
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        for _ in range(2):  # the connection is kept alive
            pieces, complete = await timed(client, path, CHAT)
            assert complete
            assert comments(pieces) == [10, 20]
            assert said(pieces) == b"".join(FRAMES)
        await gateway.quiet()


@pytest.mark.parametrize(("interval", "number"), [(0.5, 40), (3, 6), (60, 0)])
async def test_the_interval_is_configured(interval: float, number: int, autojump_clock: trio.testing.MockClock) -> None:
    settings = {"server": {"stream_comment_after_seconds": interval}}
    async with gateway_in_memory(settings, ScriptedUpstream("delay=20.2")) as gateway:
        pieces, _ = await timed(gateway.client(), "/v1/chat/completions", CHAT)
        assert len(comments(pieces)) == number


async def test_each_client_s_time_is_its_own(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream("delay=25")
    found: dict[int, list[int]] = {}
    async with gateway_in_memory(None, upstream) as gateway, trio.open_nursery() as nursery:

        async def ask(number: int) -> None:
            await trio.sleep(number)
            pieces, _ = await timed(gateway.client(), "/v1/chat/completions", CHAT)
            found[number] = comments(pieces)

        for number in range(9):
            nursery.start_soon(ask, number)
    assert found == {number: [10, 20] for number in range(9)}


async def test_whole_answers_have_none(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream("delay=45")) as gateway:
        answer = await gateway.ask("Hello")
        assert (answer.status, COMMENT in answer.body) == (200, False)


async def test_http_1_0_has_none(autojump_clock: trio.testing.MockClock) -> None:
    """Its body ends with the connection; the status stays the true one."""
    body = b'{"model":"openai/m","messages":[{"role":"user","content":"Hello"}],"stream":true}'
    async with gateway_in_memory(None, ScriptedUpstream("delay=35 status=400")) as gateway:
        client = gateway.client()
        await client.send_raw(b"POST /v1/chat/completions HTTP/1.0\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        answer = await client.read_answer()
        assert (answer.status, COMMENT in answer.body) == (400, False)
        client.hang_up()
        await gateway.quiet()


# --- what fails behind a comment --------------------------------------------------------------------------------------

FAILURES = {
    "the provider's 500": ("delay=12 status=500", "openai"),
    "the provider's 400": ("delay=12 status=400", "openai"),
    "a reset": ("delay=12 reset=head", "openai"),
    "an error before output": ("first-output=12 error-chunk=0 status=429", "openai"),
    "silence": ("stall=head", "openai"),
    "no key": ("delay=12 status=401", "openai"),
}


@pytest.mark.parametrize(("path", "body"), ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize(("words", "provider"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_is_told_in_the_stream(
    words: str, provider: str, path: str, body: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    """In the format's own error event, behind the comments; the body has no end."""
    settings = {"providers": {"openai": {"network_config": {"max_retries": 0}}}}
    async with gateway_in_memory(settings, ScriptedUpstream(words)) as gateway:
        pieces, complete = await timed(gateway.client(), path, body)
        assert not complete
        assert comments(pieces)[0] == 10
        [(event, data, _)] = EventReader().feed(said(pieces))
        assert b'"message":' in data
        if path.startswith("/anthropic") or path.endswith("responses"):
            assert (event, b'"type":"error"' in data) == ("error", True)
        else:
            assert (event, b'"error":{' in data) == ("message", True)
        await gateway.quiet()


@pytest.mark.parametrize(("path", "body"), ROUTES.values(), ids=ROUTES)
async def test_a_fallback_behind_a_comment(
    path: str, body: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    """The status was all that was committed."""
    settings = {
        "providers": {
            "openai": {"network_config": {"max_retries": 0}},
            "other": {"custom_provider_config": {"base_provider_type": "openai"}},
        }
    }
    upstreams = {
        "openai": ScriptedUpstream("delay=12 status=500"),
        "other": ScriptedUpstream("delay=10 content='All is well'"),
    }
    async with gateway_in_memory(settings, upstreams) as gateway:
        pieces, complete = await timed(gateway.client(), path, {**body, "fallbacks": ["other/m"]})
        assert complete
        assert comments(pieces) == [10, 20]
        assert b"well" in said(pieces)
        assert b"is_bifrost_error" not in said(pieces)
        await gateway.quiet()


async def test_a_retry_behind_a_comment(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream("delay=12 reset=head", streamed([Pause(15), *FRAMES]))
    async with gateway_in_memory(None, upstream) as gateway:
        pieces, complete = await timed(gateway.client(), "/v1/chat/completions", CHAT)
        assert complete
        assert comments(pieces) == [10, 20]
        assert said(pieces) == b"".join(FRAMES)


# --- clients that leave, or do not read -------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [5, 15, 30])
async def test_the_client_leaves(after: float, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream("stall=head")
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        with trio.move_on_after(after):
            async with client.stream("/v1/chat/completions", CHAT) as stream:
                await stream.read_to_end()
        client.hang_up()
        await gateway.quiet()
        assert upstream.statistics().abandoned == 1
        assert upstream.statistics().open == 0
        # The comments that were still to come reach nobody and hurt nobody.
        await trio.sleep(30)
        await gateway.quiet()


async def test_the_wait_for_a_worker_counts(autojump_clock: trio.testing.MockClock) -> None:
    settings = {"providers": {"openai": {"concurrency_and_buffer_size": {"concurrency": 1, "buffer_size": 9}}}}
    async with gateway_in_memory(settings, ScriptedUpstream("delay=14")) as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(gateway.ask, "Hello")
        await trio.sleep(0.1)
        pieces, complete = await timed(gateway.client(), "/v1/chat/completions", CHAT)
        assert (comments(pieces), complete) == ([10, 20], True)


async def test_connecting_counts(autojump_clock: trio.testing.MockClock) -> None:
    settings = {"providers": {"openai": {"network_config": {"connect_timeout_in_seconds": 12, "max_retries": 1}}}}
    upstream = ScriptedUpstream(connecting=Connecting.HANGS)
    async with gateway_in_memory(settings, upstream) as gateway:
        pieces, complete = await timed(gateway.client(), "/v1/chat/completions", CHAT)
        assert (comments(pieces), complete) == ([10, 20], False)


async def test_a_client_that_has_not_read_its_last_answer(autojump_clock: trio.testing.MockClock) -> None:
    """The kernel has no room for the comment, nor for the head before it: they come when it has."""
    room = what_a_socket_takes()
    length = 0

    def answer(request: Received) -> Script:
        if request.json.get("stream"):
            return streamed([Pause(25), *FRAMES])
        return whole(b'{"x":"%b"}' % (b"x" * (length - 8)))

    async with gateway_in_memory(None, ScriptedUpstream(answer)) as gateway:
        length = room - 1000
        head = len(await first_answer(gateway.client(), length)) - length
        length = room - head
        client = gateway.client()
        await client.send_raw(request({**CHAT, "stream": False}) + request(CHAT))
        await trio.sleep(30)
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += await client.read_raw()
        assert received[room:].startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        frames = dechunked(received[room:].partition(b"\r\n\r\n")[2])
        assert frames.count(COMMENT) == 1
        assert frames.replace(COMMENT, b"") == b"".join(FRAMES)
        await gateway.quiet()


def dechunked(body: bytes) -> bytes:
    found = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        found += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return found


def request(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    return b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)


async def first_answer(client: Client, length: int) -> bytes:
    await client.send_raw(request({**CHAT, "stream": False}))
    received = b""
    while len(received) < length or not received.endswith(b"}"):
        received += await client.read_raw()
    return received


def what_a_socket_takes() -> int:
    """Bytes that the kernel takes of one write into an empty connection of these tests."""
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        return one.send(bytes(10_000_000))
