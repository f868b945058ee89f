"""Envelopes and whole answers: the public suite, made-up bodies and every recorded answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_trio._wire import MAX_DEPTH, MAX_MEMBERS, Envelope, Scanner, Usage, scan, scan_answer, splice_answer
from bifrost_trio.errors import MalformedAnswer, MalformedJson

FORMATS = {
    "openai.chat": "openai_chat",
    "openai.completions": "openai_completions",
    "openai.embeddings": "openai_embeddings",
    "openai.responses": "openai_responses",
    "anthropic.messages": "anthropic",
    "anthropic.count_tokens": "anthropic_count_tokens",
}


def facts(envelope: Envelope) -> tuple[object, ...]:
    return (envelope.model, envelope.stream, envelope.fallbacks, envelope.max_tokens, envelope.size)


def scan_pieces(pieces: Iterable[bytes]) -> tuple[object, ...]:
    """The envelope's facts, or what is wrong: message and member."""
    scanner = Scanner()
    try:
        for piece in pieces:
            scanner.feed(piece)
        return facts(scanner.finish())
    except MalformedJson as error:
        return (error.message, error.param)


def scan_all(body: bytes) -> tuple[object, ...]:
    """Scans whole, cut once at every byte, and byte by byte; the answers must be equal."""
    try:
        whole = facts(scan(body))
    except MalformedJson as error:
        whole = (error.message, error.param)
    for cut in range(len(body) + 1):
        # What follows a fault is not even made: a long body is cut in seconds.
        assert scan_pieces(body[place] for place in (slice(cut), slice(cut, None))) == whole, f"cut at {cut}"
    assert scan_pieces(body[at : at + 1] for at in range(len(body))) == whole
    return whole


# --- the public suite -------------------------------------------------------------------------------------------------


def test_the_public_suite_as_the_value_of_a_member(shared_data: Path) -> None:
    """The vectors are of any kind, a body is an object: so each one becomes a member's value."""
    judged = 0
    for path in sorted((shared_data / "json" / "JSONTestSuite" / "test_parsing").glob("*.json")):
        verdict = scan_all(b'{"x":' + path.read_bytes() + b"}")
        if path.name.startswith("y_"):
            assert len(verdict) == 5, path.name
        elif path.name.startswith("n_"):
            assert len(verdict) == 2, path.name
        judged += 1
    assert judged > 300


# --- envelopes --------------------------------------------------------------------------------------------------------


def test_everything_that_an_envelope_holds() -> None:
    body = (
        b'{"model": "openai/gpt-4o", "messages": [], "stream": true, "max_tokens": 20, "max_completion_tokens": 10,'
        b' "fallbacks": ["anthropic/claude", {"provider": "groq", "model": "meta/llama"}]}'
    )
    fallbacks = ["anthropic/claude", "groq/meta/llama"]
    assert scan_all(body) == ("openai/gpt-4o", True, fallbacks, 10, len(body))
    assert scan_all(b"{}") == (None, False, [], None, 2)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ('{"model": 1}', "model"),
        ('{"model": null}', "model"),
        ('{"Model": "a"}', "model"),
        ('{"\\u006dodel": "a"}', "model"),
        ('{"model": "a", "model": "a"}', "model"),
        ('{"messages": [], "messages": [1]}', "messages"),
        ('{"messages": [], "\\u006dessages": [1]}', "messages"),
        ('{"Input": "a"}', "input"),
        ('{"prompt": "a", "x": 1, "prompt": "b"}', "prompt"),
        ('{"system": "a", "tools": [], "tools": []}', "tools"),
        ('{"instructions": "a", "instructions": "b"}', "instructions"),
        ('{"stream": "yes"}', "stream"),
        ('{"STREAM": true}', "stream"),
        ('{"fallbacks": {}}', "fallbacks"),
        ('{"fallbacks": [1]}', "fallbacks"),
        (json.dumps({"fallbacks": ["a/b"] * 17}), "fallbacks"),
        ('{"max_tokens": -1}', "max_tokens"),
        ('{"max_completion_tokens": 1.5}', "max_completion_tokens"),
        ('{"max_output_tokens": "1"}', "max_output_tokens"),
    ],
)
def test_a_member_at_fault_is_named(body: str, param: str) -> None:
    message, named = scan_all(body.encode())
    assert named == param
    assert param in str(message)


@pytest.mark.parametrize(
    ("body", "byte"),
    [
        (b"", 0),
        (b"[]", 0),
        (b"\xef\xbb\xbf{}", 0),
        (b'{"a": NaN}', 6),
        (b'{"a": 1,}', 8),
        (b'{"a": "\xff"}', 7),
        (b'{"a": "\\ud800"}', 13),
        (b'{"a": "\n"}', 7),
        (b"{} {}", 3),
    ],
)
def test_a_fault_of_the_grammar_names_the_byte(body: bytes, byte: int) -> None:
    message, param = scan_all(body)
    assert f"at byte {byte}:" in str(message)
    assert param is None


def test_depth_and_members_are_limited() -> None:
    scan(b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}")
    with pytest.raises(MalformedJson):
        scan(b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}")
    with pytest.raises(MalformedJson):
        scan(json.dumps({str(n): n for n in range(MAX_MEMBERS + 1)}).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.permutations(["model", "fallbacks", "x"]), json_values, st.text(), st.text(), st.sampled_from([None, 1]))
