"""Event streams: the public cases, and every recorded stream against a slow reading of the same frames."""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bifrost_trio._wire import MAX_EVENT, EventReader, StreamScan, Usage
from bifrost_trio.errors import MalformedAnswer

RECORDINGS = Path(__file__).parents[2] / ".." / "shared" / "data" / "recordings"
FORMATS = {
    "openai.chat": "openai_chat",
    "openai.completions": "openai_completions",
    "openai.responses": "openai_responses",
    "anthropic.messages": "anthropic",
}
Event = tuple[str, bytes, str]


def events(*reads: bytes) -> list[Event]:
    reader = EventReader()
    return [event for read in reads for event in reader.feed(read)]


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# --- events -----------------------------------------------------------------------------------------------------------


def test_the_public_cases(shared_data: Path) -> None:
    """The specification decodes with replacement; the reader hands the data on, so the test decodes it."""
    cases = [json.loads(line) for line in (shared_data / "sse" / "cases.jsonl").read_bytes().splitlines()]
    assert len(cases) > 100
    for case in cases:
        chunks = [base64.b64decode(chunk) for chunk in case["chunks_b64"]]
        expected = [(event["event"], event["data"], event["last_event_id"]) for event in case["events"]]
        stream = b"".join(chunks)
        cuts = [[stream[:cut], stream[cut:]] for cut in range(len(stream) + 1)]
        for reads in (chunks, [stream], bytewise(stream), *cuts):
            read = [(name, data.decode(errors="replace"), last) for name, data, last in events(*reads)]
            assert read == expected, case["name"]


def test_data_is_handed_on_as_it_is() -> None:
    assert events(b"event: \xff\ndata: \xff\xfe\n\n") == [("�", b"\xff\xfe", "")]


