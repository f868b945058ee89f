"""Streams that end before their answer is whole leave nothing behind: no call, no upstream, no table's entry."""

from __future__ import annotations

import json
from typing import Any

import h2.events
import pytest
import trio
import trio.testing
from h2.errors import ErrorCodes

from bifrost_trio.plugins import Plugin
from bifrost_trio.server import Timeouts
from bifrost_trio.testing import Connecting, End, PlayedAnswer, ScriptedUpstream, streamed, whole
from bifrost_trio.transport import AsgiCalls
from bifrost_trio.types import Call, State
from tests.server.h2_memory import MemoryH2, h2_in_memory

CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = json.dumps({**CHAT, "stream": True}).encode()
WHOLE = json.dumps(CHAT).encode()
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n"
MANY = 1100
"""More than the thousand streams of Hypercorn's priority tree."""

AT_ONCE = 20


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    wire = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(wire).encode() + b"\n\n"


PREAMBLE = chunk({"role": "assistant", "content": ""})
OUTPUT = [PREAMBLE, *[chunk({"content": f"word {n} "}) for n in range(5)]]
FLOOD = [chunk({"content": "x" * 10_000})] * 20
"""More than a window: the answer waits for its client."""


class Watch(Plugin):
    name = "watch"

    def __init__(self) -> None:
        super().__init__({})
        self.calls: list[Call] = []

    def before(self, call: Call) -> None:
        self.calls.append(call)


async def quiet() -> None:
    """Long enough for every step before a hang, and for the allowance of resets to fill up again."""
    await trio.sleep(1)


def assert_nothing_kept(memory: MemoryH2) -> None:
    assert memory.kept == {}
    assert memory.away == []
    assert memory.protocol.idle


async def assert_serves(memory: MemoryH2) -> None:
    memory.client.events.clear()
    stream_id = memory.client.post(WHOLE)
    await memory.client.flush()
    response = await memory.client.until(h2.events.ResponseReceived)
    assert (response.stream_id, dict(response.headers)[b":status"]) == (stream_id, b"200")
    await memory.client.until(h2.events.StreamEnded)


# --- hang, reset, count -----------------------------------------------------------------------------------------------

