"""Every recorded Anthropic interaction, through the common shape and back, and to OpenAI's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bifrost_trio.errors import ConnectionBroken, MalformedAnswer
from bifrost_trio.formats import anthropic, anthropic_count_tokens, openai_chat

Json = dict[str, Any]
pytestmark = [pytest.mark.recordings, pytest.mark.timeout(120)]
KIND = "anthropic.messages"


def plain(value: Any) -> Any:
    """Without nulls, and without what means nothing: the type of an own tool, an empty result's content."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: plain(item) for name, item in value.items() if item is not None}
    if kept.get("type") == "custom" and "input_schema" in kept:
        del kept["type"]
    if kept.get("type") == "tool_result":
        kept.setdefault("content", "")
    return kept


def blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def merged(messages: list[Json]) -> list[Json]:
    """Turns of one role that follow each other are one turn to Anthropic."""
    out: list[Json] = []
    for message in messages:
        content = [block for block in plain(blocks(message["content"])) if block.get("text") != ""]
        if out and out[-1]["role"] == message["role"]:
            out[-1]["content"] += content
        else:
            out.append({"role": message["role"], "content": content})
    return [message for message in out if message["content"]]


def normal(request: Json) -> Json:
    request = plain(request)
    request["messages"] = merged(request["messages"])
    if "output_format" in request:
        request.setdefault("output_config", {})["format"] = request.pop("output_format")
    return request


def test_requests_come_back_as_they_were(recordings: Any) -> None:
    for recording in recordings(KIND):
        if recording.request is None:
            continue
        before = json.dumps(recording.request)
        dropped: list[str] = []
        again = anthropic.encode_request(anthropic.decode_request(recording.request), dropped)
        assert json.dumps(recording.request) == before, f"{recording.name}: the request was changed in place"
        assert normal(again) == normal(recording.request), recording.name
        assert dropped == [], recording.name


def test_requests_reach_openai(recordings: Any) -> None:
    for recording in recordings(KIND):
        if recording.request is None:
            continue
        dropped: list[str] = []
        wire = openai_chat.encode_request(anthropic.decode_request(recording.request), dropped)
        assert wire["max_completion_tokens"] == recording.request["max_tokens"], recording.name
        tools = [tool for tool in recording.request.get("tools") or () if "input_schema" in tool]
        assert [tool["function"]["parameters"] for tool in wire.get("tools", [])] == [t["input_schema"] for t in tools]
        sent = [call["id"] for message in wire["messages"] for call in message.get("tool_calls", [])]
        given = [block for m in recording.request["messages"] for block in blocks(m["content"])]
        assert sent == [block["id"] for block in given if block["type"] == "tool_use"], recording.name
        results = [message["tool_call_id"] for message in wire["messages"] if message["role"] == "tool"]
        assert results == [block["tool_use_id"] for block in given if block["type"] == "tool_result"], recording.name


