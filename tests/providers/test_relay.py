"""A stream on its way: held back until it is worth something, then handed on as it is, and never cut in silence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio._wire import EventReader, render_head
from bifrost_trio.errors import (
    ClientGone,
    ConnectionBroken,
    FirstOutputTimeout,
    GatewayError,
    IdleTimeout,
    MalformedAnswer,
    StreamFault,
)
from bifrost_trio.formats import FORMATS
from bifrost_trio.mock.script import Step
from bifrost_trio.providers.relay import MAX_HELD
from bifrost_trio.testing import End, Pause, Script, in_pieces, streamed
from bifrost_trio.types import Call
from tests.providers.attempt import KEY, Bench, bench, chunk, frame
from tests.workers.calls import Kept, make_call

ROLE = frame(chunk("") | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
TEXT = [frame(chunk("Hel")), frame(chunk("lo"))]
STOP = frame(chunk(None, "stop"))
BOTH = frame(chunk() | {"choices": [{"index": index, "delta": {"content": "x"}} for index in (0, 1)]})
COUNT = frame(chunk() | {"choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"
STREAM = [ROLE, *TEXT, STOP, COUNT, DONE]
ERROR = frame({"error": {"message": "overloaded", "type": "server_error", "code": "overloaded"}})
COMMENT = b": processing\n\n"


def stream_call(**members: Any) -> Call:
    return make_call("openai/m", stream=True, **members)


async def failing(b: Bench, call: Call, error: type[GatewayError]) -> tuple[GatewayError, Kept]:
    with pytest.raises(error) as caught:
        await b.attempt(call)
    assert type(caught.value) is error
    assert b.reply is not None
    assert b.idle == 0
    return caught.value, b.reply


async def test_a_stream_is_handed_on_as_it_is(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(streamed(STREAM)) as b:
        call = stream_call()
        assert await b.attempt(call) is None
        reply = b.reply
        assert reply is not None
        assert reply.body == b"".join(STREAM)
        assert (reply.state, reply.claimed, reply.status) == ("finished", True, 200)
        assert reply.headers[b"content-type"] == b"text/event-stream"
        outcome = call.outcome
        assert outcome.usage is not None
        assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (7, 2)
        assert outcome.finish_reason == "stop"
        assert b.idle == 1


async def test_what_comes_first_waits_for_output(autojump_clock: trio.testing.MockClock) -> None:
    steps: list[Step] = [ROLE, Pause(1), COMMENT, Pause(1), *TEXT, Pause(1), STOP, DONE]
    async with bench(streamed(steps)) as b, trio.open_nursery() as nursery:
        call = stream_call()
        nursery.start_soon(b.attempt, call)
        await trio.sleep(1.9)
        assert b.reply is not None
        assert (b.reply.state, call.outcome.committed, call.outcome.first_output_at) == ("new", False, 0.0)
        await trio.sleep(0.2)
        assert b.reply.writes[0].startswith(ROLE + COMMENT + TEXT[0])
        assert (b.reply.state, call.outcome.committed) == ("started", True)
        assert call.outcome.first_output_at == pytest.approx(2.0, abs=0.05)


async def test_pieces_are_handed_on_when_they_come(autojump_clock: trio.testing.MockClock) -> None:
    times: list[float] = []

    class Timed(Kept):
        async def write(self, data: bytes) -> None:
            times.append(trio.current_time())
            await super().write(data)

    parts = [frame(chunk(str(n))) for n in range(5)]
    script = streamed([step for part in parts for step in (part, Pause(1))] + [STOP, DONE])
    async with bench(script) as b:
        call = stream_call()
        await b.provider(call, Timed(call), KEY)
    assert times[:5] == pytest.approx([0, 1, 2, 3, 4], abs=0.01)


@pytest.mark.parametrize("preamble", [[], [ROLE], [COMMENT, ROLE, COMMENT]])
@pytest.mark.parametrize("together", [False, True])
async def test_an_error_before_output_commits_nothing(
    preamble: list[bytes], together: bool, autojump_clock: trio.testing.MockClock
) -> None:
    frames = [b"".join([*preamble, ERROR])] if together else [*preamble, ERROR]
    async with bench(streamed(frames)) as b:
        error, reply = await failing(b, stream_call(), StreamFault)
        assert (error.status, error.message) == (503, "overloaded")
        assert (reply.state, reply.claimed) == ("new", False)


async def test_an_error_in_one_piece_with_output_commits_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(streamed([ROLE + TEXT[0] + ERROR])) as b:
        _, reply = await failing(b, stream_call(), StreamFault)
        assert reply.state == "new"


@pytest.mark.parametrize("split", [None, 1, 20, len(ERROR) - 1])
async def test_an_error_after_output_is_told_as_it_came(
    split: int | None, autojump_clock: trio.testing.MockClock
) -> None:
    parts = [ERROR] if split is None else [ERROR[:split], Pause(0.1), ERROR[split:]]
    async with bench(streamed([ROLE, *TEXT, Pause(1), *parts, DONE])) as b:
        call = stream_call()
        error, reply = await failing(b, call, StreamFault)
        assert isinstance(error, StreamFault)
        assert error.told
        assert reply.state == "started"
        assert reply.body.startswith(b"".join([ROLE, *TEXT, ERROR]))


async def test_an_error_with_half_a_frame_behind_it_is_not_half_told(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(streamed([*TEXT, Pause(1), ERROR + b"data: {", Pause(1), b"}\n\n"])) as b:
        error, reply = await failing(b, stream_call(), StreamFault)
        assert isinstance(error, StreamFault)
        assert not error.told
        assert reply.body == b"".join(TEXT)


# --- cuts ---


def cuts(script: bytes, ends: Sequence[End]) -> list[tuple[int, End]]:
    return [(at, end) for end in ends for at in range(len(script) + 1)]


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_a_chunked_stream_that_is_cut_is_broken_wherever_that_is(
    end: End, autojump_clock: trio.testing.MockClock
) -> None:
    data = streamed(STREAM).data
    # The head and the role frame are cut elsewhere too; from the first output on, at every byte.
    begin = data.index(b"Hel")
    async with bench(*[Script([data[:at]], end) for at in range(begin, len(data))]) as b:
        for at in range(begin, len(data)):
            call = stream_call()
            _, reply = await failing(b, call, ConnectionBroken)
            assert reply.state in ("new", "started"), at
            assert b"".join(STREAM).startswith(reply.body)


async def test_a_stream_whose_close_ends_it_is_whole_exactly_when_it_says_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    head = render_head(200, [(b"content-type", b"text/event-stream")], chunked=False)
    data = b"".join(STREAM)
    said = data.index(STOP) + len(STOP)
    async with bench(*[Script([head, data[:at]], End.CLOSE) for at in range(len(data) + 1)]) as b:
        for at in range(len(data) + 1):
            call = stream_call()
            if at < said:
                _, reply = await failing(b, call, ConnectionBroken)
                assert reply.state in ("new", "started"), at
                assert call.outcome.finish_reason is None
            else:
                await b.attempt(call)
                assert b.reply is not None
                assert (b.reply.state, b.reply.body) == ("finished", data[:at])
                assert call.outcome.finish_reason == "stop"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 1000])
async def test_a_stream_in_pieces_of_any_size(size: int, autojump_clock: trio.testing.MockClock) -> None:
    async with bench(in_pieces(streamed(STREAM).data, size, gap=0.001)) as b:
        call = stream_call()
        await b.attempt(call)
        assert b.reply is not None
        assert (b.reply.state, b.reply.body) == ("finished", b"".join(STREAM))
        assert call.outcome.usage is not None
        assert b.idle == 1


ENDS: dict[str, tuple[list[bytes], bool]] = {
    "without [DONE]": ([*TEXT, STOP], True),
    "without a finish reason, with [DONE]": ([*TEXT, DONE], True),
    "without any end": (TEXT, False),
    "without anything": ([], False),
    "of the second choice": ([BOTH, STOP], False),
    "with a role alone": ([ROLE], False),
    "with comments alone": ([COMMENT, COMMENT], False),
    "with a reason alone": ([STOP, DONE], True),
    "filtered": ([ROLE, frame(chunk(None, "content_filter")), DONE], True),
}


@pytest.mark.parametrize(("frames", "complete"), ENDS.values(), ids=ENDS)
async def test_how_a_stream_may_end(
    frames: list[bytes], complete: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(streamed(frames)) as b:
        if complete:
            await b.attempt(stream_call())
            assert b.reply is not None
            assert (b.reply.state, b.reply.body) == ("finished", b"".join(frames))
        else:
            await failing(b, stream_call(), ConnectionBroken)


# --- limits ---

NETWORK = {"first_output_timeout_in_seconds": 10, "stream_idle_timeout_in_seconds": 4}
ALIVE: list[Step] = [Pause(3), COMMENT]
SLOW: dict[str, tuple[list[Step], type[GatewayError], float, str]] = {
    "no output": ([ROLE, *ALIVE * 30], FirstOutputTimeout, 10, "new"),
    "no more": ([ROLE, *TEXT], IdleTimeout, 4, "started"),
    "no more of the second choice": ([BOTH, STOP], IdleTimeout, 4, "started"),
    "slow to begin, then no more": ([ROLE, Pause(9), *TEXT], IdleTimeout, 13, "started"),
    "comments are a sign of life": ([*TEXT, *ALIVE * 3], IdleTimeout, 13, "started"),
}


@pytest.mark.parametrize(("frames", "error", "after", "state"), SLOW.values(), ids=SLOW)
async def test_how_long_a_stream_may_take(
    frames: list[Step],
    error: type[GatewayError],
    after: float,
    state: str,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with bench(streamed(frames, end=End.STALL), network=NETWORK) as b:
        _, reply = await failing(b, stream_call(), error)
        assert reply.state == state
        assert after <= trio.current_time() <= after + 0.1


async def test_connecting_counts_to_the_first_output(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(streamed([ROLE, Pause(11), *TEXT]), network=NETWORK) as b:
        await failing(b, stream_call(), FirstOutputTimeout)
        assert trio.current_time() == pytest.approx(10.0, abs=0.1)


async def test_what_follows_the_last_output_has_an_end(autojump_clock: trio.testing.MockClock) -> None:
    """A provider that only ever says that it is alive keeps nobody's place."""
    pings: list[Step] = [Pause(1), COMMENT] * 1000
    async with bench(streamed([ROLE, *TEXT, STOP, *pings])) as b:
        await b.attempt(call := make_call("openai/m", stream=True))
        assert call.outcome.finish_reason == "stop"
        assert trio.current_time() == pytest.approx(5, abs=0.5)
        assert b.at_home()
        assert b.idle == 0


