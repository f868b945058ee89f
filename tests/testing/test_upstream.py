"""The scripted upstream and the client: they do what their words say, and tell of what is not home."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.testing import (
    Connecting,
    End,
    Pause,
    Phase,
    Received,
    Script,
    ScriptedUpstream,
    config_for_tests,
    gateway_in_memory,
    hanging_upstream,
    in_pieces,
    streamed,
    whole,
)
from tests.workers.calls import ANSWER

RECORDED = whole(ANSWER).data
ONE_ATTEMPT = {"providers": {"openai": {"network_config": {"max_retries": 0}}}}


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
async def test_a_recorded_answer_in_pieces(size: int, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, ScriptedUpstream(in_pieces(RECORDED, size, gap=0.01))) as gateway:
        answer = await gateway.ask("Hello")
        assert (answer.status, answer.text) == (200, "Hi")
        await gateway.quiet()


async def test_answers_one_after_another(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(request: Received) -> Script:
        await trio.sleep(7)
        return whole({**ANSWER, "model": request.json["model"]})

    upstream = ScriptedUpstream(RECORDED, "status=404", slow)
    async with gateway_in_memory(None, upstream) as gateway:
        assert (await gateway.ask("1")).text == "Hi"
        assert (await gateway.ask("2")).status == 404
        for _ in range(2):
            began = trio.current_time()
            assert (await gateway.ask("3", model="openai/gpt-x")).json["model"] == "gpt-x"
            assert trio.current_time() - began == pytest.approx(7)
        assert [request.json["messages"][0]["content"] for request in upstream.requests] == ["1", "2", "3", "3"]
        await gateway.quiet()


async def test_an_upstream_for_each_provider(autojump_clock: trio.testing.MockClock) -> None:
    upstreams = {"openai": ScriptedUpstream("status=500"), "anthropic": ScriptedUpstream()}
    async with gateway_in_memory(None, upstreams) as gateway:
        answer = await gateway.ask("Hello", fallbacks=["anthropic/claude"])
        assert answer.text == "You said: Hello"
        assert len(upstreams["openai"].requests) == 3
        [request] = upstreams["anthropic"].requests
        assert (request.path, request.header("x-api-key")) == ("/v1/messages", "sk-test-anthropic")
        await gateway.quiet()


async def test_a_refused_connection(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(connecting=Connecting.REFUSED)
    async with gateway_in_memory(ONE_ATTEMPT, upstream) as gateway:
        assert (await gateway.ask("Hello")).status == 502
        upstream.connecting = Connecting.AT_ONCE
        assert (await gateway.ask("Hello")).status == 200
        assert upstream.dialled == 2
        await gateway.quiet()


async def test_connections_are_used_again(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        for _ in range(3):
            assert (await client.post("/v1/chat/completions", {"model": "openai/m", "messages": []})).status == 200
        assert upstream.dialled == 1
        assert upstream.statistics().received == 3
        assert upstream.statistics().open == 1
        await gateway.quiet()


async def test_a_connection_that_the_provider_closed(autojump_clock: trio.testing.MockClock) -> None:
    """Closed without a word after an answer: the next request goes over a new one, and nobody notices."""
    upstream = ScriptedUpstream("close=unsaid")
    async with gateway_in_memory(ONE_ATTEMPT, upstream) as gateway:
        for _ in range(3):
            assert (await gateway.ask("Hello")).status == 200
            await gateway.quiet()
        assert upstream.statistics().received == upstream.dialled == 3


async def test_a_stream_of_ones_own(autojump_clock: trio.testing.MockClock) -> None:
    frames: list[bytes | Pause] = [
        b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n',
        Pause(5),
        b": nothing\n\n",
    ]
    async with gateway_in_memory(ONE_ATTEMPT, ScriptedUpstream(streamed(frames, end=End.RESET))) as gateway:
        client = gateway.client()
        wire = {"model": "openai/m", "messages": [], "stream": True}
        async with client.stream("/openai/v1/chat/completions", wire) as stream:
            assert await stream.read() == frames[0]
            assert await stream.read() == frames[2]
            assert b'"error"' in await stream.read()
            with pytest.raises(ConnectionBroken):
                await stream.read()
        await gateway.quiet()


async def test_what_is_not_home_is_named(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, hanging_upstream(Phase.AFTER_HEAD)) as gateway:
        client = gateway.client()
        await client.send_raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 37\r\n\r\n")
        await client.send_raw(b'{"model": "openai/m", "messages": []}')
        with pytest.raises(AssertionError) as caught:
            await gateway.quiet()
        for words in (
            "1 calls are not settled",
            "1 connections to openai are busy",
            "1 client connections are not idle",
        ):
            assert words in str(caught.value)
        client.hang_up()
        await gateway.quiet()


async def test_bytes_as_they_are(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        await client.send_raw(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\nGET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        both = b""
        while both.count(b"HTTP/1.1 200") < 2:
            both += await client.read_raw()
        await client.send_raw(b"nonsense\r\n\r\n")
        assert (await client.read_answer()).status == 400
        assert await client.read_raw() == b""
        client.hang_up()
        await gateway.quiet()


async def test_what_a_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with gateway_in_memory():
            raise KeyError("mine")


async def test_a_function_that_fails_fails_the_test() -> None:
    def broken(request: Received) -> Script:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        async with gateway_in_memory(None, ScriptedUpstream(broken)) as gateway:
            await gateway.ask("Hello")
    assert caught.group_contains(ZeroDivisionError)


def test_the_configuration_of_tests() -> None:
    config = config_for_tests({"providers": {"groq": {"keys": [{"value": "sk-mine", "models": ["a"]}]}, "openai": {}}})
    assert config.providers["groq"].base_url == "http://groq.test"
    assert config.providers["groq"].keys[0].value.reveal() == "sk-mine"
    assert config.providers["openai"].keys[0].value.reveal() == "sk-test-openai"
    assert list(config_for_tests().providers) == ["openai", "anthropic"]
