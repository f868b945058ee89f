"""Every recorded chat completion, of OpenAI and of its compatible providers, unchanged and to Anthropic's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bifrost_trio.errors import ConnectionBroken, MalformedAnswer, StreamFault
from bifrost_trio.formats import anthropic, openai_chat
from bifrost_trio.formats.content import reasoning_of, text_of

Json = dict[str, Any]
pytestmark = [pytest.mark.recordings, pytest.mark.timeout(120)]
KIND = "openai.chat"
STOP = {
    "stop": {"end_turn", "stop_sequence", "tool_use"},
    "length": {"max_tokens"},
    "tool_calls": {"tool_use"},
    "function_call": {"tool_use"},
    "content_filter": {"refusal"},
}


def test_requests_come_back_as_they_were(recordings: Any) -> None:
    for recording in recordings(KIND):
        if recording.request is None:
            continue
        dropped: list[str] = []
        again = openai_chat.encode_request(openai_chat.decode_request(recording.request), dropped)
        assert again == {name: value for name, value in recording.request.items() if value is not None}
        assert dropped == []


def test_requests_reach_anthropic(recordings: Any) -> None:
    for recording in recordings(KIND):
        if recording.request is None:
            continue
        before = json.dumps(recording.request)
        request = openai_chat.decode_request(recording.request)
        dropped: list[str] = []
        wire = anthropic.encode_request(request, dropped)
        assert json.dumps(recording.request) == before, f"{recording.name}: the request was changed in place"
        check_request(recording, wire, dropped)


def given(arguments: str | None) -> Any:
    """The input that arguments stand for; those that are no object are handed on as text."""
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        return {"raw_arguments": arguments}
    return {} if value is None else value


def check_request(recording: Any, wire: Json, dropped: list[str]) -> None:
    request = recording.request
    blocks = [b for turn in wire["messages"] for b in turn["content"] if isinstance(b, dict)]
    calls = [call for message in request["messages"] for call in message.get("tool_calls") or ()]
    uses = [block for block in blocks if block["type"] == "tool_use"]
    assert [use["name"] for use in uses] == [call["function"]["name"] for call in calls], recording.name
    assert [use["input"] for use in uses] == [given(call["function"]["arguments"]) for call in calls]
    results = [message["tool_call_id"] for message in request["messages"] if message["role"] == "tool"]
    assert len([block for block in blocks if block["type"] == "tool_result"]) == len(results), recording.name
    roles = [turn["role"] for turn in wire["messages"]]
    assert all(one != next_one for one, next_one in itertools.pairwise(roles)), recording.name
    names = {path.partition(".")[0].partition("[")[0] for path in dropped}
    for name, value in request.items():
        carried = name in wire or name in ("stop", "response_format", "reasoning_effort", "reasoning", "n", "user")
        translated = name in ("max_completion_tokens", "parallel_tool_calls", "stream_options", "thinking")
        default = value in (None, False, [], {}, 0)
        assert carried or translated or default or name in names, f"{recording.name}: {name} is lost"


def whole_answers(recordings: Any) -> Iterator[Any]:
    for recording in recordings(KIND):
        if recording.streaming or recording.status != 200:
            continue
        if isinstance(recording.answer, dict) and isinstance(recording.answer.get("choices"), list):
            yield recording
        else:
            with pytest.raises(MalformedAnswer):
                openai_chat.decode_answer(recording.answer)


def test_answers_reach_anthropic(recordings: Any) -> None:
    for recording in whole_answers(recordings):
        answer = recording.answer
        choice = answer["choices"][0] if answer["choices"] else {}
        message = choice.get("message") or {}
        wire = anthropic.encode_answer(openai_chat.decode_answer(answer))
        texts = [block["text"] for block in wire["content"] if block["type"] == "text"]
        assert "".join(texts) == text_of(message.get("content")) + (message.get("refusal") or ""), recording.name
        thinking = [block["thinking"] for block in wire["content"] if block["type"] == "thinking"]
        assert "".join(thinking) == reasoning_of(message), recording.name
        uses = [(b["name"], b["input"]) for b in wire["content"] if b["type"] == "tool_use"]
        calls = [call["function"] for call in message.get("tool_calls") or () if "function" in call]
        assert uses == [(call["name"], given(call.get("arguments"))) for call in calls], recording.name
        finish = choice.get("finish_reason") or None
        assert wire["stop_reason"] in STOP.get(finish, {None, "end_turn", "tool_use"}), recording.name
        check_usage(wire["usage"], answer.get("usage"))


def check_usage(wire: Json, usage: Json | None) -> None:
    usage = usage or {}
    cached = wire.get("cache_read_input_tokens", 0) + wire.get("cache_creation_input_tokens", 0)
    told = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    prompt = usage.get("prompt_tokens", 0)
    assert wire["input_tokens"] + (cached if told <= prompt else 0) == prompt
    assert wire["output_tokens"] == usage.get("completion_tokens", 0)
    assert wire.get("cache_read_input_tokens", 0) >= told


def test_error_answers_are_read(recordings: Any) -> None:
    for recording in recordings(KIND):
        if recording.status < 400:
            continue
        message, _, _, _ = openai_chat.decode_error(recording.status, recording.body)
        assert message, recording.name
        assert "without a message" not in message or not recording.body, recording.name


def streams(recordings: Any, tools: Any) -> Iterator[Any]:
    """Those of chat completions that did not fail; a few recordings are of another API and have to be refused."""
    for recording in recordings(KIND):
        if not recording.streaming:
            continue
        try:
            yield recording, tools.decode_stream(openai_chat, recording.body)
        except StreamFault:
            assert b'"error"' in recording.body, recording.name
        except MalformedAnswer:
            assert b'"response.created"' in recording.body, recording.name


def test_streams_come_back_as_they_were(recordings: Any, tools: Any) -> None:
    for recording, chunks in streams(recordings, tools):
        sent = tools.encode_stream(openai_chat, chunks, {"stream_options": {"include_usage": True}})
        again = [json.loads(data) for _, data in tools.events(sent)[:-1]]
        wanted = [json.loads(data) for _, data in tools.events(recording.body) if data.strip() != b"[DONE]"]
        assert again == wanted, recording.name


def test_streams_reach_anthropic(recordings: Any, tools: Any) -> None:
    for recording, chunks in streams(recordings, tools):
        said = tools.assemble(chunks)
        message = tools.read_message(tools.encode_stream(anthropic, chunks))
        texts = [block["text"] for block in message["content"] if block["type"] == "text"]
        assert "".join(texts) == said["text"] + said["refusal"], recording.name
        thinking = [block["thinking"] for block in message["content"] if block["type"] == "thinking"]
        assert "".join(thinking) == said["thinking"], recording.name
        uses = [(b["name"], b.get("raw", "")) for b in message["content"] if b["type"] == "tool_use"]
        wanted = [(call["name"], "" if call["arguments"] == "null" else call["arguments"]) for call in said["calls"]]
        assert uses == wanted, recording.name
        if said["finish"] in STOP:
            assert message["stop_reason"] in STOP[said["finish"]], recording.name
        if said["usage"]:
            check_usage(message["usage"], said["usage"])


def test_a_cut_stream_is_never_whole(recordings: Any, tools: Any) -> None:
    for recording in recordings(KIND)[::60]:
        end = recording.body.find(b'"finish_reason":"')
        if recording.streaming and end > 0:
            for cut in range(0, end, max(1, end // 50)):
                with pytest.raises((ConnectionBroken, MalformedAnswer)):
                    tools.decode_stream(openai_chat, recording.body[:cut])
