"""Event streams beside server-sent events: lines of JSON, Amazon's messages, and the formats that use either."""

from __future__ import annotations

import base64
import gzip
import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_trio._wire import MAX_EVENT, EventReader, StreamScan, Usage, render_message
from bifrost_trio.errors import MalformedAnswer

RECORDINGS = Path(__file__).parents[2] / ".." / "shared" / "data" / "recordings"
FORMATS = {
    "bedrock.converse-stream": "bedrock_converse",
    "bedrock.invoke-stream": "bedrock_invoke",
    "cohere.v2.chat": "cohere",
    "gemini.streamGenerateContent": "gemini",
    "ollama.chat": "ollama",
}
FRAMINGS = {"bedrock_converse": "amazon", "bedrock_invoke": "amazon", "ollama": "ndjson"}
Event = tuple[str, bytes, str]


def events(framing: str, *reads: bytes) -> list[Event]:
    reader = EventReader(framing)
    return [event for read in reads for event in reader.feed(read)]


def events_all(framing: str, stream: bytes) -> list[Event]:
    """Reads whole, cut once at every byte, and byte by byte; the answers must be equal."""
    whole = events(framing, stream)
    for cut in range(len(stream) + 1):
        assert events(framing, stream[:cut], stream[cut:]) == whole
    assert events(framing, *(stream[at : at + 1] for at in range(len(stream)))) == whole
    return whole


class Facts(NamedTuple):
    output: bool
    complete: bool
    error: bytes | None
    finish_reason: str | None
    usage: Usage | None
    boundary: bool


def facts(format: str, *reads: bytes) -> Facts:
    scan = StreamScan(format)
    for read in reads:
        scan.feed(read)
    return Facts(scan.output, scan.complete, scan.error, scan.finish_reason, scan.usage, scan.boundary)


# --- framings ---------------------------------------------------------------------------------------------------------


def test_framings_have_names() -> None:
    assert events("sse", b"data: {}\n\n") == [("message", b"{}", "")]
    with pytest.raises(ValueError, match="no such framing"):
        EventReader("telex")


def test_lines() -> None:
    assert events_all("ndjson", b'{"a":1}\r\n\n \r\n{"b":2}\n{"c"') == [
        ("message", b'{"a":1}', ""),
        ("message", b'{"b":2}', ""),
    ]
    with pytest.raises(MalformedAnswer):
        EventReader("ndjson").feed(b"x" * (MAX_EVENT + 1))


def message(kind: str, name: str, payload: Any) -> bytes:
    names = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}
    return render_message([(names[kind], name), (":message-type", kind)], json.dumps(payload).encode())


def test_messages() -> None:
    stream = message("event", "chunk", {"a": 1}) + message("exception", "throttlingException", {})
    assert events_all("amazon", stream) == [
        ("chunk", b'{"a": 1}', "event"),
        ("throttlingException", b"{}", "exception"),
    ]
    error = render_message([(":message-type", "error"), (":error-code", "500"), (":error-message", "no")], b"")
    assert events_all("amazon", error) == [("500", b"no", "error")]
    assert events_all("amazon", render_message([], b"")) == [("", b"", "")]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=60), st.text()), unique_by=lambda pair: pair[0]), st.binary())
