"""The gateway inside a program: what it can be asked for, with what, and for how long."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.config import Config
from bifrost_trio.errors import (
    ConfigError,
    Draining,
    MalformedAnswer,
)
from bifrost_trio.library import Gateway
from bifrost_trio.testing import Pause, ScriptedUpstream, config_for_tests, streamed
from bifrost_trio.types import Options
from tests.library.opened import CHAT, FRAME, MESSAGES, opened, said

# --- what can be asked for --------------------------------------------------------------------------------------------


async def test_the_four_whole_operations(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    async with opened(upstream) as gateway:
        chat = await gateway.chat(**CHAT, temperature=0.5)
        assert chat["choices"][0]["message"]["content"] == "You said: Hello"
        complete = await gateway.complete(model="openai/m", prompt="Hello")
        assert complete["choices"][0]["text"] == "You said: Hello"
        embed = await gateway.embed(model="openai/m", input=["a", "b"])
        assert [one["object"] for one in embed["data"]] == ["embedding", "embedding"]
        respond = await gateway.respond(model="openai/m", input="Hello", instructions="Be brief.")
        assert respond["object"] == "response"
        for answer, kind in zip(
            [chat, complete, embed, respond],
            ["chat_completion", "text_completion", "embedding", "responses"],
            strict=True,
        ):
            assert answer["extra_fields"]["request_type"] == kind
        assert upstream.requests[0].json == {"model": "m", "messages": MESSAGES, "temperature": 0.5}
        assert upstream.requests[3].json["instructions"] == "Be brief."


@pytest.mark.parametrize("model", ["openai/m", "anthropic/m"])
async def test_a_stream(model: str, autojump_clock: trio.testing.MockClock) -> None:
    async with opened(ScriptedUpstream("gap=1")) as gateway:
        assert await said(gateway, model=model) == "You said: Hello"


async def test_a_stream_comes_as_it_is_said(autojump_clock: trio.testing.MockClock) -> None:
    """The first chunk is there long before the last one."""
    async with opened(ScriptedUpstream("gap=10")) as gateway:
        began = trio.current_time()
        async with gateway.stream(**CHAT) as chunks:
            await anext(chunks)
            assert trio.current_time() - began < 1
            times = [round(trio.current_time() - began) async for chunk in chunks if chunk["choices"][0]["delta"]]
        assert times[-1] == 20


async def test_what_a_chunk_is(autojump_clock: trio.testing.MockClock) -> None:
    """Comments, names of events, cuts anywhere, ``[DONE]``: none of it is the program's business."""
    frames = [
        b": hello\n\n",
        b"data:\n\n",
        b"event: ping\n\n",
        b'event: x\r\ndata: {"n": 1}\r\n\r\ndata: {"n":',
        b" 2}\n",
        b'\ndata: {"n": 3, "choices":[{"index":0,"delta":{"content":"\xc3',
        b'\xa9"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
    ]
    async with opened(ScriptedUpstream(streamed([part for f in frames for part in (f, Pause(1))]))) as gateway:
        async with gateway.stream(**CHAT) as chunks:
            found = [chunk async for chunk in chunks]
        assert [chunk.get("n") for chunk in found] == [1, 2, 3, None]
        assert found[2]["choices"][0]["delta"]["content"] == "é"
        # The end stays the end.
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)


async def test_a_fallback(autojump_clock: trio.testing.MockClock) -> None:
    settings = {"providers": {"openai": {"network_config": {"max_retries": 0}}, "anthropic": {}}}
    async with opened(ScriptedUpstream("status=500 host=openai.test"), settings) as gateway:
        answer = await gateway.chat(**CHAT, fallbacks=["anthropic/claude"])
        assert answer["extra_fields"]["routing_info"]["is_fallback"] is True
        assert await said(gateway, fallbacks=["anthropic/claude"]) == "You said: Hello"


async def test_many_calls_at_once(autojump_clock: trio.testing.MockClock) -> None:
    answers: dict[int, str] = {}
    async with opened(ScriptedUpstream("delay=1 gap=0.5")) as gateway:
        began = trio.current_time()

        async def ask(number: int) -> None:
            messages = [{"role": "user", "content": str(number)}]
            if number % 2:
                answers[number] = await said(gateway, messages=messages)
            else:
                answer = await gateway.chat(model="openai/m", messages=messages)
                answers[number] = answer["choices"][0]["message"]["content"]

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(ask, number)
        assert answers == {number: f"You said: {number}" for number in range(100)}
        assert trio.current_time() - began < 5


@pytest.mark.parametrize("data", [b'{"choices"', b"7", b'"\xff"', b"null", b"<html>"])
async def test_what_is_no_chunk(data: bytes, autojump_clock: trio.testing.MockClock) -> None:
    frames: list[bytes | Pause] = [FRAME, Pause(1), b"data: %b\n\n" % data, Pause(1), FRAME]
    async with opened(ScriptedUpstream(streamed(frames))) as gateway:
        with pytest.raises(MalformedAnswer):
            await said(gateway)


# --- options ----------------------------------------------------------------------------------------------------------

KEYS = [{"name": name, "value": f"sk-{name}", "models": ["*"], "weight": 1} for name in ("a", "b", "c")]


