"""The mock on a port of this machine, with clients that were not written for it."""

from __future__ import annotations

import anthropic
import httpx
import openai
import pytest
import trio

from bifrost_trio.mock import Listening, MockProvider, MockStatistics, serve_mock

pytestmark = pytest.mark.real_clock


async def started(nursery: trio.Nursery, words: str = "") -> tuple[Listening, str]:
    listening = await nursery.start(serve_mock, "127.0.0.1", 0, MockProvider(words))
    return listening, f"http://127.0.0.1:{listening.port}"


async def test_the_sdks_are_content() -> None:
    async with trio.open_nursery() as nursery:
        _, url = await started(nursery)
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as gpt:
            chat = await gpt.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
            assert chat.choices[0].message.content == "You said: Hi"
            with pytest.raises(openai.RateLimitError):
                await gpt.chat.completions.create(model="mock-429", messages=[])
        async with (
            anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0) as claude,
            claude.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as stream,
        ):
            assert await stream.get_final_text() == "You said: Hi"
        nursery.cancel_scope.cancel()


async def test_it_counts_what_it_sees() -> None:
    async with trio.open_nursery() as nursery:
        listening, url = await started(nursery)
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/health")).json() == {"status": "ok"}
            assert (await client.get("/v1/models")).json()["data"][0]["id"] == "mock-1"
            told = listening.statistics()
            assert (told.accepted, told.open, told.received, told.answering, told.abandoned) == (1, 1, 2, 0, 0)
        nursery.cancel_scope.cancel()


async def test_it_sees_at_once_that_a_client_leaves() -> None:
    async with trio.open_nursery() as nursery:
        listening, _ = await started(nursery, "stall=body")
        stream = await trio.open_tcp_stream("127.0.0.1", listening.port)
        await stream.send_all(b"POST /v1/responses HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}")
        assert await stream.receive_some()
        left = trio.current_time()
        await stream.aclose()
        told = await abandoned(listening)
        assert told.abandoned_at - left <= 0.1
        assert (told.open, told.answering) == (0, 0)
        nursery.cancel_scope.cancel()


async def abandoned(listening: Listening) -> MockStatistics:
    with trio.fail_after(5):
        while not listening.statistics().abandoned or listening.statistics().open:
            await trio.lowlevel.checkpoint()
    return listening.statistics()


async def test_a_reset_is_a_reset() -> None:
    async with trio.open_nursery() as nursery:
        listening, _ = await started(nursery, "reset=body")
        stream = await trio.open_tcp_stream("127.0.0.1", listening.port)
        await stream.send_all(b"POST /v1/responses HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}")
        with pytest.raises(trio.BrokenResourceError) as caught:
            while await stream.receive_some():
                pass
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        await stream.aclose()
        nursery.cancel_scope.cancel()
