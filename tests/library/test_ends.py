"""How a program's call ends when it does not end well, and how a program leaves one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import (
    ConnectionBroken,
    Forbidden,
    GatewayError,
    InvalidField,
    KeysExhausted,
    MalformedJson,
    ModelNotFound,
    ProviderFault,
    QueueFull,
    RateLimited,
    RequestRefused,
    StreamFault,
    TotalTimeout,
    Unreachable,
    UnsupportedOperation,
)
from bifrost_trio.library import Gateway
from bifrost_trio.plugins import Plugin
from bifrost_trio.testing import Connecting, End, Pause, ScriptedUpstream, streamed
from bifrost_trio.types import Call
from tests.library.opened import CHAT, FRAME, assert_home, opened, said

# --- errors -----------------------------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[str, dict[str, Any], type[GatewayError], int]] = {
    "400": ("status=400", {}, RequestRefused, 400),
    "401": ("status=401", {}, KeysExhausted, 502),
    "429": ("status=429", {}, RateLimited, 429),
    "500": ("status=500", {}, ProviderFault, 500),
    "a cut": ("cut-body=10", {}, ConnectionBroken, 502),
    "silence": ("stall=body", {}, TotalTimeout, 504),
    "an error with status 200": ("error-body=yes status=429", {}, StreamFault, 429),
    "an unknown provider": ("", {"model": "nobody/m"}, ModelNotFound, 404),
    "no model": ("", {"model": ""}, InvalidField, 400),
    "a model that is none": ("", {"model": None}, MalformedJson, 400),
    "a bad member": ("", {"max_tokens": -1}, MalformedJson, 400),
    "an unknown fallback": ("", {"fallbacks": ["nobody/m"]}, InvalidField, 400),
}
SETTINGS = {
    "providers": {
        "openai": {"network_config": {"max_retries": 0, "default_request_timeout_in_seconds": 60}},
        "anthropic": {},
    }
}


@pytest.mark.parametrize(("words", "members", "kind", "status"), ERRORS.values(), ids=ERRORS)
async def test_an_error_is_raised_as_what_it_is(
    words: str,
    members: dict[str, Any],
    kind: type[GatewayError],
    status: int,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Not as a group of one, and not as an answer."""
    async with opened(ScriptedUpstream(words), SETTINGS) as gateway:
        with pytest.raises(kind) as raised:
            await gateway.chat(**{**CHAT, **members})
        assert type(raised.value) is kind
        assert raised.value.status == status
        # The gateway is none the worse for it.
        assert gateway.running.assembly.inference.statistics().open == 0


STREAM_ERRORS: dict[str, tuple[str, dict[str, Any], type[GatewayError], int]] = {
    **{name: (*row[:3], 0) for name, row in ERRORS.items() if row[2] not in (ConnectionBroken, TotalTimeout)},
    "a cut before output": ("cut-chunk=0", {}, ConnectionBroken, 0),
    "a cut behind output": ("cut-chunk=2", {}, ConnectionBroken, 2),
    "an error before output": ("error-chunk=0 status=500", {}, StreamFault, 0),
    "an error behind output": ("error-chunk=2 status=500", {}, StreamFault, 2),
    "an error translated": ("error-chunk=3 status=500", {"model": "anthropic/m"}, StreamFault, 3),
}