async def test_a_preamble_without_end_is_none(autojump_clock: trio.testing.MockClock) -> None:
    filler = b": " + b"x" * 9_998
    frames = [filler + b"\n\n"] * (MAX_HELD // 10_000 + 2)
    async with bench(streamed([*frames, Pause(5), *TEXT, STOP, DONE])) as b, trio.open_nursery() as nursery:
        nursery.start_soon(b.attempt, stream_call())
        await trio.sleep(1)
        assert b.reply is not None
        assert b.reply.state == "started"
        assert len(b.reply.body) > MAX_HELD


BROKEN: dict[str, tuple[list[Step], str]] = {
    "at once": ([b"data: {oops\n\n"], "new"),
    "behind the role": ([ROLE, b"data: {oops\n\n"], "new"),
    "behind output": ([*TEXT, Pause(1), b"data: {oops\n\n"], "started"),
}


@pytest.mark.parametrize(("frames", "state"), BROKEN.values(), ids=BROKEN)
async def test_a_frame_that_is_no_json(frames: list[Step], state: str, autojump_clock: trio.testing.MockClock) -> None:
    async with bench(streamed([*frames, STOP, DONE])) as b:
        _, reply = await failing(b, stream_call(), MalformedAnswer)
        assert reply.state == state


# --- who leaves ---


async def test_what_was_counted_is_kept_when_the_call_is_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    counted = [frame(chunk(str(n)) | {"usage": {**USAGE, "completion_tokens": 10 * n}}) for n in range(60)]
    async with bench(streamed([step for one in counted for step in (one, Pause(1))])) as b:
        call = stream_call()
        with trio.move_on_after(5.5):
            await b.attempt(call)
        await trio.testing.wait_all_tasks_blocked()
        assert b.upstream.statistics().open == 0
        assert call.outcome.usage is not None
        assert (call.outcome.usage.input_tokens, call.outcome.usage.output_tokens) == (7, 50)
        assert call.outcome.finish_reason is None
        assert 5 <= call.outcome.upstream_seconds <= 5.5


async def test_a_client_that_is_gone_ends_the_request(autojump_clock: trio.testing.MockClock) -> None:
    class Gone(Kept):
        async def write(self, data: bytes) -> None:
            if len(self.writes) == 2:
                raise ClientGone("hung up")
            await super().write(data)

    frames = [step for n in range(60) for step in (frame(chunk(str(n))), Pause(1))]
    async with bench(streamed(frames, end=End.STALL)) as b:
        call = stream_call()
        with pytest.raises(ClientGone):
            await b.provider(call, Gone(call), KEY)
        await trio.testing.wait_all_tasks_blocked()
        assert b.upstream.statistics().abandoned == 1


async def test_what_a_failed_attempt_estimated_is_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(streamed([ROLE + TEXT[0] + ERROR]), streamed(STREAM)) as b:
        call = stream_call()
        with pytest.raises(StreamFault):
            await b.attempt(call)
        estimated = [call.outcome.usage_estimated]
        await b.attempt(call)
        estimated.append(call.outcome.usage_estimated)
        assert estimated == [True, False]
        assert call.outcome.usage is not None
        assert call.outcome.usage.input_tokens == 7


# --- translated ---

ANTHROPIC = b'{"model":"openai/m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hello"}]}'


async def translated(b: Bench, frames_end: type[GatewayError] | None = None) -> tuple[Call, Kept]:
    call = make_call("openai/m", body=ANTHROPIC, format="anthropic", native=False)
    if frames_end is None:
        await b.attempt(call)
    else:
        with pytest.raises(frames_end):
            await b.attempt(call)
    assert b.reply is not None
    return call, b.reply


def read_by_anthropic(body: bytes) -> str:
    decoder = FORMATS["anthropic"].stream_decoder()
    found = [c for event, data, _ in EventReader().feed(body) for c in decoder.decode(event, data)]
    return "".join(choice["delta"].get("content") or "" for one in found for choice in one["choices"])


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_stream_for_a_client_of_another_format(size: int, autojump_clock: trio.testing.MockClock) -> None:
    async with bench(in_pieces(streamed(STREAM).data, size, gap=0.001)) as b:
        call, reply = await translated(b)
        assert reply.state == "finished"
        assert read_by_anthropic(reply.body) == "Hello"
        assert reply.body.rstrip().endswith(b'{"type":"message_stop"}')
        assert call.outcome.usage is not None
        assert call.outcome.finish_reason == "stop"
        assert json.loads(b.sent.body)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("frames", "end", "error"),
    [
        ([*TEXT, Pause(1), ERROR], End.KEEP, StreamFault),
        (TEXT, End.KEEP, ConnectionBroken),
        (TEXT, End.CLOSE, ConnectionBroken),
        ([*TEXT, STOP], End.CLOSE, ConnectionBroken),
    ],
)
async def test_a_translated_stream_that_fails_has_no_end(
    frames: list[Step], end: End, error: type[GatewayError], autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(streamed(frames, end=end)) as b:
        _, reply = await translated(b, error)
        assert reply.state == "started"
        assert read_by_anthropic(reply.body) == "Hello"
        assert b"message_stop" not in reply.body
