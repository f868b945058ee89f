"""What a provider answers is never believed: whatever it is, the client gets an answer or an error of the provider's
doing, nothing fails inside the gateway, and everything is home afterwards."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.mock import Script
from bifrost_trio.mock.script import End
from bifrost_trio.testing import ScriptedUpstream, gateway_in_memory
from tests.attack.answers import (
    BEGIN,
    END,
    ODD,
    START,
    STOP,
    TEXT,
    chunk,
    completion,
    data,
    event,
    message,
    stream,
    whole,
)

PATHS = ("/v1/chat/completions", "/openai/v1/chat/completions", "/anthropic/v1/messages")
QUICK = {"network_config": {"max_retries": 0}}
ASKED: dict[str, Any] = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


async def ask(sent: bytes, provider: str, *, streamed: bool = False) -> list[tuple[int, bytes]]:
    """Status and body that a client of each route gets, the body as far as it came. Asserts that all is home."""
    got = []
    settings = {"providers": {"openai": QUICK, "anthropic": QUICK}}
    async with gateway_in_memory(settings, ScriptedUpstream(Script([sent], End.CLOSE))) as gateway:
        for path in PATHS:
            client = gateway.client()
            async with client.stream(path, {**ASKED, "model": f"{provider}/m", "stream": streamed}) as answer:
                pieces = []
                try:
                    async for piece in answer:
                        pieces.append(piece)
                except ConnectionBroken:
                    pieces.append(b"<cut>")
                got.append((answer.status, b"".join(pieces)))
            client.hang_up()
        await gateway.quiet()
    for status, body in got:
        assert status != 500, body
        assert b"the gateway failed" not in body
    return got


# --- heads ---

HEADS = {
    "no HTTP": b"hello world\r\n",
    "a control character": b"HTTP/1.1 200 OK\r\na: \0\r\n\r\n",
    "a huge head": b"HTTP/1.1 200 OK\r\na: " + b"b" * 1_000_000 + b"\r\n\r\n",
    "5,000 fields": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
    "a version of the future": b"HTTP/9.9 200 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
    "endless interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 5000,
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length below zero": b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
    "chunks of no size": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "a redirect": whole({}, "307 Temporary", "location: http://openai.test/v1/chat/completions"),
    "not modified": b"HTTP/1.1 304 Not\r\n\r\n",
    "no content": b"HTTP/1.1 204 No\r\n\r\n",
    "compressed to nothing": whole(b"xx", "200 OK", "content-encoding: gzip"),
    "another coding": whole(b"xx", "200 OK", "content-encoding: br"),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("sent", HEADS.values(), ids=HEADS)
async def test_a_head_that_is_none(sent: bytes, streamed: bool, autojump_clock: trio.testing.MockClock) -> None:
    for status, _ in await ask(sent, "openai", streamed=streamed):
        assert status == 502


AFTER = {
    "soon": "soon",
    "below zero": "-1",
    "no number": "nan",
    "without end": "inf",
    "beyond all numbers": "1e400",
    "a year beyond all years": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "a zone beyond all zones": "Mon, 01 Jan 2024 00:00:00 +99999999999999",
    "the year 1": "Mon, 01 Jan 0001 00:00:00 +2300",
}


@pytest.mark.parametrize("value", AFTER.values(), ids=AFTER)
async def test_a_retry_after_that_means_nothing(value: str, autojump_clock: trio.testing.MockClock) -> None:
    sent = whole({"error": {"message": "slowly"}}, "429 Too Many", f"retry-after: {value}")
    for status, body in await ask(sent, "openai"):
        assert status == 429
        assert b"slowly" in body


# --- whole answers ---

UNREADABLE = {
    "a number beyond all numbers": b"1e999",
    "a number of 5,000 digits": b"9" * 5000,
    "half a surrogate pair": b'"\\ud800"',
}


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_answer_that_cannot_be_translated(
    value: bytes, provider: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Where the formats agree it is passed on; where they do not, it is the provider's fault."""
    answer = completion(x="HERE") if provider == "openai" else message(x="HERE")
    sent = whole(json.dumps(answer).encode().replace(b'"HERE"', value))
    statuses = [status for status, _ in await ask(sent, provider)]
    assert statuses == ([200, 200, 502] if provider == "openai" else [502, 502, 200])