@pytest.mark.parametrize(("words", "members", "kind", "number"), STREAM_ERRORS.values(), ids=STREAM_ERRORS)
async def test_an_error_in_a_stream(
    words: str,
    members: dict[str, Any],
    kind: type[GatewayError],
    number: int,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Raised where the next chunk would be; every chunk before it is one, and no error is handed out as a chunk."""
    settings = {"providers": {name: {"network_config": {"max_retries": 0}} for name in ("openai", "anthropic")}}
    async with opened(ScriptedUpstream(f"{words} gap=1"), settings) as gateway:
        pieces = []
        with pytest.raises(kind) as raised:
            async with gateway.stream(**{**CHAT, **members}) as chunks:
                async for chunk in chunks:
                    pieces.append(chunk["choices"][0]["delta"].get("content"))
        assert type(raised.value) is kind
        assert [piece for piece in pieces if piece] == ["You ", "said: ", "Hello"][:number]


async def test_what_a_provider_cannot_do(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as gateway:
        with pytest.raises(UnsupportedOperation):
            await gateway.embed(model="anthropic/m", input="Hello")


async def test_a_full_house(autojump_clock: trio.testing.MockClock) -> None:
    settings = {"providers": {"openai": {"concurrency_and_buffer_size": {"concurrency": 1, "buffer_size": 1}}}}
    async with opened(ScriptedUpstream("delay=5"), settings) as gateway, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(lambda: gateway.chat(**CHAT))
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(QueueFull):
            await gateway.chat(**CHAT)


async def test_a_provider_that_is_not_there(autojump_clock: trio.testing.MockClock) -> None:
    async with opened(ScriptedUpstream(connecting=Connecting.REFUSED)) as gateway:
        with pytest.raises(Unreachable):
            await gateway.chat(**CHAT)


async def test_what_a_plugin_raises(autojump_clock: trio.testing.MockClock) -> None:
    class Refuses(Plugin):
        name = "refuses"

        def before(self, call: Call) -> None:
            raise Forbidden("not on a Sunday")

    async with opened(None, None, Refuses({})) as gateway:
        with pytest.raises(Forbidden, match="Sunday"):
            await gateway.chat(**CHAT)
        with pytest.raises(Forbidden, match="Sunday"):
            await said(gateway)


async def test_misuse_is_told(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as gateway:
        with pytest.raises(ValueError, match=r"Gateway\.stream"):
            await gateway.chat(**CHAT, stream=True)
        with pytest.raises(TypeError):
            await gateway.chat(model="openai/m", messages=[object()])  # type: ignore[list-item]


class Own(Exception):
    """A program's."""


async def test_what_the_program_raises_comes_out_as_it_is(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream("gap=1")
    with pytest.raises(Own):
        async with opened(upstream) as gateway, gateway.stream(**CHAT) as chunks:
            await anext(chunks)
            raise Own


# --- leaving ----------------------------------------------------------------------------------------------------------


async def test_leaving_a_stream_early(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(streamed([part for _ in range(50) for part in (FRAME, Pause(1))], end=End.STALL))
    async with opened(upstream) as gateway:
        async with gateway.stream(**CHAT) as chunks:
            async for _ in chunks:
                break
        left = trio.current_time()
        await trio.testing.wait_all_tasks_blocked()
        assert upstream.statistics().abandoned == 1
        assert upstream.statistics().abandoned_at - left < 0.1
        assert_home(gateway)


async def test_reading_on_behind_the_block(autojump_clock: trio.testing.MockClock) -> None:
    """It does not look as if the stream had come to its end."""
    async with opened(ScriptedUpstream("gap=5")) as gateway:
        async with gateway.stream(**CHAT) as chunks:
            await anext(chunks)
        with pytest.raises(RuntimeError, match="left"):
            async for _ in chunks:
                pass


async def test_not_even_looking_at_a_stream(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream("stall=head")
    async with opened(upstream) as gateway:
        async with gateway.stream(**CHAT):
            await trio.sleep(1)
        assert_home(gateway)


async def test_a_reader_that_is_slow(autojump_clock: trio.testing.MockClock) -> None:
    """The provider waits for the program: nothing piles up between them, and no limit is on the program's time."""
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 2000)
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    upstream = ScriptedUpstream(streamed([*[chunk] * 2000, end]))
    async with opened(upstream) as gateway, gateway.stream(**CHAT) as chunks:
        await anext(chunks)
        await trio.sleep(300)
        assert upstream.statistics().answering == 1  # it stands in the kernel's buffers
        assert len([_ async for _ in chunks]) == 2000


CANCELLED: dict[str, Callable[[Gateway], Any]] = {
    "chat": lambda gateway: gateway.chat(**CHAT),
    "embed": lambda gateway: gateway.embed(model="openai/m", input="Hello"),
    "stream": said,
}


@pytest.mark.parametrize("words", ["stall=head", "stall=body"])
@pytest.mark.parametrize("ask", CANCELLED.values(), ids=CANCELLED)
async def test_the_program_s_own_scope(
    ask: Callable[[Gateway], Any], words: str, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream(words)
    async with opened(upstream) as gateway:
        began = trio.current_time()
        with trio.move_on_after(3) as scope:
            await ask(gateway)
        assert scope.cancelled_caught
        assert trio.current_time() - began == pytest.approx(3)
        await trio.testing.wait_all_tasks_blocked()
        assert upstream.statistics().open == 0
        assert_home(gateway)


async def test_a_limit_of_the_program_s(autojump_clock: trio.testing.MockClock) -> None:
    async with opened(ScriptedUpstream("stall=head")) as gateway:
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(2):
                await gateway.chat(**CHAT)
