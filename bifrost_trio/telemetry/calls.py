"""The log line of a call: its facts, taken when it ends, and written as JSON or as text a moment later."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from bifrost_trio.telemetry.redaction import MASK
from bifrost_trio.types import Attempt, Call, State, Usage

__all__ = ["CallFacts", "json_line", "take_facts", "text_line", "timestamp"]

LONGEST = 1000
"""Characters of an error message, a model's name or an id in a line: they come from outside and have no other bound."""

CLIENT_CLOSED = 499
"""The status of a call whose client left before it had any (nginx's word for it)."""

MOST = 32
"""Attempts and dropped parameters in a line."""


class CallFacts(msgspec.Struct, frozen=True):
    """What a line tells. Nothing here leads to the call: its body may be large, its error holds the whole stack.

    ``time`` is seconds since 1970, the others are seconds of the call; ``first_output`` 0.0 where there was none.
    """

    time: float
    seconds: float
    overhead: float
    upstream: float
    queue: float
    first_output: float
    id: str | None
    operation: str
    provider: str | None
    model: str | None
    stream: bool
    fallback: int
    status: int
    state: str
    kind: str | None
    message: str | None
    trail: Sequence[Attempt]
    key: str | None
    usage: Usage | None
    finish_reason: str | None
    dropped_params: Sequence[str]
    bytes_in: int
    bytes_out: int


def take_facts(call: Call, seconds: float) -> CallFacts:
    """``seconds`` from accept to now."""
    outcome, target, envelope, error = call.outcome, call.target, call.envelope, call.outcome.error
    return CallFacts(
        time.time(),
        seconds,
        seconds - outcome.upstream_seconds - outcome.back_off_seconds - outcome.client_seconds,
        outcome.upstream_seconds,
        outcome.queue_seconds,
        outcome.first_output_at - call.accepted_at if outcome.first_output_at else 0.0,
        call.id,
        call.operation,
        target.provider if target is not None else None,
        target.model if target is not None else envelope.model,
        envelope.stream,
        call.fallback,
        outcome.status or (CLIENT_CLOSED if outcome.state is State.CANCELLED else 0),
        outcome.state,
        error.kind if error is not None else None,
        _message(call) if error is not None else None,
        call.trail,
        call.key or None,
        outcome.usage,
        outcome.finish_reason,
        call.dropped_params,
        envelope.size,
        outcome.bytes_out,
    )


def _message(call: Call) -> str:
    message = str(getattr(call.outcome.error, "message", ""))
    options = call.options
    if options is not None and options.direct_key:
        # Known here alone: no configuration names a key that a client brings.
        message = message.replace(options.direct_key, MASK)
    return message


# --- as JSON ----------------------------------------------------------------------------------------------------------


class _AttemptLine(msgspec.Struct):
    provider: str
    model: str
    key: str
    status: int
    result: str
    ms: float


class _CallLine(msgspec.Struct, omit_defaults=True):
    """One line; what does not apply is left out."""

    time: str
    level: str
    event: str
    operation: str
    state: str
    status: int
    stream: bool
    latency_ms: float
    overhead_us: int
    upstream_ms: float
    bytes_in: int
    bytes_out: int
    request_id: str | None = None
    provider: str | None = None
    model: str | None = None
    key: str | None = None
    fallback: int = 0
    error: str | None = None
    message: str | None = None
    attempts: list[_AttemptLine] | None = None
    queue_ms: float = 0.0
    first_output_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    finish_reason: str | None = None
    dropped_params: list[str] | None = None


_encode = msgspec.json.Encoder().encode