def odd_wholes() -> list[tuple[str, str, bytes]]:
    """(name, provider, answer): every odd value in every place that a translation reads."""
    cases: list[tuple[str, str, dict[str, Any]]] = []
    for n, x in enumerate(ODD):
        said: dict[str, Any] = {
            "content": x, "reasoning_content": x, "thinking_blocks": x, "content_blocks": x, "annotations": x
        }  # fmt: skip
        call = {"id": x, "function": {"name": x, "arguments": x}}
        tokens = {"prompt_tokens": x, "completion_tokens": x, "prompt_tokens_details": {"cached_tokens": x}}
        block = {"text": x, "citations": x, "id": x, "name": x, "input": x, "thinking": x, "signature": x, "data": x}
        kinds = ("text", "tool_use", "thinking", "redacted_thinking", x)
        counted = {"input_tokens": x, "output_tokens": x, "cache_read_input_tokens": x, "cache_creation": x}
        cases += [
            (f"choices {n}", "openai", completion(choices=x)),
            (f"message {n}", "openai", completion(choices=[{"message": x}])),
            (f"content {n}", "openai", completion(choices=[{"message": said, "finish_reason": x}])),
            (f"calls {n}", "openai", completion(choices=[{"message": {"tool_calls": x}}])),
            (f"call {n}", "openai", completion(choices=[{"message": {"tool_calls": [call]}}])),
            (f"usage {n}", "openai", completion(usage=x)),
            (f"tokens {n}", "openai", completion(usage=tokens, id=x, model=x, created=x)),
            (f"blocks {n}", "anthropic", message(content=x)),
            *[(f"{kind} {n}", "anthropic", message(content=[{**block, "type": kind}])) for kind in kinds],
            (f"counted {n}", "anthropic", message(usage=counted, stop_reason=x, stop_sequence=x, id=x, model=x)),
        ]
    return [(name, provider, whole(answer)) for name, provider, answer in cases]


@pytest.mark.parametrize(("provider", "sent"), [case[1:] for case in odd_wholes()], ids=[c[0] for c in odd_wholes()])
async def test_an_odd_answer(provider: str, sent: bytes, autojump_clock: trio.testing.MockClock) -> None:
    for status, _ in await ask(sent, provider):
        assert status in (200, 502)