@pytest.mark.parametrize("name", ["a", "b", "c"])
async def test_a_pinned_key(name: str, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    options = Options()
    options.key_name = name
    async with opened(upstream, {"providers": {"openai": {"keys": KEYS}}}) as gateway:
        for _ in range(5):
            answer = await gateway.chat(**CHAT, options=options)
            assert answer["extra_fields"]["routing_info"]["key"] == name
            assert await said(gateway, options=options) == "You said: Hello"
        assert {request.header("authorization") for request in upstream.requests} == {f"Bearer sk-{name}"}


async def test_the_other_options(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    options = Options()
    options.raw_request = options.raw_response = True
    options.extra_headers = [(b"x-trace", b"7")]
    async with opened(upstream) as gateway:
        answer = await gateway.chat(**CHAT, options=options)
        assert answer["extra_fields"]["raw_request"] == upstream.requests[0].json
        assert answer["extra_fields"]["raw_response"]["choices"] == answer["choices"]
        assert upstream.requests[0].header("x-trace") == "7"


# --- where its configuration comes from -------------------------------------------------------------------------------

PLAIN: dict[str, Any] = {
    "providers": {
        "openai": {
            "keys": [{"name": "k", "value": "env.MY_KEY", "models": ["*"]}],
            "network_config": {"base_url": "http://openai.test"},
        }
    }
}


@pytest.mark.parametrize("form", ["dict", "path", "text", "config"])
async def test_a_configuration(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-from-the-environment")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(PLAIN))
    config = Config.from_dict(PLAIN, {"MY_KEY": "sk-from-the-environment"})
    given: dict[str, Any] = {"dict": PLAIN, "path": path, "text": str(path), "config": config}
    upstream = ScriptedUpstream()
    async with trio.open_nursery() as nursery:
        upstream.attach(nursery)
        async with Gateway(given[form], dial=upstream.dial) as gateway:
            await gateway.chat(**CHAT)
        nursery.cancel_scope.cancel()
    assert upstream.requests[0].header("authorization") == "Bearer sk-from-the-environment"


async def test_the_environment_alone(monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    async with Gateway() as gateway:
        [key] = gateway.running.assembly.attempts["openai"].keys.keys
        assert key.value == "sk-openai"


@pytest.mark.parametrize(
    ("config", "told"),
    [({"providers": {"opnai": {}}}, "opnai"), ("nowhere.json", "nowhere"), (Path("nowhere.json"), "nowhere")],
)
async def test_a_bad_configuration(config: Any, told: str, autojump_clock: trio.testing.MockClock) -> None:
    gateway = Gateway(config)  # nothing is read before it is entered
    with pytest.raises(ConfigError) as raised:
        async with gateway:
            pass
    assert told in str(raised.value)
    with pytest.raises(RuntimeError, match="not open"):
        await gateway.chat(**CHAT)


# --- its life ---------------------------------------------------------------------------------------------------------


async def test_before_and_after(autojump_clock: trio.testing.MockClock) -> None:
    gateway = Gateway(config_for_tests())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not open"):
            await gateway.chat(**CHAT)
        with pytest.raises(RuntimeError, match="not open"):
            async with gateway.stream(**CHAT):
                pass
        async with gateway:
            pass


async def test_it_may_be_opened_again(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    async with trio.open_nursery() as nursery:
        upstream.attach(nursery)
        gateway = Gateway(config_for_tests(), dial=upstream.dial)
        tasks = trio.lowlevel.current_statistics().tasks_living
        for _ in range(3):
            async with gateway:
                await gateway.chat(**CHAT)
            await trio.testing.wait_all_tasks_blocked()
            assert trio.lowlevel.current_statistics().tasks_living == tasks
            assert upstream.statistics().open == 0
        nursery.cancel_scope.cancel()


async def test_two_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with opened(ScriptedUpstream("content=one")) as one, opened(ScriptedUpstream("content=two")) as two:
        assert (await said(one), await said(two)) == ("one", "two")


async def test_the_block_is_left_while_a_call_is_on_its_way(autojump_clock: trio.testing.MockClock) -> None:
    """The call cannot be answered any more. It ends, and with an error."""
    upstream = ScriptedUpstream("stall=body")
    ended: list[BaseException] = []
    async with trio.open_nursery() as nursery:
        upstream.attach(nursery)
        gateway = Gateway(config_for_tests(), dial=upstream.dial)

        async def ask(call: Callable[[Gateway], Any]) -> None:
            try:
                await call(gateway)
            except Exception as error:
                ended.append(error)

        async with gateway:
            nursery.start_soon(ask, said)
            nursery.start_soon(ask, lambda gateway: gateway.chat(**CHAT))
            await trio.sleep(1)
        with trio.move_on_after(1000) as scope:
            await trio.testing.wait_all_tasks_blocked()
        assert not scope.cancelled_caught
        assert [type(error) for error in ended] == [Draining, Draining]
        nursery.cancel_scope.cancel()


def test_outside_of_trio() -> None:
    entering = Gateway({"providers": {}}).__aenter__()
    with pytest.raises(RuntimeError, match=r"under Trio: start the program with trio\.run"):
        entering.send(None)