def usage_of(usage: Json) -> tuple[int, int, int, int]:
    """input, read from the cache, written to it, output, as Anthropic counts."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    return tuple(usage.get(name) or 0 for name in names)  # type: ignore[return-value]


def check_openai_usage(usage: Json, counted: tuple[int, int, int, int]) -> None:
    plain_input, read, written, output = counted
    assert usage["prompt_tokens"] == plain_input + read + written
    assert usage["prompt_tokens_details"]["cached_tokens"] == read
    assert usage["completion_tokens"] == output
    assert usage["total_tokens"] == usage["prompt_tokens"] + output


def whole_answers(recordings: Any) -> Iterator[Any]:
    """Those that are messages; a few recordings are of other things and have to be refused."""
    for recording in recordings(KIND):
        if recording.streaming or recording.status != 200:
            continue
        if recording.answer.get("type") == "message":
            yield recording
        else:
            with pytest.raises(MalformedAnswer):
                anthropic.decode_answer(recording.answer)


def test_answers_come_back_as_they_were(recordings: Any) -> None:
    for recording in whole_answers(recordings):
        again = plain(anthropic.encode_answer(anthropic.decode_answer(recording.answer)))
        wanted = plain(recording.answer)
        zeros = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        wanted["usage"], again["usage"] = {**zeros, **wanted["usage"]}, {**zeros, **again["usage"]}
        assert again == wanted, recording.name


def test_answers_reach_openai(recordings: Any) -> None:
    finish = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
    finish["refusal"] = "content_filter"
    for recording in whole_answers(recordings):
        answer = recording.answer
        common = openai_chat.encode_answer(anthropic.decode_answer(answer))
        choice = common["choices"][0]
        texts = [block["text"] for block in answer["content"] if block["type"] == "text"]
        assert (choice["message"]["content"] or "") == "".join(texts), recording.name
        calls = [block for block in answer["content"] if block["type"] == "tool_use"]
        given = choice["message"].get("tool_calls", [])
        assert [(c["id"], c["function"]["name"]) for c in given] == [(c["id"], c["name"]) for c in calls]
        assert [json.loads(c["function"]["arguments"]) for c in given] == [c["input"] for c in calls], recording.name
        assert choice["finish_reason"] == finish[answer["stop_reason"]], recording.name
        check_openai_usage(common["usage"], usage_of(answer["usage"]))


def test_error_answers_are_read(recordings: Any) -> None:
    for recording in recordings(KIND):
        if recording.status >= 400:
            message, kind, _, _ = anthropic.decode_error(recording.status, recording.body)
            assert message == recording.answer["error"]["message"]
            assert kind == recording.answer["error"]["type"]


def streams(recordings: Any, tools: Any) -> Iterator[Any]:
    """Those that are one message; a few recordings hold several, which must be refused."""
    for recording in recordings(KIND):
        if not recording.streaming:
            continue
        if recording.body.count(b'"type":"message_start"') == 1:
            yield recording
        else:
            with pytest.raises(MalformedAnswer):
                tools.decode_stream(anthropic, recording.body)


def message_of(tools: Any, body: bytes) -> Json:
    """Whole, without nulls; an input is compared as text as well."""
    return plain(tools.read_message(body))


def test_streams_come_back_as_they_were(recordings: Any, tools: Any) -> None:
    for recording in streams(recordings, tools):
        again = message_of(tools, tools.encode_stream(anthropic, tools.decode_stream(anthropic, recording.body)))
        wanted = message_of(tools, recording.body)
        for block in again["content"]:
            if block["type"] == "tool_use" and block.get("raw") == "{}":
                del block["raw"]
        wanted["content"] = [block for block in wanted["content"] if block != {"type": "text", "text": ""}]
        for block in wanted["content"]:
            if block["type"] in ("tool_use", "server_tool_use") and block.get("raw") == "{}":
                del block["raw"]
            if block["type"] == "tool_use" and block.get("raw") == "":
                del block["raw"]
            if block.get("citations") == []:
                del block["citations"]
        wanted["usage"] = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, **wanted["usage"]}
        assert again == wanted, recording.name


def test_streams_reach_openai(recordings: Any, tools: Any) -> None:
    for recording in streams(recordings, tools):
        wanted = tools.read_message(recording.body)
        request = {"stream_options": {"include_usage": True}}
        sent = tools.encode_stream(openai_chat, tools.decode_stream(anthropic, recording.body), request)
        said = tools.assemble(tools.decode_stream(openai_chat, sent))
        assert sent.endswith(b"data: [DONE]\n\n")
        assert said["text"] == "".join([b["text"] for b in wanted["content"] if b["type"] == "text"]), recording.name
        thinking = [b["thinking"] for b in wanted["content"] if b["type"] == "thinking"]
        assert said["thinking"] == "".join(thinking), recording.name
        calls = [b for b in wanted["content"] if b["type"] == "tool_use"]
        expected = [(b["id"], b["name"], b.get("raw") or "{}") for b in calls]
        assert [(c["id"], c["name"], c["arguments"]) for c in said["calls"]] == expected, recording.name
        check_openai_usage(said["usage"], usage_of(wanted["usage"]))


def test_a_cut_stream_is_never_whole(recordings: Any, tools: Any) -> None:
    """Cut behind each event before the stop reason, and within one."""
    for recording in recordings(KIND)[::40]:
        if not recording.streaming:
            continue
        end = recording.body.index(b"event: message_delta")
        for cut in range(0, end, max(1, end // 50)):
            with pytest.raises((ConnectionBroken, MalformedAnswer)):
                tools.decode_stream(anthropic, recording.body[:cut])


def test_token_counts(recordings: Any) -> None:
    for recording in recordings("anthropic.count_tokens"):
        if recording.request is not None:
            dropped: list[str] = []
            common = anthropic_count_tokens.decode_request(recording.request)
            again = anthropic_count_tokens.encode_request(common, dropped)
            assert normal(again) == normal(recording.request), recording.name
            assert dropped == []
        if recording.status == 200:
            assert anthropic_count_tokens.decode_answer(recording.answer) == recording.answer