async def test_arguments_nested_beyond_reason(autojump_clock: trio.testing.MockClock) -> None:
    for depth in (600, 980, 990, 995, 100_000):
        call = {"id": "c", "function": {"name": "f", "arguments": '{"a":' + "[" * depth + "]" * depth + "}"}}
        choice = {"index": 0, "message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}
        assert (await ask(whole(completion(choices=[choice])), "openai"))[2][0] in (200, 502)


async def test_an_answer_of_millions_of_values_is_not_translated(autojump_clock: trio.testing.MockClock) -> None:
    sent = whole(b'{"choices":[],"x":[' + b"{}," * 1_000_000 + b"1]}")
    assert [status for status, _ in await ask(sent, "openai")] == [200, 200, 502]


@pytest.mark.parametrize("status", ["200 OK", "400 Bad"])
async def test_a_compressed_answer_that_grows_without_end(status: str, autojump_clock: trio.testing.MockClock) -> None:
    bomb = gzip.compress(b'{"choices":[],"x":"' + b"a" * 64 * 1024 * 1024 + b'"}')
    got = await ask(whole(bomb, status, "content-encoding: gzip"), "openai")
    assert {found for found, _ in got} == {400 if status.startswith("400") else 502}
    assert max(len(body) for _, body in got) < 1000


async def test_a_refusal_that_nobody_would_read(autojump_clock: trio.testing.MockClock) -> None:
    got = await ask(whole({"error": {"message": "a" * 4_000_000}}, "400 Bad"), "openai")
    assert [status for status, _ in got] == [400, 400, 400]
    assert max(len(body) for _, body in got) < 1000


# --- streams ---


def odd_chunks(x: Any) -> dict[str, bytes]:
    call = {"index": x, "id": x, "type": x, "function": {"name": x, "arguments": x}}
    return {
        "an event": data(x),
        "choices": data({"choices": x}),
        "a delta": data({"choices": [{"index": x, "delta": x}]}),
        "a text": chunk({"content": x, "role": x, "reasoning_content": x, "refusal": x}),
        "calls": chunk({"tool_calls": x}),
        "a call": chunk({"tool_calls": [call]}),
        "a reason": chunk({}, x),
        "usage": data({"choices": [], "usage": x}),
        "tokens": data({"choices": [], "usage": {"prompt_tokens": x, "completion_tokens": x}}),
        "an error": data({"error": x}),
        "blocks": chunk({"thinking_blocks": x, "content_blocks": x, "citations": x}),
    }


def odd_events(x: Any) -> dict[str, bytes]:
    parts = {"text": x, "partial_json": x, "thinking": x, "signature": x, "citation": x}
    deltas = ("text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta")
    tool = {"type": "tool_use", "id": x, "name": x, "input": x}
    reason = {"stop_reason": x, "stop_sequence": x}
    return {
        "an event": data(x),
        "a type": data({"type": x}),
        "a beginning": event("message_start", message=x),
        "a block": event("content_block_start", index=x, content_block=x),
        "a tool": event("content_block_start", index=1, content_block=tool),
        "a delta": event("content_block_delta", index=x, delta=x),
        "a kind": event("content_block_delta", index=0, delta={"type": x, "text": x}),
        "an end": event("message_delta", delta=x, usage=x),
        "a reason": event("message_delta", delta=reason, usage={"output_tokens": x}),
        "an error": event("error", error=x),
        **{kind: event("content_block_delta", index=0, delta={"type": kind, **parts}) for kind in deltas},
    }


def odd_streams() -> list[tuple[str, str, bytes]]:
    cases: list[tuple[str, str, bytes]] = []
    for n, x in enumerate(ODD):
        for what, frame in odd_chunks(x).items():
            cases.append((f"openai: {what} {n}", "openai", stream(BEGIN, frame, END)))
            cases.append((f"openai: first {what} {n}", "openai", stream(frame, BEGIN, END)))
        for what, frame in odd_events(x).items():
            cases.append((f"anthropic: {what} {n}", "anthropic", stream(START, TEXT, frame, STOP)))
            cases.append((f"anthropic: first {what} {n}", "anthropic", stream(frame, START, TEXT, STOP)))
    return cases


@pytest.mark.parametrize(("provider", "sent"), [case[1:] for case in odd_streams()], ids=[c[0] for c in odd_streams()])
async def test_an_odd_event(provider: str, sent: bytes, autojump_clock: trio.testing.MockClock) -> None:
    await ask(sent, provider, streamed=True)


BROKEN = {
    "bytes that are no UTF-8": data(b'{"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}'),
    "half a surrogate pair": data(b'{"choices":[{"index":0,"delta":{"content":"\\ud800"}}]}'),
    "a number beyond all numbers": data(b'{"choices":[{"index":0,"delta":{"content":"x"}}],"x":1e999}'),
    "1,100 levels": data(b'{"choices":[],"object":' + b"[" * 1100 + b"]" * 1100 + b"}"),
    "half an object": data(b'{"choices":['),
    "fields of other names": b"id: 1\nretry: 99999999999999999999999\nevent: \0\nfoo: bar\n:\n\n",
    "a line of a megabyte": chunk({"content": "a" * 1_000_000}),
    "an event without an end": b"data: " + b"a" * 17_000_000,
}


@pytest.mark.parametrize("frame", BROKEN.values(), ids=BROKEN)
async def test_a_broken_event(frame: bytes, autojump_clock: trio.testing.MockClock) -> None:
    await ask(stream(BEGIN, frame, END), "openai", streamed=True)
    await ask(stream(frame, BEGIN, END), "openai", streamed=True)


SYNTAX = {
    "CR": BEGIN.replace(b"\n", b"\r") + END.replace(b"\n", b"\r"),
    "CR LF": BEGIN.replace(b"\n", b"\r\n") + END.replace(b"\n", b"\r\n"),
    "a byte order mark": b"\xef\xbb\xbf" + BEGIN + END,
    "comments": b": x\n\n" * 1000 + BEGIN + END,
    "an object over two lines": b'data: {"choices":[{"index":0,\ndata: "delta":{"content":"hello"}}]}\n\n' + END,
}


@pytest.mark.parametrize("sent", SYNTAX.values(), ids=SYNTAX)
async def test_every_syntax_of_events(sent: bytes, autojump_clock: trio.testing.MockClock) -> None:
    for status, body in await ask(stream(sent), "openai", streamed=True):
        assert status == 200
        assert b"hello" in body
        assert not body.endswith(b"<cut>")


@pytest.mark.parametrize(("provider", "frames"), [("openai", (BEGIN, END)), ("anthropic", (START, TEXT, STOP))])
async def test_a_whole_stream_whose_body_does_not_end(
    provider: str, frames: tuple[bytes, ...], autojump_clock: trio.testing.MockClock
) -> None:
    """The client has all of it: it is neither kept waiting for a minute nor told of an error behind the end."""
    upstream = ScriptedUpstream(Script([stream(*frames)], End.STALL))
    async with gateway_in_memory(None, upstream) as gateway:
        for path in PATHS:
            client, began = gateway.client(), trio.current_time()
            async with client.stream(path, {**ASKED, "model": f"{provider}/m", "stream": True}) as answer:
                body = await answer.read_to_end()
            assert body.endswith((b"data: [DONE]\n\n", b'"message_stop"}\n\n'))
            assert trio.current_time() - began < 6
            client.hang_up()
        await gateway.quiet()


async def test_a_tool_call_that_stays_open_before_an_endless_one(autojump_clock: trio.testing.MockClock) -> None:
    """Anthropic's clients know one open block, so the second call has to wait; not without a bound."""

    def call(index: int, arguments: str) -> bytes:
        return chunk(
            {"tool_calls": [{"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": arguments}}]}
        )

    sent = stream(BEGIN, call(0, "{"), call(1, '{"a":"'), *[call(1, "a" * 1_000_000) for _ in range(18)], END)
    native, _, anthropic = await ask(sent, "openai", streamed=True)
    assert native[1].endswith(b"data: [DONE]\n\n")
    assert b"tool calls are longer" in anthropic[1]
    assert len(anthropic[1]) < 10_000
