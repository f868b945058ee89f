"""What a call that has ended adds to the metrics."""

from __future__ import annotations

import time
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio import errors
from bifrost_trio._wire import Usage
from bifrost_trio.telemetry import Telemetry
from bifrost_trio.telemetry.tally import KINDS
from bifrost_trio.types import Attempt, State, Target

CHAT = {"provider": "openai", "model": "gpt-4o", "method": "chat_completion", "stream": "false"}


async def test_an_answer_is_counted_under_its_labels(telemetry: Telemetry, call: Any, read: Any) -> None:
    telemetry.settle(call(usage=Usage(100, 20, 60, 10, 5)))
    seen = read(await telemetry.exposition())
    assert seen("bifrost_upstream_requests_total", **CHAT) == 1
    assert seen("bifrost_success_requests_total", **CHAT) == 1
    assert seen("bifrost_input_tokens_total", **CHAT) == 100
    assert seen("bifrost_output_tokens_total", **CHAT) == 20
    assert seen("bifrost_cached_input_tokens_total", **CHAT) == 60
    assert seen("bifrost_cache_write_tokens_total", **CHAT) == 10
    assert seen("bifrost_reasoning_tokens_total", **CHAT) == 5
    assert seen("bifrost_request_retries_bucket", le="0.0", **CHAT) == 1
    assert seen("http_requests_total", path="/v1/chat/completions", method="POST", status="200") == 1
    assert seen("bifrost_settled_requests_total") == 1
    assert not seen.has("bifrost_error_requests_total")


async def test_overhead_is_the_call_less_the_wait_for_the_provider(
    telemetry: Telemetry, call: Any, read: Any, mock_clock: trio.testing.MockClock
) -> None:
    ended = call(accepted_at=trio.current_time(), upstream=0.3)
    ended.outcome.queue_seconds = 0.1
    mock_clock.jump(0.4 + 0.000_045)
    telemetry.settle(ended)
    seen = read(await telemetry.exposition())
    # The time in the queue is the gateway's own.
    assert seen("bifrost_overhead_latency_microseconds_sum", **CHAT) == pytest.approx(100_045)
    assert seen("bifrost_overhead_latency_microseconds_bucket", le="100000.0", **CHAT) == 0
    assert seen("bifrost_overhead_latency_microseconds_bucket", le="1000000.0", **CHAT) == 1
    assert seen("bifrost_upstream_latency_seconds_sum", is_success="true", **CHAT) == pytest.approx(0.3)
    assert seen("http_request_duration_seconds_sum") == pytest.approx(0.400_045)


class Turn:
    holds_back = True


async def test_what_waits_for_the_end_of_the_turn_is_the_gateways_own_time(
    telemetry: Telemetry, call: Any, read: Any, mock_clock: trio.testing.MockClock
) -> None:
    """Written one after the other, when the turn is over: each call ends when its own answer has gone."""
    telemetry.defer(Turn())
    began = trio.current_time()
    for _ in range(2):
        telemetry.settle(call(accepted_at=began))
    mock_clock.jump(3.0)
    telemetry.count_sent(began + 1.0, began + 3.0)
    seen = read(await telemetry.exposition())
    assert seen("bifrost_overhead_latency_microseconds_sum", **CHAT) == pytest.approx(2e6 + 3e6)
    assert seen("http_request_duration_seconds_sum") == pytest.approx(2.0 + 3.0)
    assert seen("bifrost_settled_requests_total") == 2
    telemetry.count_sent(began + 4.0, began + 5.0)
    assert read(await telemetry.exposition())("bifrost_settled_requests_total") == 2


async def test_who_asks_in_the_middle_of_a_turn_sees_every_call_that_has_ended(
    telemetry: Telemetry, call: Any, read: Any, mock_clock: trio.testing.MockClock
) -> None:
    telemetry.defer(Turn())
    telemetry.settle(call(accepted_at=trio.current_time()))
    mock_clock.jump(0.25)
    seen = read(await telemetry.exposition())
    assert seen("bifrost_settled_requests_total") == 1
    assert seen("http_request_duration_seconds_sum") == pytest.approx(0.25)


async def test_a_turn_of_few_counts_at_once(
    telemetry: Telemetry, call: Any, read: Any, mock_clock: trio.testing.MockClock
) -> None:
    turn = Turn()
    turn.holds_back = False
    telemetry.defer(turn)
    telemetry.settle(call(accepted_at=trio.current_time() - 2.0))
    telemetry.count_sent(trio.current_time() + 5.0, trio.current_time() + 9.0)
    assert read(await telemetry.exposition())("http_request_duration_seconds_sum") == pytest.approx(2.0)