def test_a_spliced_body_differs_in_the_model_alone(
    order: list[str], value: Any, old: str, new: str, indent: int | None
) -> None:
    members = {"model": old, "fallbacks": [old], "x": value}
    for keep in (order, order[:2], order[:1], []):
        source = {name: members[name] for name in keep}
        body = json.dumps(source, indent=indent, ensure_ascii=indent is None).encode("utf-8", "surrogatepass")
        spliced = scan(body).splice(body, new)
        assert json.loads(spliced) == {name: source[name] for name in keep if name == "x"} | {"model": new}


def test_what_is_not_replaced_stays_as_it_is() -> None:
    body = b'{ "x":1.50, "model" :"a" ,"fallbacks":[ ],\n"y": "\\u0041" }'
    assert scan(body).splice(body, 'b"') == b'{ "x":1.50, "model" :"b\\"",\n"y": "\\u0041" }'
    prefix = b"POST / HTTP/1.1\r\ncontent-length: "
    spliced = scan(body).splice(body, "b")
    assert scan(body).render(prefix, body, "b") == prefix + b"%d\r\n\r\n" % len(spliced) + spliced
    kept = b'{ "x":1.50, "model" :"a",\n"y": "\\u0041" }'
    assert scan(body).splice(body, None) == kept
    assert scan(body).render(prefix, body, None) == prefix + b"%d\r\n\r\n" % len(kept) + kept
    with pytest.raises(ValueError, match="not the body"):
        scan(body).splice(body + b" ", "b")


def test_a_finished_scanner_takes_no_more() -> None:
    scanner = Scanner()
    scanner.feed(b"{}")
    scanner.finish()
    with pytest.raises(ValueError, match="finished"):
        scanner.feed(b"{}")


@given(json_values.filter(lambda value: isinstance(value, dict)), st.sampled_from([None, 1]))
def test_members_are_added_to_an_answer(value: dict[str, Any], indent: int | None) -> None:
    body = json.dumps(value, indent=indent).encode() + b"\n"
    spliced = splice_answer(body, b'"extra_fields":{"latency":1}')
    assert json.loads(spliced) == value | {"extra_fields": {"latency": 1}}


# --- answers ----------------------------------------------------------------------------------------------------------


def recorded_answers(shared_data: Path) -> Iterator[tuple[str, str]]:
    """Format and body of every recorded whole answer."""
    for path in sorted((shared_data / "recordings").glob("*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            for line in lines:
                recording = json.loads(line)
                if recording["kind"] in FORMATS and not recording["streaming"]:
                    yield FORMATS[recording["kind"]], recording["response"]["body"]


def expected_usage(format: str, answer: dict[str, Any]) -> Usage | None:
    """The usage as the json module sees it."""
    usage = {"input_tokens": answer.get("input_tokens")} if format.endswith("count_tokens") else answer.get("usage")
    if not isinstance(usage, dict):
        return None
    details: dict[str, Any] = {}
    for name in ("prompt_tokens_details", "input_tokens_details"):
        details |= usage.get(name) or {}
    reasoned: dict[str, Any] = {}
    for name in ("completion_tokens_details", "output_tokens_details"):
        reasoned |= usage.get(name) or {}
    inputs = first(usage, "prompt_tokens", "input_tokens")
    outputs = first(usage, "completion_tokens", "output_tokens")
    if inputs is None and outputs is None:
        return None
    beside = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
    cached = first(details | {"": first(usage, *beside)}, "cached_tokens", "") or 0
    written = first(details | usage, "cache_write_tokens", "cache_creation_input_tokens") or 0
    reasoning = first(reasoned, "reasoning_tokens", "thinking_tokens")
    if reasoning is None:
        reasoning = usage.get("reasoning_tokens")
    extra = cached + written if format.startswith("anthropic") else 0
    return Usage((inputs or 0) + extra, outputs or 0, cached, written, reasoning or 0)


def first(members: dict[str, Any], *names: str) -> Any:
    return next((members[name] for name in names if members.get(name) is not None), None)


def expected_finish(format: str, answer: dict[str, Any]) -> str | None:
    if format == "openai_responses":
        status = answer.get("status")
        reason = (answer.get("incomplete_details") or {}).get("reason")
        return reason or (status if isinstance(status, str) and status not in ("queued", "in_progress") else None)
    if format == "anthropic":
        return answer.get("stop_reason")
    choices = answer.get("choices") or [{}]
    return choices[0].get("finish_reason") or None if format in ("openai_chat", "openai_completions") else None


def test_every_recorded_answer(shared_data: Path) -> None:
    """Usage and finish reason of each against the json module."""
    seen = 0
    for format, body in recorded_answers(shared_data):
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            with pytest.raises(MalformedAnswer):
                scan_answer(format, body.encode())
            continue
        read = scan_answer(format, body.encode())
        assert read.usage == expected_usage(format, answer), body
        assert read.finish_reason == expected_finish(format, answer), body
        assert read.error == (answer.get("error") is not None or answer.get("type") == "error"), body
        assert read.model == (answer.get("model") if isinstance(answer.get("model"), str) else None)
        seen += read.usage is not None
    assert seen > 1_500


def test_an_answer_that_was_cut_is_refused() -> None:
    body = b'{"model":"m","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3}} '
    assert scan_answer("openai_chat", body).usage == Usage(3)
    for cut in range(len(body) - 2):
        with pytest.raises(MalformedAnswer):
            scan_answer("openai_chat", body[:cut])
    with pytest.raises(ValueError, match="no such format"):
        scan_answer("telex", body)


def test_usage_is_a_plain_value() -> None:
    usage = Usage(3, output_tokens=4, cached_tokens=1)
    assert usage == Usage(input_tokens=3, output_tokens=4, cached_tokens=1, cache_write_tokens=0, reasoning_tokens=0)
    assert usage != Usage()
    assert "input_tokens=3" in repr(usage)