def test_a_message_of_ours_is_what_the_specification_says(headers: list[tuple[str, str]], payload: bytes) -> None:
    parts = [(name.encode(), value.encode()) for name, value in headers]
    block = b"".join(bytes([len(name)]) + name + b"\7" + len(value).to_bytes(2, "big") + value for name, value in parts)
    start = (len(block) + len(payload) + 16).to_bytes(4, "big") + len(block).to_bytes(4, "big")
    start += zlib.crc32(start).to_bytes(4, "big") + block + payload
    assert render_message(headers, payload) == start + zlib.crc32(start).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("headers", "payload"),
    [
        ([("", "x")], b""),
        ([("x" * 256, "x")], b""),
        ([("x", "y" * 40_000)], b""),
        ([("x", "y"), ("x", "z")], b""),
        ([(str(n), "y" * 32_000) for n in range(5)], b""),
        ([(str(n), "") for n in range(129)], b""),
        ([], b"x" * MAX_EVENT),
    ],
)
def test_a_message_that_nobody_would_read_is_refused(headers: list[tuple[str, str]], payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|large"):
        render_message(headers, payload)


def test_the_public_messages(shared_data: Path) -> None:
    lines = (shared_data / "aws_eventstream" / "vectors.jsonl").read_bytes().splitlines()
    assert len(lines) == 15
    for line in lines:
        case = json.loads(line)
        stream = base64.b64decode(case["input_b64"])
        if case["expect"] == "error":
            with pytest.raises(MalformedAnswer):
                EventReader("amazon").feed(stream)
            continue
        [(name, data, kind)] = events_all("amazon", stream)
        headers = case["headers"]
        payload = base64.b64decode(case["payload_b64"]) or headers.get(":error-message", "").encode()
        assert (data, kind) == (payload, headers.get(":message-type", ""))
        assert name == headers.get(":event-type", headers.get(":error-code", ""))


@given(st.data())
def test_a_message_with_a_byte_that_changed_is_refused(data: st.DataObject) -> None:
    whole = message("event", "chunk", {"a": 1})
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    with pytest.raises(MalformedAnswer):
        EventReader("amazon").feed(broken)


# --- facts ------------------------------------------------------------------------------------------------------------


def test_an_exception_is_named() -> None:
    for format in ("bedrock_converse", "bedrock_invoke"):
        stream = message("exception", "throttlingException", {"message": "slow"})
        read = facts(format, stream)
        assert json.loads(read.error or b"") == {"__type": "throttlingException", "message": "slow"}
        assert not read.complete
        assert read.boundary


def test_each_fact_is_told_when_it_changes() -> None:
    scan = StreamScan("bedrock_converse")
    told = []
    for name, payload in (
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"delta": {"text": "Hi"}, "contentBlockIndex": 0}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 2, "cacheReadInputTokens": 4}}),
    ):
        told.append(
            (scan.feed(message("event", name, payload)), scan.output, scan.complete, scan.finish_reason, scan.usage)
        )
    usage = Usage(7, 2, cached_tokens=4)
    assert told == [
        (False, False, False, None, None),
        (True, True, False, None, None),
        (False, True, False, None, None),
        (True, True, True, "end_turn", None),
        (True, True, True, "end_turn", usage),
    ]


def test_what_cannot_be_read_is_refused() -> None:
    for format, stream in (
        ("ollama", b"{oops\n"),
        ("bedrock_converse", render_message([(":event-type", "metadata")], b"{oops")),
        ("bedrock_invoke", message("event", "chunk", {"bytes": "e30"})),
        ("bedrock_invoke", message("event", "chunk", {"bytes": base64.b64encode(b"{oops").decode()})),
        ("gemini", b"data: {oops\n\n"),
    ):
        with pytest.raises(MalformedAnswer):
            StreamScan(format).feed(stream)
    for format in ("gemini_embeddings", "cohere_embeddings", "ollama_embeddings", "rerank", "openai_images", "json"):
        with pytest.raises(ValueError, match="no streams"):
            StreamScan(format)


# --- recordings -------------------------------------------------------------------------------------------------------


def recorded_streams(path: Path, kind: str) -> Iterator[bytes]:
    """The body of every recorded stream of a provider; of Bedrock those that are messages, of its models' own
    languages Anthropic's."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            recording = json.loads(line)
            foreign = kind == "bedrock.invoke-stream" and "anthropic." not in recording["path"]
            if recording["kind"] == kind and recording["streaming"] and not foreign:
                response = recording["response"]
                coded = response["encoding"] == "base64"
                if coded or not kind.startswith("bedrock."):
                    yield base64.b64decode(response["body"]) if coded else response["body"].encode()


def frames(format: str, stream: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the JSON object of each event."""
    for name, data, _ in events(FRAMINGS.get(format, "sse"), stream):
        if data.strip() and data != b"[DONE]":
            frame = json.loads(data)
            yield name, json.loads(base64.b64decode(frame["bytes"])) if format == "bedrock_invoke" else frame