async def test_overhead_of_hedged_attempts_is_never_negative(
    telemetry: Telemetry, call: Any, read: Any, mock_clock: trio.testing.MockClock
) -> None:
    ended = call(accepted_at=trio.current_time(), upstream=0.9)
    mock_clock.jump(0.5)
    telemetry.settle(ended)
    assert read(await telemetry.exposition())("bifrost_overhead_latency_microseconds_sum") == 0


async def test_a_value_on_a_bound_is_within_it(
    telemetry: Telemetry, call: Any, read: Any, mock_clock: trio.testing.MockClock
) -> None:
    telemetry.settle(call(accepted_at=trio.current_time() - 1.0))
    telemetry.settle(call(accepted_at=trio.current_time() - 1000.0))
    seen = read(await telemetry.exposition())
    assert seen("http_request_duration_seconds_bucket", le="0.5") == 0
    assert seen("http_request_duration_seconds_bucket", le="1.0") == 1
    assert seen("http_request_duration_seconds_bucket", le="300.0") == 1
    assert seen("http_request_duration_seconds_bucket", le="+Inf") == 2
    assert seen("http_request_duration_seconds_count") == 2


async def test_first_output_is_of_streams_alone(
    telemetry: Telemetry, call: Any, read: Any, mock_clock: trio.testing.MockClock
) -> None:
    accepted = trio.current_time()
    for stream in (True, False):
        ended = call(stream=stream, accepted_at=accepted)
        ended.outcome.first_output_at = accepted + 0.2
        telemetry.settle(ended)
    seen = read(await telemetry.exposition())
    assert seen("bifrost_stream_first_token_latency_seconds_count", stream="true") == 1
    assert seen("bifrost_stream_first_token_latency_seconds_sum") == pytest.approx(0.2)
    assert not seen.has("bifrost_stream_first_token_latency_seconds_count", stream="false")


async def test_retries_and_the_keys_that_were_left(telemetry: Telemetry, call: Any, read: Any) -> None:
    trail = [
        Attempt("openai", "gpt-4o", "first", 429, "provider_rate_limited", 0.1, 0),
        Attempt("openai", "gpt-4o", "second", 503, "provider_server_error", 0.1, 0),
        Attempt("openai", "gpt-4o", "second", 200, "success", 0.3, 0),
    ]
    telemetry.settle(call(trail=trail))
    seen = read(await telemetry.exposition())
    assert seen("bifrost_upstream_requests_total", **CHAT) == 3
    assert seen("bifrost_success_requests_total", **CHAT) == 1
    assert seen("bifrost_upstream_latency_seconds_count", is_success="false", **CHAT) == 2
    assert seen("bifrost_upstream_latency_seconds_count", is_success="true", **CHAT) == 1
    assert seen("bifrost_request_retries_sum", **CHAT) == 2
    rotation = {"provider": "openai", "model": "gpt-4o", "key_name": "first", "fail_reason": "provider_rate_limited"}
    assert seen("bifrost_key_rotation_events_total", **rotation) == 1
    assert seen("bifrost_key_rotation_events_total") == 1


async def test_attempts_are_counted_for_who_was_asked(call: Any, assembly: Any, read: Any) -> None:
    telemetry = Telemetry()
    telemetry.watch(assembly({"openai": ["gpt-4o"], "anthropic": ["claude"]}))
    trail = [
        Attempt("openai", "gpt-4o", "main", 503, "provider_server_error", 0.1, 0),
        Attempt("anthropic", "claude", "other", 200, "success", 0.1, 1),
    ]
    telemetry.settle(call(target=Target("anthropic", "claude"), trail=trail))
    seen = read(await telemetry.exposition())
    assert seen("bifrost_upstream_requests_total", provider="openai") == 1
    assert seen("bifrost_upstream_requests_total", provider="anthropic") == 1
    assert seen("bifrost_success_requests_total", provider="anthropic") == 1
    assert seen("bifrost_success_requests_total", provider="openai") == 0
    # Another provider's key is not a rotation, and a fallback is not a retry.
    assert not seen.has("bifrost_key_rotation_events_total")
    assert seen("bifrost_request_retries_sum") == 0


