"""The gateway as a plain ASGI application, called with ``scope``, ``receive`` and ``send``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.app import RunningGateway, open_gateway
from bifrost_trio.app import app as the_app
from bifrost_trio.config import Config
from bifrost_trio.testing import End, Pause, ScriptedUpstream, streamed
from bifrost_trio.transport import AsgiTransport
from tests.asgi.in_memory import CHAT, FRAMES, PATH, Exchange, Message, Server, lifespan, post, served

# --- answers ----------------------------------------------------------------------------------------------------------


async def test_a_whole_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        exchange = await post(server).run()
        assert exchange.status == 200
        assert [message["type"] for message in exchange.sent] == ["http.response.start", "http.response.body"]
        assert exchange.headers["content-length"] == str(len(exchange.body))
        said = json.loads(exchange.body)
        assert said["choices"][0]["message"]["content"] == "You said: Hello"
        assert said["extra_fields"]["provider"] == "openai"
        assert not {"connection", "transfer-encoding", "date"} & set(exchange.headers)


async def test_a_stream(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(streamed([part for frame in FRAMES for part in (frame, Pause(1))]))
    async with served(upstream) as server:
        exchange = await post(server, {**CHAT, "stream": True}).run()
        assert (exchange.status, exchange.headers["content-type"]) == (200, "text/event-stream")
        assert exchange.headers["x-bf-provider"] == "openai"
        assert exchange.body == b"".join(FRAMES)
        assert len(exchange.sent) >= 1 + len(FRAMES)
        assert exchange.ended


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_body_in_several_messages(size: int, autojump_clock: trio.testing.MockClock) -> None:
    body = json.dumps(CHAT).encode()
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    async with served() as server:
        for parts in (pieces, [b"", *pieces, b""], [*pieces[:1], b"", *pieces[1:]]):
            exchange = await server.call("POST", PATH, *parts).run()
            assert exchange.status == 200
            assert exchange.read == len(parts)
            assert server.upstream.requests[-1].json == {**CHAT, "model": "m"}
        assert server.gateway.assembly.budget.statistics().in_flight == 0


ROUTES = {
    "health": ("GET", "/health", 200),
    "metrics": ("GET", "/metrics", 200),
    "models": ("GET", "/v1/models?provider=openai&page_size=1", 200),
    "head": ("HEAD", "/health", 200),
    "no route": ("GET", "/nothing", 404),
    "a wrong method": ("GET", PATH, 405),
    "no body": ("POST", PATH, 400),
}


@pytest.mark.parametrize(("method", "path", "status"), ROUTES.values(), ids=ROUTES)
async def test_the_other_routes(method: str, path: str, status: int, autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        exchange = await server.call(method, path).run()
        assert exchange.status == status
        assert exchange.ended


REFUSED: dict[str, tuple[dict[str, str], bytes, int]] = {
    "no JSON": ({}, b"{", 400),
    "a form": ({"content-type": "text/plain"}, b"x=y", 415),
    "a length beyond the limit": ({"content-length": "2000000"}, b"{}", 413),
    "a body beyond the limit": ({}, b'{"x":"' + b"a" * 2_000_000 + b'"}', 413),
    "a header of later": ({"x-bf-vk": "sk-bf-1"}, json.dumps(CHAT).encode(), 400),
    "names in capitals": ({"X-BF-VK": "sk-bf-1"}, json.dumps(CHAT).encode(), 400),
}


@pytest.mark.parametrize(("headers", "body", "status"), REFUSED.values(), ids=REFUSED)
async def test_refusals(
    headers: dict[str, str], body: bytes, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with served(settings={"client": {"max_request_body_size_mb": 1}}) as server:
        exchange = await post(server, body, **headers).run()
        assert exchange.status == status, exchange.body
        assert exchange.ended
        assert server.upstream.requests == []


@pytest.mark.parametrize("second", ["application/json", "text/plain", "", "multipart/form-data"])
async def test_two_media_types_are_none(second: str, autojump_clock: trio.testing.MockClock) -> None:
    """Two lines are one value (RFC 9110 section 5.3), and that is not JSON's: whoever guards the gateway may have
    looked at the other one."""
    async with served() as server:
        for name in (b"content-type", b"Content-Type"):
            exchange = post(server)
            exchange.scope["headers"].append((name, second.encode()))
            await exchange.run()
            assert (exchange.status, exchange.ended) == (415, True)
        assert server.upstream.requests == []


@pytest.mark.parametrize("raw", [True, False])
async def test_the_path_is_taken_as_it_was_sent(raw: bool, autojump_clock: trio.testing.MockClock) -> None:
    """``raw_path`` is optional (ASGI, "HTTP connection scope")."""
    async with served() as server:
        exchange = server.call("GET", "/health")
        if not raw:
            exchange.scope["raw_path"] = None
        assert (await exchange.run()).status == 200
        exchange = server.call("GET", "/v1/models")
        exchange.scope["raw_path"] = b"/v1%2Fmodels"
        assert (await exchange.run()).status == 404


async def test_a_preflight_has_no_length(autojump_clock: trio.testing.MockClock) -> None:
    """RFC 9110 section 8.6: never with a 204."""
    async with served(settings={"client": {"allowed_origins": ["*"]}}) as server:
        headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
        exchange = await server.call("OPTIONS", PATH, headers=headers).run()
        assert (exchange.status, exchange.body) == (204, b"")
        assert "content-length" not in exchange.headers
        assert exchange.headers["access-control-allow-origin"] == "*"


# --- clients that leave -----------------------------------------------------------------------------------------------

LEAVING: dict[str, tuple[Any, dict[str, Any]]] = {
    "before the head": ("stall=head", CHAT),
    "within a whole answer": ("stall=body", CHAT),
    "before the first output": ("stall=body", {**CHAT, "stream": True}),
    "within a stream": (streamed(FRAMES[:2], end=End.STALL), {**CHAT, "stream": True}),
}


@pytest.mark.parametrize(("words", "body"), LEAVING.values(), ids=LEAVING)
async def test_a_client_that_leaves_cancels_the_upstream_request(
    words: Any, body: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    """At once, and it is no failure of the application's."""
    async with served(ScriptedUpstream(words)) as server, trio.open_nursery() as nursery:
        exchange = post(server, body)
        nursery.start_soon(exchange.run)
        await trio.sleep(3)
        assert server.upstream.statistics().answering == 1
        exchange.gone.set()
        await trio.testing.wait_all_tasks_blocked()
        assert server.upstream.statistics().abandoned == 1
        assert not exchange.ended
        assert_home(server)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_clears_up_is_not_disturbed(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    """Hypercorn tells of the disconnect and makes its connection ready again while it takes the last message."""
    async with served() as server:
        exchange = post(server, {**CHAT, "stream": stream})
        exchange.clears_up = True
        await exchange.run()
        assert exchange.ended
        assert exchange.cleared_up
        assert_home(server)


async def test_a_client_that_leaves_within_its_body(autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        exchange = post(server, b'{"model":')
        exchange.leaves_within_body = True
        exchange.gone.set()
        await exchange.run()
        assert exchange.sent == []
        assert server.upstream.requests == []
        assert_home(server)


async def test_a_client_that_falls_silent_within_its_body(autojump_clock: trio.testing.MockClock) -> None:
    """The server may have no limit of its own."""
    async with served() as server:
        exchange = post(server, b'{"model":')
        exchange.leaves_within_body = True
        await exchange.run()
        assert (exchange.status, json.loads(exchange.body)["error"]["code"]) == (408, "body_timeout")
        assert trio.current_time() == pytest.approx(30, abs=0.1)
        assert_home(server)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_whose_send_fails(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        exchange = post(server, {**CHAT, "stream": stream})
        exchange.breaks = True
        await exchange.run()
        assert exchange.sent == []
        assert_home(server)


def assert_home(server: Server) -> None:
    assembly = server.gateway.assembly
    assert assembly.inference.statistics().open == 0
    assert assembly.attempts["openai"].pool.statistics().busy == 0
    assert assembly.budget.statistics().in_flight == 0


# --- answers that are not whole ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["cut-chunk=2", "cut-chunk=2 end=reset", "error-chunk=2 status=500", "garble=json"])
async def test_a_broken_stream_never_looks_whole(words: str, autojump_clock: trio.testing.MockClock) -> None:
    """The error is told in the stream, and the server hears of it too, or it would end the body properly."""
    settings = {"providers": {"openai": {"network_config": {"max_retries": 0}}}}
    async with served(ScriptedUpstream(f"{words} gap=1"), settings) as server:
        exchange = post(server, {**CHAT, "stream": True}, "/anthropic/v1/messages")
        with pytest.raises(Exception, match="broken off"):
            await exchange.run()
        assert exchange.status == 200
        assert not exchange.ended
        assert b'"type":"error"' in exchange.body
        assert b"message_stop" not in exchange.body
        assert_home(server)


# --- the other kinds of scope -----------------------------------------------------------------------------------------


async def test_a_websocket_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await server.app({"type": "websocket", "path": "/", "headers": []}, receive, send)
        assert [message["type"] for message in sent] == ["websocket.close"]


async def test_without_a_lifespan_every_request_is_told_so(autojump_clock: trio.testing.MockClock) -> None:
    for method, path in (("GET", "/health"), ("POST", PATH), ("GET", "/nothing")):
        exchange = await Exchange(the_app, method, path, (b"{}",), {}).run()
        assert (exchange.status, exchange.ended) == (500, True)
        said = json.loads(exchange.body)
        assert said["error"]["code"] == "no_lifespan"
        assert "lifespan" in said["error"]["message"]


async def test_after_the_shutdown_too(autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        app = server.app
    assert (await Exchange(app, "GET", "/health", (), {}).run()).status == 500


async def test_the_application_may_be_started_again(autojump_clock: trio.testing.MockClock) -> None:
    async with served() as server:
        app = server.app
    async with lifespan(app):
        assert (await Exchange(app, "GET", "/health", (), {}).run()).status == 200


CONFIGS = {
    "a misspelled provider": ({"providers": {"opnai": {}}}, "opnai"),
    "a plugin that is not there": ({"plugins": [{"name": "x", "enabled": True, "path": "nowhere:X"}]}, "nowhere"),
}


@pytest.mark.parametrize(("settings", "told"), CONFIGS.values(), ids=CONFIGS)
async def test_a_bad_configuration_is_told_to_the_server(
    settings: dict[str, Any], told: str, autojump_clock: trio.testing.MockClock
) -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[RunningGateway]:
        async with open_gateway(Config.from_dict(settings, {})) as gateway:
            yield gateway

    app = AsgiTransport(opened)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    [message] = sent
    assert message["type"] == "lifespan.startup.failed"
    assert told in message["message"]
    assert (await Exchange(app, "GET", "/health", (), {}).run()).status == 500
