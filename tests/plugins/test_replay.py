"""An answer that a plugin makes, as the stream that the client asked for, read by those who read such streams."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from bifrost_trio._wire import EventReader, StreamScan
from bifrost_trio.errors import ProviderFault
from bifrost_trio.plugins import Answer, Plugin, Plugins
from bifrost_trio.types import Call, JsonObject, Operation, Reply
from tests.workers.calls import ANSWER, Kept, make_call

TEXT = {
    "id": "c",
    "object": "text_completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
}
MESSAGE = {
    "type": "message",
    "id": "i1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}, {"type": "refusal", "refusal": "no more"}],
}
CALL = {
    "type": "function_call",
    "id": "i2",
    "call_id": "c2",
    "name": "weather",
    "arguments": '{"city":"Rome"}',
    "status": "completed",
}
RESPONSE: JsonObject = {
    "id": "r",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "status": "completed",
    "output": [MESSAGE, CALL],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 7,
        "output_tokens": 2,
        "total_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}


class Answering(Plugin):
    """Answers in the provider's place, or heals its error."""

    def __init__(self, common: JsonObject, hook: str) -> None:
        super().__init__({})
        self.name = "answering"
        self.common = common
        self.hook = hook

    def before(self, call: Call) -> Answer | None:
        return Answer(self.common) if self.hook == "before" else None

    def error(self, call: Call, error: Exception) -> Answer | None:
        return Answer(self.common) if self.hook == "error" else None


async def failing(call: Call, reply: Reply) -> None:
    raise ProviderFault(503, "down")


async def answered(common: JsonObject, format: str, operation: Operation, hook: str = "before") -> Kept:
    asked: JsonObject = {"model": "p/m", "stream": True, "messages": [], "input": "x", "prompt": "x"}
    body = json.dumps({**asked, "stream_options": {"include_usage": True}}).encode()
    call = make_call("p/m", body=body, format=format, operation=operation)
    reply = Kept(call)
    async with trio.open_nursery() as background:
        await Plugins([Answering(common, hook)], failing, background)(call, reply)
    assert (reply.state, reply.status) == ("finished", 200)
    return reply


STREAMED = [
    ("openai_chat", Operation.CHAT_COMPLETION, ANSWER, (3, 1), "stop"),
    ("openai_completions", Operation.TEXT_COMPLETION, TEXT, (7, 2), "stop"),
    ("openai_responses", Operation.RESPONSES, RESPONSE, (7, 2), "completed"),
]


@pytest.mark.parametrize("hook", ["before", "error"])
@pytest.mark.parametrize(("format", "operation", "common", "usage", "reason"), STREAMED)
async def test_it_is_a_whole_stream(
    format: str, operation: Operation, common: JsonObject, usage: tuple[int, int], reason: str, hook: str
) -> None:
    reply = await answered(common, format, operation, hook)
    scan = StreamScan(format)
    scan.feed(reply.body)
    assert scan.output
    assert scan.complete
    assert scan.usage is not None
    assert (scan.usage.input_tokens, scan.usage.output_tokens) == usage
    assert scan.finish_reason == reason


async def test_a_text_completion() -> None:
    reply = await answered(TEXT, "openai_completions", Operation.TEXT_COMPLETION)
    [(_, data, _), (_, done, _)] = EventReader().feed(reply.body)
    assert json.loads(data) == TEXT
    assert done == b"[DONE]"


async def test_a_response_in_the_events_of_the_sdk() -> None:
    reply = await answered(RESPONSE, "openai_responses", Operation.RESPONSES)
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    read = [(name, adapter.validate_json(data)) for name, data, _ in EventReader().feed(reply.body)]
    assert [name for name, _ in read] == [event.type for _, event in read]
    assert [event.sequence_number for _, event in read] == list(range(len(read)))
    deltas = [(event.type, event.delta) for _, event in read if event.type.endswith(".delta")]
    assert deltas == [
        ("response.output_text.delta", "Hello"),
        ("response.refusal.delta", "no more"),
        ("response.function_call_arguments.delta", '{"city":"Rome"}'),
    ]
    assert read[-1][1].type == "response.completed"
    assert read[-1][1].response.output_text == "Hello"


@pytest.mark.parametrize("hook", ["before", "error"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("common", [{"choices": 7}, {"choices": [7]}, {"choices": [{"message": 7}]}])
async def test_an_answer_that_is_none_is_the_plugins_own_error(common: JsonObject, stream: bool, hook: str) -> None:
    """The call goes on as if the plugin had said nothing."""
    call = make_call(
        body=b'{"model":"p/m","max_tokens":1,"messages":[],"stream":%b}' % (b"true" if stream else b"false")
    )
    call.format = make_call(format="anthropic").format
    reply = Kept(call)
    async with trio.open_nursery() as background:
        station = Plugins([Answering(common, hook)], failing, background)
        with pytest.raises(ProviderFault):
            await station(call, reply)
    assert reply.state == "new"
    assert station.statistics().errors == {"answering": 1}