async def test_an_error_has_its_status_and_its_kind(telemetry: Telemetry, call: Any, read: Any) -> None:
    telemetry.settle(call(error=errors.RateLimited(429, "slow down")))
    telemetry.settle(call(error=errors.FirstOutputTimeout("no output")))
    seen = read(await telemetry.exposition())
    assert seen("bifrost_error_requests_total", status_code="429", error_type="provider_rate_limited", **CHAT) == 1
    assert seen("bifrost_error_requests_total", status_code="504", error_type="provider_timeout", **CHAT) == 1
    assert seen("bifrost_success_requests_total", **CHAT) == 0
    assert seen("http_requests_total", status="429") == 1


async def test_a_client_that_leaves_is_no_error_of_the_provider(telemetry: Telemetry, call: Any, read: Any) -> None:
    cut = [Attempt("openai", "gpt-4o", "main", 0, "cancelled", 0.2, 0)]
    telemetry.settle(call(state=State.CANCELLED, status=0, trail=cut, usage=Usage(7, 3)))
    telemetry.settle(call(state=State.CANCELLED, error=errors.SlowClient("took nothing")))
    seen = read(await telemetry.exposition())
    assert seen("bifrost_cancelled_requests_total", error_type="cancelled", **CHAT) == 1
    assert seen("bifrost_cancelled_requests_total", error_type="slow_client", **CHAT) == 1
    assert not seen.has("bifrost_error_requests_total")
    assert not seen.has("bifrost_upstream_latency_seconds_count")
    assert seen("bifrost_upstream_requests_total", **CHAT) == 2
    # What was used is counted all the same.
    assert seen("bifrost_input_tokens_total", **CHAT) == 7
    assert seen("http_requests_total", status="499") == 2


async def test_an_answer_without_an_attempt_is_a_success(telemetry: Telemetry, call: Any, read: Any) -> None:
    telemetry.settle(call(trail=[]))
    seen = read(await telemetry.exposition())
    assert seen("bifrost_success_requests_total", **CHAT) == 1
    assert seen("bifrost_upstream_requests_total", **CHAT) == 0
    assert not seen.has("bifrost_request_retries_count")


@pytest.mark.parametrize("missing", ["target", "head", "model", "everything"])
async def test_half_filled_calls_are_settled(missing: str, call: Any, assembly: Any, read: Any) -> None:
    telemetry = Telemetry()
    if missing != "everything":
        telemetry.watch(assembly())
    ended = call(
        None if missing in ("model", "everything") else "openai/gpt-4o",
        headless=missing in ("head", "everything"),
        state=State.CANCELLED,
        status=0,
        trail=[],
    )
    if missing == "target":
        ended.target = None
    telemetry.settle(ended)
    seen = read(await telemetry.exposition())
    assert seen("bifrost_cancelled_requests_total") == 1
    assert seen("bifrost_settled_requests_total") == 1
    assert seen("bifrost_settle_failures_total") == 0


async def test_settle_never_raises(telemetry: Telemetry, call: Any, read: Any) -> None:
    broken = call()
    broken.outcome.upstream_seconds = "a plugin wrote this"
    telemetry.settle(broken)
    seen = read(await telemetry.exposition())
    assert seen("bifrost_settle_failures_total") == 1
    assert seen("bifrost_settled_requests_total") == 1


async def test_every_kind_of_the_error_tree_is_a_label() -> None:
    words = {getattr(errors, name).kind for name in errors.__all__ if hasattr(getattr(errors, name), "kind")}
    assert words <= KINDS
    assert len(words) > 10


async def test_a_plugins_own_kind_is_not_a_label(telemetry: Telemetry, call: Any, read: Any) -> None:
    class Mine(errors.GatewayError):
        kind = "user-1234"
        status = 1234

    telemetry.settle(call(error=Mine("no")))
    assert (
        read(await telemetry.exposition())("bifrost_error_requests_total", status_code="other", error_type="other") == 1
    )


async def test_settle_takes_a_microsecond_or_so(telemetry: Telemetry, call: Any) -> None:
    """A guard against something slow on the hot path, not a measurement: machines that run tests are busy."""
    ended = call(usage=Usage(100, 20))
    best = min(_seconds(telemetry, ended) for _ in range(50)) / 100
    assert best < 10e-6


def _seconds(telemetry: Telemetry, ended: Any) -> float:
    began = time.perf_counter()
    for _ in range(100):
        telemetry.settle(ended)
    return time.perf_counter() - began