def test_an_endless_event_is_refused() -> None:
    reader = EventReader()
    piece = b"data: " + b"x" * 1_000_000 + b"\n"
    with pytest.raises(MalformedAnswer):
        for _ in range(MAX_EVENT // 1_000_000 + 1):
            reader.feed(piece)


# --- facts ------------------------------------------------------------------------------------------------------------


class Facts(NamedTuple):
    output: bool
    complete: bool
    error: bytes | None
    finish_reason: str | None
    usage: Usage | None


def facts(format: str, *reads: bytes) -> Facts:
    scan = StreamScan(format)
    for read in reads:
        scan.feed(read)
    return Facts(scan.output, scan.complete, scan.error, scan.finish_reason, scan.usage)


CHAT = b"""\
: keep-alive\r
\r
data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\r
\r
data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\r
\r
data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\r
\r
data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}\r
\r
data: [DONE]\r
\r
"""


def test_each_fact_is_told_when_it_changes() -> None:
    scan = StreamScan("openai_chat")
    frames = [frame + b"\r\n\r\n" for frame in CHAT.split(b"\r\n\r\n")[:-1]]
    told = [(scan.feed(frame), scan.output, scan.complete, scan.usage, scan.boundary) for frame in frames]
    usage = Usage(9, 2)
    assert told == [
        (False, False, False, None, True),
        (False, False, False, None, True),
        (True, True, False, None, True),
        (True, True, True, None, True),
        (True, True, True, usage, True),
        (False, True, True, usage, True),
    ]


def test_where_a_frame_of_the_gateway_may_follow() -> None:
    scan = StreamScan("openai_chat")
    assert scan.boundary
    for read, boundary in [(b"data: {", False), (b"}\n", False), (b"\n", True), (b"event: x\n", False), (b"\n", True)]:
        scan.feed(read)
        assert scan.boundary is boundary


def test_a_frame_that_is_no_json_is_refused() -> None:
    with pytest.raises(MalformedAnswer):
        StreamScan("openai_chat").feed(b"data: {oops\n\n")
    with pytest.raises(ValueError, match="no streams"):
        StreamScan("openai_embeddings")


def test_a_long_line_in_small_reads() -> None:
    frame = b'data: {"choices":[{"delta":{"content":"' + b"x" * 1_000_000 + b'"}}]}\n\n'
    assert facts("openai_chat", *(frame[at : at + 1000] for at in range(0, len(frame), 1000))).output


# --- recordings -------------------------------------------------------------------------------------------------------


def recorded_streams(path: Path, kind: str) -> Iterator[bytes]:
    """The body of every recorded stream of a provider."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            recording = json.loads(line)
            if recording["kind"] == kind and recording["streaming"]:
                yield recording["response"]["body"].encode()


def frames(stream: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream, found in a slow and simple way."""
    for block in re.split(r"\n\n+", re.sub(r"\r\n?", "\n", stream.decode()) + "\0"):
        lines = [line.partition(":") for line in block.split("\n")]
        data = "\n".join(value.removeprefix(" ") for name, _, value in lines if name == "data").strip()
        if "\0" not in block and data and data != "[DONE]":
            frame = json.loads(data)
            if isinstance(frame, dict):
                yield frame


def counts(usage: dict[str, Any]) -> dict[str, int]:
    """A usage object with all its integers on one level; those of the details under ``details.``."""
    flat = {name: value for name, value in usage.items() if isinstance(value, int)}
    for name in ("prompt_tokens", "input_tokens", "completion_tokens", "output_tokens"):
        for inner, value in (usage.get(f"{name}_details") or {}).items():
            if isinstance(value, int):
                flat[f"details.{inner}"] = value
    return flat


def as_usage(format: str, flat: dict[str, int]) -> Usage | None:
    def pick(*names: str) -> int:
        return next((flat[name] for name in names if name in flat), 0)

    if not flat:
        return None
    beside = ("cache_read_input_tokens", "prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
    cached = pick("details.cached_tokens", *beside)
    written = pick("details.cache_write_tokens", "cache_creation_input_tokens")
    reasoning = pick("details.reasoning_tokens", "details.thinking_tokens", "reasoning_tokens")
    extra = cached + written if format == "anthropic" else 0
    inputs = pick("prompt_tokens", "input_tokens") + extra
    return Usage(inputs, pick("completion_tokens", "output_tokens"), cached, written, reasoning)


def chat_facts(stream: bytes) -> tuple[str | None, dict[str, int]]:
    reason, flat = None, dict[str, int]()
    for frame in frames(stream):
        for choice in frame.get("choices") or []:
            if choice.get("finish_reason") and (reason is None or choice.get("index", 0) == 0):
                reason = choice["finish_reason"]
        places = [*(frame.get("choices") or []), frame.get("x_groq") or {}, frame]
        flat = next((counts(place["usage"]) for place in reversed(places) if place.get("usage")), flat)
    return reason, flat


def responses_facts(stream: bytes) -> tuple[str | None, dict[str, int]]:
    reason, flat = None, dict[str, int]()
    for frame in frames(stream):
        response = frame.get("response") or {}
        if frame.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            reason = (response.get("incomplete_details") or {}).get("reason") or response.get("status")
        flat = counts(response.get("usage") or {}) or flat
    return reason, flat


def anthropic_facts(stream: bytes) -> tuple[str | None, dict[str, int]]:
    reason, flat = None, dict[str, int]()
    for frame in frames(stream):
        if frame["type"] == "message_start":
            flat = counts(frame["message"].get("usage") or {})
        elif frame["type"] == "message_delta":
            reason = frame["delta"].get("stop_reason") or reason
            flat |= counts(frame.get("usage") or {})
    return reason, flat


def expected(format: str, stream: bytes) -> tuple[str | None, Usage | None]:
    readers = {"openai_responses": responses_facts, "anthropic": anthropic_facts}
    reason, flat = readers.get(format, chat_facts)(stream)
    return reason, as_usage(format, flat)


@pytest.mark.recordings
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.jsonl.gz")), ids=lambda path: path.name.split(".")[0])
def test_every_recorded_stream(path: Path, kind: str) -> None:
    """Usage and finish reason of each against the json module; cut anywhere, all facts stay."""
    chance = random.Random(path.name)
    format = FORMATS[kind]
    for stream in recorded_streams(path, kind):
        whole = facts(format, stream)
        assert (whole.finish_reason, whole.usage) == expected(format, stream)
        everywhere = range(len(stream))
        for cut in everywhere if len(stream) < 8_000 else chance.sample(everywhere, 20):
            assert facts(format, stream[:cut], stream[cut:]) == whole
        assert facts(format, *(stream[at : at + 7] for at in range(0, len(stream), 7))) == whole
