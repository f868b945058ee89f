"""Streams, as the providers' pages show them: their order, their end, their faults, cut at every byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bifrost_trio._wire import EventReader
from bifrost_trio.errors import ConnectionBroken, MalformedAnswer, StreamFault
from bifrost_trio.formats import FORMATS, anthropic, openai_chat

Json = dict[str, Any]


def frame(wire: Json) -> bytes:
    return f"event: {wire['type']}\ndata: {json.dumps(wire)}\n\n".encode()


def data(wire: Any) -> bytes:
    return b"data: " + json.dumps(wire).encode() + b"\n\n"


USAGE = {"input_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 11, "output_tokens": 1}
START = frame(
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": "claude-sonnet-5",
            "stop_reason": None,
            "stop_sequence": None,
            "usage": USAGE,
        },
    }
)


def block(index: int, opening: Json, *deltas: Json) -> bytes:
    frames = frame({"type": "content_block_start", "index": index, "content_block": opening})
    for delta in deltas:
        frames += frame({"type": "content_block_delta", "index": index, "delta": delta})
    return frames + frame({"type": "content_block_stop", "index": index})


def use(tool_id: str, name: str) -> Json:
    return {"type": "tool_use", "id": tool_id, "name": name, "input": {}}


def partial(text: str) -> Json:
    return {"type": "input_json_delta", "partial_json": text}


STOP = frame({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 13}})
END = frame({"type": "message_stop"})
ANTHROPIC = (
    START
    + b'event: ping\ndata: {"type": "ping"}\n\n'
    + block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "h"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "sig"},
    )
    + block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "é"}, {"type": "text_delta", "text": "😀"})
    + block(2, use("t1", "f"), partial(""), partial('{"a":'), partial(" 1}"))
    + block(3, use("t2", "g"))
    + frame({"type": "new_event", "whatever": 1})
    + STOP
    + END
)


def chunk(delta: Json, finish: str | None = None, **members: Any) -> Json:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **members}


OPENAI_USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}
OPENAI = (
    data(chunk({"role": "assistant", "content": ""}))
    + b": keep-alive\n\n"
    + data(chunk({"content": "Hel"}))
    + data(chunk({"content": "lo"}))
    + data(chunk({}, "stop"))
    + data({**chunk({}), "choices": [], "usage": OPENAI_USAGE})
    + b"data: [DONE]\n\n"
)


def piecewise(form: Any, target: Any, body: bytes, cut: int, request: Json) -> bytes:
    """The stream decoded from two reads, and encoded as its chunks come."""
    reader, decoder, encoder = EventReader(), form.stream_decoder(), target.stream_encoder(request)
    sent = b""
    for part in (body[:cut], body[cut:]):
        for event, payload, _ in reader.feed(part):
            sent += b"".join([encoder.encode(chunk) for chunk in decoder.decode(event, payload)])
    return sent + b"".join([encoder.encode(chunk) for chunk in decoder.finish()]) + encoder.finish()


@pytest.mark.parametrize(("form", "body"), [(anthropic, ANTHROPIC), (openai_chat, OPENAI)])
@pytest.mark.parametrize("target", [anthropic, openai_chat])
def test_cut_at_every_byte(form: Any, target: Any, body: bytes) -> None:
    request = {"stream_options": {"include_usage": True}}

    def normal(sent: bytes) -> list[Json]:
        frames = [json.loads(payload) for _, payload, _ in EventReader().feed(sent) if payload != b"[DONE]"]
        return [{name: value for name, value in frame.items() if name != "created"} for frame in frames]

    whole = normal(piecewise(form, target, body, 0, request))
    for cut in range(1, len(body)):
        assert normal(piecewise(form, target, body, cut, request)) == whole


def test_anthropic_to_openai(tools: Any) -> None:
    sent = tools.encode_stream(openai_chat, tools.decode_stream(anthropic, ANTHROPIC))
    frames = [payload for _, payload in tools.events(sent)]
    assert frames.pop() == b"[DONE]"
    chunks = [json.loads(payload) for payload in frames]
    assert {(c["id"], c["object"], c["model"]) for c in chunks} == {
        ("msg_1", "chat.completion.chunk", "claude-sonnet-5")
    }
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "h"},
        {"reasoning_content": "m"},
        {"thinking_blocks": [{"type": "thinking", "signature": "sig"}]},
        {"content": "é"},
        {"content": "😀"},
        {"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]},
        {"tool_calls": [{"index": 1, "id": "t2", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert not any("usage" in chunk or "early_usage" in chunk for chunk in chunks)


def test_usage_only_for_who_asked(tools: Any) -> None:
    chunks = tools.decode_stream(anthropic, ANTHROPIC)
    sent = tools.encode_stream(openai_chat, chunks, {"stream_options": {"include_usage": True}})
    last = json.loads(tools.events(sent)[-2][1])
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens"] == 23
    assert last["usage"]["completion_tokens"] == 13
    assert (
        tools.events(tools.encode_stream(openai_chat, tools.decode_stream(openai_chat, OPENAI)))[-2][1].find(b"usage")
        < 0
    )


def test_openai_to_anthropic(tools: Any) -> None:
    sent = tools.encode_stream(anthropic, tools.decode_stream(openai_chat, OPENAI), {"model": "asked"})
    names = [event for event, _ in tools.events(sent)]
    assert names == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = tools.read_message(sent)
    assert (message["id"], message["model"], message["stop_reason"]) == ("c1", "m", "end_turn")
    assert message["content"] == [{"type": "text", "text": "Hello"}]
    assert message["usage"] == {
        "input_tokens": 7,
        "cache_read_input_tokens": 2,
        "cache_creation_input_tokens": 0,
        "output_tokens": 4,
    }


def test_what_comes_before_the_first_choice_does_not_begin_the_message(tools: Any) -> None:
    early = {"id": "", "model": "", "choices": [], "prompt_filter_results": []}
    message = tools.read_message(tools.encode_stream(anthropic, [early, chunk({"content": "a"}), chunk({}, "stop")]))
    assert (message["id"], message["model"]) == ("c1", "m")
    assert tools.read_message(tools.encode_stream(anthropic, [early]))["id"].startswith("msg_")


def test_tool_calls_are_sent_as_they_come(tools: Any) -> None:
    """Only calls whose pieces are mixed have to wait."""
    encoder = anthropic.stream_encoder({})
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert b'"tool_use"' in encoder.encode(chunk({"tool_calls": [first]}))
    assert b"partial_json" in encoder.encode(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}))
    second = {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": '{"x'}}
    assert b'"name":"g"' in encoder.encode(chunk({"tool_calls": [second]}))
    third = {"index": 2, "id": "c", "type": "function", "function": {"name": "h", "arguments": "{}"}}
    assert encoder.encode(chunk({"tool_calls": [third]})) == b""
    rest = encoder.encode(chunk({"tool_calls": [{"index": 1, "function": {"arguments": '":1}'}}]}))
    assert b'"name":"h"' in rest


def test_arguments_after_their_end_are_refused() -> None:
    encoder = anthropic.stream_encoder({})
    for index in (0, 1):
        call = {"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": "{}"}}
        encoder.encode(chunk({"tool_calls": [call]}))
    encoder.encode(chunk({"tool_calls": [{"index": 0, "function": {"arguments": " \n"}}]}))
    with pytest.raises(MalformedAnswer):
        encoder.encode(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}))


def test_calls_that_share_an_index_are_told_apart(tools: Any) -> None:
    calls = [{"index": 0, "id": name, "function": {"name": name, "arguments": f'{{"{name}":1}}'}} for name in "ab"]
    chunks = [chunk({"tool_calls": [call]}) for call in calls]
    message = tools.read_message(tools.encode_stream(anthropic, [*chunks, chunk({}, "tool_calls")]))
    assert [(b["name"], b["input"]) for b in message["content"]] == [("a", {"a": 1}), ("b", {"b": 1})]


def test_tool_input_that_came_whole(tools: Any) -> None:
    body = START + block(0, {**use("t", "f"), "input": {"a": 1}}) + STOP + END
    said = tools.assemble(tools.decode_stream(anthropic, body))
    assert said["calls"] == [{"id": "t", "name": "f", "arguments": '{"a":1}'}]


def test_reasoning_and_refusal_become_blocks(tools: Any) -> None:
    chunks = [chunk({"reasoning": "hm"}), chunk({"content": "a"}), chunk({"refusal": "b"}), chunk({}, "content_filter")]
    message = tools.read_message(tools.encode_stream(anthropic, chunks))
    assert message["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "ab"},
    ]
    assert message["stop_reason"] == "refusal"


def test_early_usage_is_told_at_the_start(tools: Any) -> None:
    sent = tools.encode_stream(anthropic, tools.decode_stream(anthropic, ANTHROPIC))
    start = json.loads(tools.events(sent)[0][1])
    assert start["message"]["usage"] == USAGE


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", START, START + block(0, {"type": "text", "text": "x"})])
def test_a_message_without_end(tools: Any, body: bytes) -> None:
    with pytest.raises(ConnectionBroken):
        tools.decode_stream(anthropic, body)


@pytest.mark.parametrize("name", ["openai_chat", "openai_completions", "openai_responses"])
def test_an_answer_without_end(tools: Any, name: str) -> None:
    with pytest.raises(ConnectionBroken):
        tools.decode_stream(FORMATS[name], data(chunk({"content": "a"})))


def test_a_finish_reason_ends_an_answer_without_done(tools: Any) -> None:
    assert len(tools.decode_stream(openai_chat, data(chunk({}, "stop")))) == 1


def test_a_stop_reason_ends_a_message_and_brings_its_usage(tools: Any) -> None:
    assert tools.decode_stream(anthropic, START + STOP)[-1]["usage"]["completion_tokens"] == 13


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("overloaded_error", 529),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("invalid_request_error", 400),
        ("authentication_error", 401),
        ("billing_error", 402),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("request_too_large", 413),
        ("timeout_error", 504),
        ("something_new", 502),
    ],
)
def test_an_error_event_has_its_true_status(tools: Any, kind: str, status: int) -> None:
    event = {"type": "error", "error": {"type": kind, "message": "Overloaded"}, "request_id": "req_1"}
    with pytest.raises(StreamFault) as caught:
        tools.decode_stream(anthropic, START + frame(event))
    error = caught.value
    assert (error.status, error.type, error.message) == (status, kind, "Overloaded")
    assert json.loads(error.frame) == event


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "m", "code": 429}, 429),
        ({"message": "m", "type": "server_error"}, 500),
        ({"message": "m", "type": "invalid_request_error", "code": "tool_use_failed"}, 400),
        ({"message": "m", "type": "x", "code": "rate_limit_exceeded"}, 429),
        ({"message": "m"}, 502),
    ],
)
def test_an_error_frame_has_its_true_status(tools: Any, error: Json, status: int) -> None:
    with pytest.raises(StreamFault) as caught:
        tools.decode_stream(openai_chat, data(chunk({"content": "a"})) + data({"error": error}))
    assert (caught.value.status, caught.value.message) == (status, "m")


WRONG = [b"{", b"[]", b"1", b"null", b'"x"', b"<html>", b"\xff\xfe"]
STREAMED = ["openai_chat", "openai_completions", "openai_responses", "anthropic"]
CASES = [(name, payload) for name in STREAMED for payload in WRONG]


@pytest.mark.parametrize(("name", "payload"), [*CASES, ("openai_chat", b'{"choices": [1]}'), ("anthropic", b"{}")])
def test_what_is_no_event_is_refused(name: str, payload: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        list(FORMATS[name].stream_decoder().decode("", payload))


@pytest.mark.parametrize(
    "body",
    [
        block(0, {"type": "text", "text": ""}),
        START + START,
        START + frame({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}),
        START + frame({"type": "content_block_stop", "index": 0}),
        START + frame({"type": "content_block_start", "index": 0}),
        frame({"type": "message_start"}),
        END,
    ],
)
def test_events_out_of_order_are_refused(tools: Any, body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        tools.decode_stream(anthropic, body)


# --- OpenAI's other streams ------------------------------------------------------------------------------------------


def test_responses_pass_with_their_names(tools: Any) -> None:
    body = frame({"type": "response.created", "sequence_number": 0}) + frame({"type": "response.completed"})
    form = FORMATS["openai_responses"]
    assert tools.events(tools.encode_stream(form, tools.decode_stream(form, body))) == [
        (event, json.dumps(json.loads(payload), separators=(",", ":")).encode())
        for event, payload in tools.events(body)
    ]


def test_a_failed_response_is_a_fault(tools: Any) -> None:
    failed = {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "Oh."}}}
    with pytest.raises(StreamFault) as caught:
        tools.decode_stream(FORMATS["openai_responses"], frame(failed))
    assert (caught.value.status, caught.value.message) == (500, "Oh.")
    told = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None}
    with pytest.raises(StreamFault) as caught:
        tools.decode_stream(FORMATS["openai_responses"], frame(told))
    error = caught.value
    assert (error.status, error.message, error.code) == (429, "Slow down.", "rate_limit_exceeded")
    assert error.type == "provider_error"


def test_completions_pass(tools: Any) -> None:
    body = data({"id": "c", "choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"
    form = FORMATS["openai_completions"]
    assert json.loads(tools.events(tools.encode_stream(form, tools.decode_stream(form, body)))[0][1])["id"] == "c"