PHASES: dict[str, tuple[PlayedAnswer, Connecting, bytes]] = {
    "connecting": (b"", Connecting.HANGS, STREAM),
    "before the head": (b"", Connecting.AT_ONCE, STREAM),
    "within a whole answer": (HEAD + b'{"id":', Connecting.AT_ONCE, WHOLE),
    "behind the head": (streamed([], end=End.STALL), Connecting.AT_ONCE, STREAM),
    "behind the preamble": (streamed([PREAMBLE], end=End.STALL), Connecting.AT_ONCE, STREAM),
    "within the first output": (streamed([OUTPUT[1][:30]], end=End.STALL), Connecting.AT_ONCE, STREAM),
    "behind the first output": (streamed(OUTPUT, end=End.STALL), Connecting.AT_ONCE, STREAM),
    "while the answer waits for its client": (streamed(FLOOD, end=End.STALL), Connecting.AT_ONCE, STREAM),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_a_client_resets_its_stream(phase: str, autojump_clock: trio.testing.MockClock) -> None:
    answer, connecting, body = PHASES[phase]
    upstream, watch = ScriptedUpstream(answer, connecting=connecting), Watch()
    async with h2_in_memory(upstream, [watch]) as memory:
        stream_id = memory.client.post(body)
        await memory.client.flush()
        await quiet()
        assert memory.running.assembly.inference.statistics().open == 1
        began = trio.current_time()
        memory.client.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        await memory.client.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() - began <= 0.1
        assert_nothing_kept(memory)
        assert memory.settled == 1
        assert upstream.statistics().open == 0
        [call] = watch.calls
        assert call.outcome.state is State.CANCELLED
        assert [attempt.kind for attempt in call.trail] == ["cancelled"]


@pytest.mark.parametrize("sent", [None, 0, 9])
async def test_a_client_resets_its_stream_within_its_request(
    sent: int | None, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream(whole(ANSWER))
    async with h2_in_memory(upstream) as memory:
        stream_id = memory.client.post(None)
        if sent is not None:
            memory.client.h2.send_data(stream_id, STREAM[:sent])
        await memory.client.flush()
        await quiet()
        memory.client.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        await memory.client.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert_nothing_kept(memory)
        assert memory.settled == 0
        assert upstream.requests == []
        await assert_serves(memory)


async def test_one_stream_that_is_reset_leaves_the_others_alone(autojump_clock: trio.testing.MockClock) -> None:
    """Both wait for the same client; the window that the one gives back is the other's."""
    upstream, watch = ScriptedUpstream(streamed([*FLOOD, chunk({}, "stop"), b"data: [DONE]\n\n"])), Watch()
    async with h2_in_memory(upstream, [watch]) as memory:
        first, second = (memory.client.post(STREAM) for _ in range(2))
        await memory.client.flush()
        await quiet()
        memory.client.h2.reset_stream(first, ErrorCodes.CANCEL)
        await memory.client.flush()
        # What was sent on the stream that is gone counts for the window of the connection.
        received = b""
        memory.client.h2.increment_flow_control_window(2**20)
        await memory.client.flush()
        while not isinstance(
            event := await memory.client.until((h2.events.DataReceived, h2.events.StreamEnded)),  # type: ignore[arg-type]
            h2.events.StreamEnded,
        ):
            received += event.data if event.stream_id == second else b""
        assert received.count(b"x" * 10_000) == len(FLOOD)
        await trio.testing.wait_all_tasks_blocked()
        assert_nothing_kept(memory)
        assert {call.outcome.state for call in watch.calls} == {State.CANCELLED, State.DONE}


# --- many -------------------------------------------------------------------------------------------------------------


async def begin(memory: MemoryH2, phase: str) -> list[int]:
    """A few requests that have come as far as ``phase`` says."""
    client = memory.client
    streams = [client.post(STREAM if phase == "answer" else None) for _ in range(AT_ONCE)]
    for stream_id in streams:
        if phase == "body":
            client.h2.send_data(stream_id, STREAM[:20])
    await client.flush()
    if phase != "head":
        await quiet()
    return streams


@pytest.mark.parametrize("phase", ["head", "body", "answer"])
async def test_many_resets(phase: str, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(streamed(OUTPUT, end=End.STALL))
    async with h2_in_memory(upstream, timeouts=Timeouts(keep_alive=75)) as memory:
        for _ in range(MANY // AT_ONCE):
            for stream_id in await begin(memory, phase):
                memory.client.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
            await memory.client.flush()
            await quiet()
            assert_nothing_kept(memory)
            await read_what_came(memory)
        upstream.answers = [whole(ANSWER)]
        await assert_serves(memory)
        await assert_says_goodbye(memory)


async def test_many_answers_that_break(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(streamed(OUTPUT, end=End.RESET))
    async with h2_in_memory(upstream) as memory:
        for _ in range(MANY // AT_ONCE):
            await begin(memory, "answer")
            await quiet()
            await read_what_came(memory)
            assert_nothing_kept(memory)
        upstream.answers = [whole(ANSWER)]
        await assert_serves(memory)
        await assert_says_goodbye(memory)


async def test_a_connection_whose_streams_were_reset_is_not_kept_for_ever(
    autojump_clock: trio.testing.MockClock,
) -> None:
    upstream = ScriptedUpstream(streamed(OUTPUT, end=End.STALL))
    async with h2_in_memory(upstream, timeouts=Timeouts(keep_alive=75)) as memory:
        for stream_id in await begin(memory, "answer"):
            memory.client.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        await memory.client.flush()
        await trio.sleep(74)
        await read_what_came(memory)
        assert not any(isinstance(event, h2.events.ConnectionTerminated) for event in memory.client.events)
        await trio.sleep(2)
        goodbye = await memory.client.until(h2.events.ConnectionTerminated)
        assert goodbye.error_code == ErrorCodes.NO_ERROR


async def test_a_drain_that_waits_for_a_stream_which_is_then_reset(autojump_clock: trio.testing.MockClock) -> None:
    async with h2_in_memory(ScriptedUpstream(streamed(OUTPUT, end=End.STALL))) as memory:
        stream_id = memory.client.post(STREAM)
        await memory.client.flush()
        await quiet()
        memory.server.drain()
        await trio.testing.wait_all_tasks_blocked()
        memory.client.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        await memory.client.flush()
        goodbye = await memory.client.until(h2.events.ConnectionTerminated)
        assert goodbye.error_code == ErrorCodes.NO_ERROR


async def assert_says_goodbye(memory: MemoryH2) -> None:
    await trio.testing.wait_all_tasks_blocked()
    assert_nothing_kept(memory)
    memory.server.drain()
    goodbye = await memory.client.until(h2.events.ConnectionTerminated)
    assert goodbye.error_code == ErrorCodes.NO_ERROR
    with trio.fail_after(1):
        assert await memory.client.stream.receive_some() == b""


async def read_what_came(memory: MemoryH2) -> None:
    """So that neither windows nor the socket fill up."""
    memory.client.events.clear()
    with trio.move_on_after(0.1):
        while True:
            memory.client.take(await memory.client.stream.receive_some(), True)
    await memory.client.flush()


# --- what was being sent ----------------------------------------------------------------------------------------------


class Full:
    """A stream whose client reads when it is told to."""

    def __init__(self) -> None:
        self.reads = trio.Event()
        self.sent = b""

    async def send_all(self, data: bytes) -> None:
        await self.reads.wait()
        self.sent += data

    def abort(self) -> None:
        self.sent += b" aborted"


async def test_frames_of_cancelled_calls_go_out_whole_and_in_order(autojump_clock: trio.testing.MockClock) -> None:
    """The headers of later streams refer to those of earlier ones (RFC 7541): none may be lost on its way."""
    from bifrost_trio.server.hypercorn_connection import HandedConnection

    stream: Any = Full()
    connection = HandedConnection(AsgiCalls(NoCalls()), Timeouts(), trio.Event(), stream, h2=True, tls=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection._write)
        for data in (b"one ", b"two ", b"three"):
            with trio.move_on_after(1) as scope:
                await connection._send(data)
            assert scope.cancelled_caught
        stream.reads.set()
        await trio.testing.wait_all_tasks_blocked()
        assert stream.sent == b"one two three"
        nursery.cancel_scope.cancel()
    assert stream.sent == b"one two three aborted"


class NoCalls:
    async def __call__(self, request: object, body: object, sink: object) -> None: ...
    async def refuse(self, error: object, sink: object) -> None: ...
