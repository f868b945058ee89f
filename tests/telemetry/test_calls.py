"""The line of a call, word by word."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from bifrost_trio import errors
from bifrost_trio._wire import Usage
from bifrost_trio.telemetry import Telemetry
from bifrost_trio.telemetry.calls import LONGEST, CallFacts, json_line, take_facts, text_line
from bifrost_trio.telemetry.lines import CAPACITY
from bifrost_trio.types import Attempt, Options, State, Target

KEY = "sk-proj-0123456789abcdefghij"
TRAIL = [
    Attempt("openai", "gpt-4o", "first", 429, "provider_rate_limited", 0.0251, 0),
    Attempt("openai", "gpt-4o", "second", 200, "success", 0.9, 0),
]


def same(text: str) -> str:
    return text


def facts(call: Any, seconds: float = 1.000_05, **changes: object) -> CallFacts:
    return msgspec.structs.replace(take_facts(call, seconds), time=1_770_000_000.1234, **changes)


@pytest.fixture
def answered(call: Callable[..., Any]) -> Any:
    ended = call(stream=True, accepted_at=10.0, upstream=0.95, trail=TRAIL, usage=Usage(100, 20, 60))
    ended.id = "abc-1"
    ended.outcome.first_output_at = 10.25
    ended.outcome.queue_seconds = 0.0125
    ended.outcome.finish_reason = "stop"
    ended.outcome.bytes_out = 4321
    ended.dropped_params = ["logit_bias"]
    return ended


def test_a_json_line(answered: Any) -> None:
    line = json_line(facts(answered), same)
    assert line == (
        b'{"time":"2026-02-02T02:40:00.123Z","level":"info","event":"call","operation":"chat_completion",'
        b'"state":"done","status":200,"stream":true,"latency_ms":1000.05,"overhead_us":50050,"upstream_ms":950.0,'
        b'"bytes_in":39,"bytes_out":4321,"request_id":"abc-1","provider":"openai","model":"gpt-4o","key":"second",'
        b'"attempts":[{"provider":"openai","model":"gpt-4o","key":"first","status":429,'
        b'"result":"provider_rate_limited","ms":25.1},{"provider":"openai","model":"gpt-4o","key":"second",'
        b'"status":200,"result":"success","ms":900.0}],"queue_ms":12.5,"first_output_ms":250.0,"input_tokens":100,'
        b'"output_tokens":20,"cached_tokens":60,"finish_reason":"stop","dropped_params":["logit_bias"]}\n'
    )


def test_a_text_line(answered: Any) -> None:
    assert text_line(facts(answered), same) == (
        b"2026-02-02T02:40:00.123Z 200 done chat_completion stream openai/gpt-4o 1000.1ms overhead=50050us "
        b"upstream=950.0ms first=250.0ms queue=12.5ms key=second "
        b"attempts=openai:first:provider_rate_limited,openai:second:success tokens=100+20 finish=stop "
        b"dropped=logit_bias in=39B out=4321B id=abc-1\n"
    )


def test_a_failure_says_what_it_was(call: Any) -> None:
    failed = call(error=errors.ProviderFault(503, "overloaded"))
    line = json.loads(json_line(facts(failed), same))
    assert (line["state"], line["status"], line["level"]) == ("failed", 503, "error")
    assert (line["error"], line["message"]) == ("provider_server_error", "overloaded")
    assert text_line(facts(failed), same).endswith(b"error=provider_server_error: overloaded\n")


def test_a_client_that_left_before_anything_was_known(call: Any) -> None:
    left = call(None, state=State.CANCELLED, status=0, trail=[], headless=True)
    line = json.loads(json_line(facts(left), same))
    assert (line["state"], line["status"]) == ("cancelled", 499)
    assert not {"provider", "model", "key", "attempts", "error", "input_tokens"} & line.keys()
    assert text_line(facts(left), same).startswith(b"2026-02-02T02:40:00.123Z 499 cancelled chat_completion - 1000.1ms")


def test_a_line_has_an_end_and_only_one(call: Any) -> None:
    evil = call("nobody/" + "m" * 5000, target=Target("openai", "a\n2026 200 forged\x1b[31m"))
    evil.id = "x" * 5000
    text = text_line(facts(evil), same)
    assert text.count(b"\n") == 1
    assert b"\x1b" not in text
    assert len(text) < 2 * LONGEST
    assert json_line(facts(evil), same).count(b"\n") == 1


def test_facts_do_not_keep_the_call(call: Any) -> None:
    failed = call(error=errors.ProviderFault(503, "overloaded", body=b"x" * 1000))
    taken = take_facts(failed, 1.0)
    held = [getattr(taken, name) for name in taken.__struct_fields__]
    assert not any(
        value is one for value in held for one in (failed, failed.body, failed.outcome, failed.outcome.error)
    )


@pytest.mark.parametrize("mode", ["json", "text"])
async def test_settled_calls_are_logged_without_any_key(
    mode: Any, call: Any, assembly: Any, read: Any, autojump_clock: trio.testing.MockClock
) -> None:
    own = "a-key-of-no-known-shape"
    brought = "whatever the client calls a key"
    stream = io.StringIO()
    telemetry = Telemetry(log=mode, stream=stream)
    telemetry.watch(assembly(keys=[own]))
    refused = call(error=errors.KeyRefused(401, f"Incorrect API key {brought}, {own}, {KEY}"))
    refused.options = Options()
    refused.options.direct_key = brought
    async with trio.open_nursery() as nursery:
        nursery.start_soon(telemetry.run)
        await trio.testing.wait_all_tasks_blocked()
        telemetry.settle(refused)
        telemetry.settle(call(f"openai/{KEY}", error=errors.RequestRefused(404, "no such model")))
        await trio.sleep(1)
        text = await telemetry.exposition()
        nursery.cancel_scope.cancel()
    written = stream.getvalue()
    assert written.count("\n") == 2
    assert "Incorrect API key ***, ***, ***" in written
    for secret in (own, brought, KEY):
        assert secret not in written
        assert secret.encode() not in text
        assert secret.encode() not in telemetry.snapshot()
    assert read(text)("bifrost_log_lines_total", result="written") == 2


async def test_dropped_lines_are_counted_in_the_metrics(call: Any, read: Any) -> None:
    telemetry = Telemetry(log="json", stream=io.StringIO())
    ended = call()
    for _ in range(CAPACITY + 3):
        telemetry.settle(ended)
    assert read(await telemetry.exposition())("bifrost_log_lines_total", result="dropped") == 3


async def test_without_a_log_nothing_is_kept(telemetry: Telemetry, call: Any, read: Any) -> None:
    telemetry.settle(call())
    assert not read(await telemetry.exposition()).has("bifrost_log_lines_total")
