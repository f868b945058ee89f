"""The streams of every format: what waits, what is output, when one is whole, how an error in it reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio._wire import render_head
from bifrost_trio.errors import ConnectionBroken, StreamFault
from bifrost_trio.testing import End, Pause, Script, streamed
from bifrost_trio.types import Call, Operation
from tests.providers.attempt import KEY, bench, chunk, frame
from tests.workers.calls import Kept, make_call


def event(type: str, **members: Any) -> bytes:
    return f"event: {type}\n".encode() + frame({"type": type, **members})


@dataclass(frozen=True)
class Language:
    """A stream in its parts: ``preamble``, ``output``, the frames up to the one that says that it is whole, ``rest``.

    ``usage`` is input and output tokens at the end, ``reason`` the finish reason in the format's own words.
    """

    provider: str
    format: str
    operation: Operation
    preamble: list[bytes]
    output: list[bytes]
    whole: list[bytes]
    rest: list[bytes]
    usage: tuple[int, int]
    reason: str
    error: bytes
    error_status: int

    def call(self) -> Call:
        body = {"model": f"{self.provider}/m", "stream": True, "max_tokens": 9, "messages": []}
        return make_call(
            f"{self.provider}/m", body=json.dumps(body).encode(), format=self.format, operation=self.operation
        )

    @property
    def frames(self) -> list[bytes]:
        return [*self.preamble, *self.output, *self.whole, *self.rest]


def text_choice(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"id": "c", "object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": finish}]}


COUNTED = {"prompt_tokens": 7, "completion_tokens": 20, "total_tokens": 27}
DONE = frame(b"[DONE]")
ROLE = frame({"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
RESPONSE = {"id": "r", "object": "response", "model": "m"}
ITEM = {"type": "message", "id": "i", "role": "assistant", "content": []}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "m"}

LANGUAGES = [
    Language(
        "openai",
        "openai_chat",
        Operation.CHAT_COMPLETION,
        [ROLE],
        [frame(chunk("Hel")), frame(chunk("lo"))],
        [frame(chunk(None, "length"))],
        [frame(chunk() | {"choices": [], "usage": COUNTED}), DONE],
        (7, 20),
        "length",
        frame({"error": {"message": "oh", "type": "server_error"}}),
        500,
    ),
    Language(
        "openai",
        "openai_completions",
        Operation.TEXT_COMPLETION,
        [frame(text_choice(""))],
        [frame(text_choice("Hel")), frame(text_choice("lo"))],
        [frame(text_choice("", "stop"))],
        [frame({"id": "c", "choices": [], "usage": COUNTED}), DONE],
        (7, 20),
        "stop",
        frame({"error": {"message": "oh", "type": "requests"}}),
        429,
    ),
    Language(
        "openai",
        "openai_responses",
        Operation.RESPONSES,
        [
            event("response.created", response={**RESPONSE, "status": "in_progress"}),
            event("response.in_progress", response={**RESPONSE, "status": "in_progress"}),
        ],
        [
            event("response.output_item.added", output_index=0, item=ITEM),
            event("response.output_text.delta", output_index=0, content_index=0, delta="Hello"),
        ],
        [
            event(
                "response.completed",
                response={**RESPONSE, "status": "completed", "usage": {"input_tokens": 7, "output_tokens": 20}},
            )
        ],
        [],
        (7, 20),
        "completed",
        event("error", code="rate_limit_exceeded", message="oh", param=None),
        429,
    ),
    Language(
        "anthropic",
        "anthropic",
        Operation.CHAT_COMPLETION,
        [
            event("message_start", message={**MESSAGE, "usage": {"input_tokens": 7, "output_tokens": 1}}),
            event("ping"),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        ],
        [
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hel"}),
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": "lo"}),
        ],
        [
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 20}),
        ],
        [event("message_stop")],
        (7, 20),
        "end_turn",
        event("error", error={"type": "overloaded_error", "message": "oh"}),
        529,
    ),
]
each = pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.format)


@each
async def test_a_whole_stream(language: Language, autojump_clock: trio.testing.MockClock) -> None:
    frames = [step for one in language.frames for step in (one, Pause(1))]
    async with bench(streamed(frames), name=language.provider) as b, trio.open_nursery() as nursery:
        call = language.call()
        nursery.start_soon(b.attempt, call)
        await trio.sleep(len(language.preamble) - 0.5)
        assert b.reply is not None
        assert b.reply.state == "new"
        assert not call.outcome.committed
        await trio.sleep(1 + len(language.output))
        assert b.reply.state == "started"
    assert b.reply.body == b"".join(language.frames)
    assert b.reply.state == "finished"
    outcome = call.outcome
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == language.usage
    assert outcome.finish_reason == language.reason


@each
async def test_a_stream_is_whole_exactly_when_it_says_so(
    language: Language, autojump_clock: trio.testing.MockClock
) -> None:
    """Cut at every byte, where only the close tells that it is over."""
    head = render_head(200, [(b"content-type", b"text/event-stream")], chunked=False)
    data = b"".join(language.frames)
    said = len(data) - len(b"".join(language.rest))
    cuts = range(len(data) + 1)
    async with bench(*[Script([head, data[:at]], End.CLOSE) for at in cuts], name=language.provider) as b:
        for at in cuts:
            call = language.call()
            if at >= said:
                await b.attempt(call)
            else:
                with pytest.raises(ConnectionBroken):
                    await b.attempt(call)
            assert b.reply is not None
            assert (b.reply.state == "finished") == (at >= said), at
            assert data.startswith(b.reply.body)
            if b.reply.state != "new":
                assert b.reply.body == data[:at]


@each
@pytest.mark.parametrize("after", [0, 1, 2, 3])
async def test_an_error_before_output(language: Language, after: int, autojump_clock: trio.testing.MockClock) -> None:
    frames = [*language.preamble[:after], language.error]
    async with bench(streamed(frames), name=language.provider) as b:
        call = language.call()
        with pytest.raises(StreamFault) as caught:
            await b.attempt(call)
        assert (caught.value.status, caught.value.message) == (language.error_status, "oh")
        assert b.reply is not None
        assert (b.reply.state, call.outcome.committed) == ("new", False)


@each
async def test_an_error_after_output(language: Language, autojump_clock: trio.testing.MockClock) -> None:
    begun = [*language.preamble, *language.output]
    async with bench(streamed([*begun, Pause(1), language.error]), name=language.provider) as b:
        with pytest.raises(StreamFault) as caught:
            await b.attempt(language.call())
        assert caught.value.told
        assert caught.value.status == language.error_status
        assert b.reply is not None
        assert (b.reply.state, b.reply.body) == ("started", b"".join([*begun, language.error]))


def tool_call(index: int, **function: str) -> bytes:
    made = {"index": index, "id": f"t{index}", "type": "function", "function": function}
    return frame({"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [made]}}]})


OUTPUT = {
    "text": frame(chunk("x")),
    "a tool's name": tool_call(0, name="f", arguments=""),
    "thinking": frame({"id": "c", "choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}),
    "a refusal": frame({"id": "c", "choices": [{"index": 0, "delta": {"refusal": "no"}}]}),
}


@pytest.mark.parametrize("output", OUTPUT.values(), ids=OUTPUT)
async def test_what_counts_as_output(output: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with bench(streamed([ROLE, Pause(1), output, Pause(9)], end=End.STALL)) as b, trio.open_nursery() as nursery:
        call = LANGUAGES[0].call()
        nursery.start_soon(b.attempt, call)
        await trio.sleep(0.5)
        assert call.outcome.first_output_at == 0.0
        await trio.sleep(1)
        assert call.outcome.committed
        assert call.outcome.first_output_at == pytest.approx(1.0, abs=0.05)
        nursery.cancel_scope.cancel()


async def test_everything_is_at_home_before_the_last_bytes_are_written(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(streamed(LANGUAGES[0].frames)) as b:
        call = LANGUAGES[0].call()

        class Looking(Kept):
            async def finish(self, trailer: bytes = b"") -> None:
                assert b.at_home()
                assert b.idle == 1
                await super().finish(trailer)

        reply = Looking(call)
        await b.provider(call, reply, KEY)
        assert reply.state == "finished"