def json_line(facts: CallFacts, redact: Callable[[str], str]) -> bytes:
    """One JSON object and a new line."""
    line = _CallLine(
        timestamp(facts.time),
        _level(facts),
        "call",
        facts.operation,
        facts.state,
        facts.status,
        facts.stream,
        _ms(facts.seconds),
        round(facts.overhead * 1e6),
        _ms(facts.upstream),
        facts.bytes_in,
        facts.bytes_out,
        _outside(facts.id, redact),
        facts.provider,
        _outside(facts.model, redact),
        facts.key,
        facts.fallback,
        facts.kind,
        _outside(facts.message, redact),
        _attempts(facts, redact),
        _ms(facts.queue),
        _ms(facts.first_output) if facts.first_output else None,
        finish_reason=facts.finish_reason,
        dropped_params=list(facts.dropped_params[:MOST]) or None,
    )
    _add_usage(line, facts.usage)
    return _encode(line) + b"\n"


def _attempts(facts: CallFacts, redact: Callable[[str], str]) -> list[_AttemptLine] | None:
    if len(facts.trail) < 2:
        return None
    return [
        _AttemptLine(a.provider, _outside(a.model, redact) or "", a.key, a.status, a.kind, _ms(a.seconds))
        for a in facts.trail[:MOST]
    ]


def _add_usage(line: _CallLine, usage: Usage | None) -> None:
    if usage is not None:
        line.input_tokens = usage.input_tokens
        line.output_tokens = usage.output_tokens
        line.cached_tokens = usage.cached_tokens
        line.cache_write_tokens = usage.cache_write_tokens
        line.reasoning_tokens = usage.reasoning_tokens


def _level(facts: CallFacts) -> str:
    return "error" if facts.state == "failed" and facts.status >= 500 else "info"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _outside(text: str | None, redact: Callable[[str], str]) -> str | None:
    """Text that came from a client or a provider: without keys, and not without end."""
    if text is None:
        return None
    # Cut twice: no key may become unrecognisable at the first cut, and the pattern is not run over megabytes.
    text = redact(text[: 4 * LONGEST])
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def timestamp(seconds: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


# --- as text ----------------------------------------------------------------------------------------------------------


def text_line(facts: CallFacts, redact: Callable[[str], str]) -> bytes:
    """One line for people: what always applies first, then ``name=value``."""
    where = f"{facts.provider}/{facts.model}" if facts.provider is not None else facts.model or "-"
    words = [
        timestamp(facts.time),
        f"{facts.status or '-'} {facts.state} {facts.operation}{' stream' if facts.stream else ''}",
        _quoted(_outside(where, redact) or ""),
        f"{facts.seconds * 1000:.1f}ms overhead={facts.overhead * 1e6:.0f}us upstream={facts.upstream * 1000:.1f}ms",
        *_details(facts),
        f"in={facts.bytes_in}B out={facts.bytes_out}B",
    ]
    if facts.id is not None:
        words.append(f"id={_quoted(_outside(facts.id, redact) or '')}")
    if facts.kind is not None:
        words.append(f"error={facts.kind}: {_quoted(_outside(facts.message, redact) or '')}")
    return (" ".join(words) + "\n").encode("utf-8", "backslashreplace")


def _details(facts: CallFacts) -> list[str]:
    words = []
    if facts.first_output:
        words.append(f"first={facts.first_output * 1000:.1f}ms")
    if facts.queue:
        words.append(f"queue={facts.queue * 1000:.1f}ms")
    if facts.key:
        words.append(f"key={_quoted(facts.key)}")
    if len(facts.trail) > 1:
        words.append("attempts=" + _quoted(",".join(f"{a.provider}:{a.key}:{a.kind}" for a in facts.trail[:MOST])))
    if facts.usage is not None:
        words.append(f"tokens={facts.usage.input_tokens}+{facts.usage.output_tokens}")
    if facts.finish_reason is not None:
        words.append(f"finish={_quoted(facts.finish_reason)}")
    if facts.dropped_params:
        words.append("dropped=" + _quoted(",".join(facts.dropped_params[:MOST])))
    return words


def _quoted(text: str) -> str:
    """As it is, unless it could be taken for the end of the line or steer a terminal."""
    return text if text.isprintable() else repr(text)[1:-1]