def converse_facts(stream: bytes) -> tuple[bool, str | None, Usage | None]:
    reason, usage = None, None
    for name, frame in frames("bedrock_converse", stream):
        reason = frame["stopReason"] if name == "messageStop" else reason
        if name == "metadata":
            read = frame["usage"]
            cached, written = read.get("cacheReadInputTokens", 0), read.get("cacheWriteInputTokens", 0)
            usage = Usage(read["inputTokens"] + cached + written, read["outputTokens"], cached, written)
    return reason is not None, reason, usage


def invoke_facts(stream: bytes) -> tuple[bool, str | None, Usage | None]:
    counts, reason, complete = dict[str, Any](), None, False
    for _, frame in frames("bedrock_invoke", stream):
        if frame["type"] == "message_start":
            counts = frame["message"]["usage"]
        elif frame["type"] == "message_delta":
            reason = frame["delta"]["stop_reason"]
            counts |= frame["usage"]
        complete |= frame["type"] == "message_stop"
    cached, written = counts.get("cache_read_input_tokens", 0), counts.get("cache_creation_input_tokens", 0)
    return complete, reason, Usage(counts["input_tokens"] + cached + written, counts["output_tokens"], cached, written)


def cohere_facts(stream: bytes) -> tuple[bool, str | None, Usage | None]:
    for _, frame in frames("cohere", stream):
        if frame["type"] == "message-end":
            usage = frame["delta"]["usage"]
            tokens = usage["tokens"]
            counts = tokens["input_tokens"], tokens["output_tokens"], usage.get("cached_tokens", 0), 0
            return True, frame["delta"]["finish_reason"], Usage(*counts, tokens.get("reasoning_tokens", 0))
    return False, None, None


def gemini_facts(stream: bytes) -> tuple[bool, str | None, Usage | None]:
    reason, usage = None, None
    for _, frame in frames("gemini", stream):
        for candidate in frame.get("candidates", []):
            reason = candidate.get("finishReason", reason)
        read = frame.get("usageMetadata") or {}
        inputs = read.get("promptTokenCount", 0) + read.get("toolUsePromptTokenCount", 0)
        thoughts = read.get("thoughtsTokenCount", 0)
        if read.keys() & {"promptTokenCount", "candidatesTokenCount"}:
            outputs = read.get("candidatesTokenCount", 0) + thoughts
            usage = Usage(inputs, outputs, read.get("cachedContentTokenCount", 0), 0, thoughts)
    return reason is not None, reason, usage


def ollama_facts(stream: bytes) -> tuple[bool, str | None, Usage | None]:
    last = list(frames("ollama", stream))[-1][1]
    counts = Usage(last.get("prompt_eval_count", 0), last.get("eval_count", 0))
    return last["done"], last.get("done_reason"), counts


READERS = {
    "bedrock_converse": converse_facts,
    "bedrock_invoke": invoke_facts,
    "cohere": cohere_facts,
    "gemini": gemini_facts,
    "ollama": ollama_facts,
}


@pytest.mark.recordings
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("provider", ["bedrock", "cohere", "gemini", "ollama", "vertex"])
def test_every_recorded_stream(provider: str, kind: str) -> None:
    """Usage and finish reason of each against the json module; cut anywhere, all facts stay."""
    chance = random.Random(provider)
    format = FORMATS[kind]
    for stream in recorded_streams(RECORDINGS / f"{provider}.jsonl.gz", kind):
        whole = facts(format, stream)
        assert (whole.complete, whole.finish_reason, whole.usage) == READERS[format](stream)
        assert whole.boundary
        everywhere = range(len(stream))
        for cut in everywhere if len(stream) < 8_000 else chance.sample(everywhere, 20):
            assert facts(format, stream[:cut], stream[cut:]) == whole
        assert facts(format, *(stream[at : at + 7] for at in range(0, len(stream), 7))) == whole
