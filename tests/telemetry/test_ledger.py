"""Many workers are one node, and no counter falls."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_trio.telemetry import Ledger, Telemetry, expose, merge
from bifrost_trio.telemetry.families import Family, Metric
from bifrost_trio.telemetry.ledger import VERSION, Snapshot

CALLS = Metric("calls_total", "Calls.", "counter", ("model",))
OPEN = Metric("open", "Open calls.", "gauge")
TIMES = Metric("seconds", "Times.", "histogram", (), (0.1, 1.0))


def snapshot(origin: str, number: int, calls: float, model: str = "a") -> bytes:
    families = [
        Family(CALLS, {(model,): [calls]}),
        Family(OPEN, {(): [calls / 2]}),
        Family(TIMES, {(): [calls * 0.5, 0, calls, 0]}),
    ]
    return Snapshot(VERSION, origin, number, families).encode()


def test_counters_and_histograms_are_summed_and_gauges_kept(read: Any) -> None:
    seen = read(expose(merge({"1": snapshot("x", 1, 4), "2": snapshot("y", 1, 6, "b")})))
    assert seen("calls_total", model="a") == 4
    assert seen("calls_total", model="b") == 6
    assert seen("seconds_sum") == 5
    assert seen("seconds_bucket", le="0.1") == 0
    assert seen("seconds_bucket", le="1.0") == 10
    assert seen("seconds_count") == 10
    assert seen("open", worker="1") == 2
    assert seen("open", worker="2") == 3


def test_merge_is_pure_and_does_not_mind_the_order() -> None:
    one, two = snapshot("x", 1, 4), snapshot("y", 1, 6)
    assert merge({"1": one, "2": two}) == merge({"2": two, "1": one})
    assert Snapshot.decode(one).families[0].rows == {("a",): [4.0]}


async def test_the_telemetry_of_two_processes(call: Any, assembly: Any, read: Any) -> None:
    book = Ledger()
    for worker, calls in (("1", 2), ("2", 3)):
        telemetry = Telemetry()
        telemetry.watch(assembly(open=1))
        for _ in range(calls):
            telemetry.settle(call())
        book.take(worker, telemetry.snapshot())
    seen = read(book.exposition())
    assert seen("bifrost_success_requests_total", model="gpt-4o") == 5
    assert seen("bifrost_overhead_latency_microseconds_count") == 5
    assert seen("bifrost_active_requests", worker="1") == 1
    assert seen("bifrost_active_requests", worker="2") == 1
    assert seen("bifrost_workers_limit", worker="2", provider="openai") == 10


def test_the_dead_keep_their_counts_and_lose_their_gauges(read: Any) -> None:
    book = Ledger()
    book.take("1", snapshot("x", 1, 4))
    book.take("2", snapshot("y", 1, 6))
    book.retire("1")
    seen = read(book.exposition())
    assert seen("calls_total") == 10
    assert seen("seconds_count") == 10
    assert seen.labels("open", "worker") == {"2"}
    assert seen("bifrost_worker_retired_total") == 1


def test_a_successor_of_the_same_name_begins_anew(read: Any) -> None:
    book = Ledger()
    book.take("1", snapshot("x", 9, 4))
    book.take("1", snapshot("z", 1, 1))
    seen = read(book.exposition())
    assert seen("calls_total") == 5
    assert seen("open", worker="1") == 0.5


@pytest.mark.parametrize("retired", [False, True])
def test_a_snapshot_that_comes_late_changes_nothing(retired: bool, read: Any) -> None:
    book = Ledger()
    book.take("1", snapshot("x", 2, 4))
    if retired:
        book.retire("1")
    book.take("1", snapshot("x", 1, 3))
    book.take("1", snapshot("x", 2, 4))
    assert read(book.exposition())("calls_total") == 4


def test_a_silent_worker_is_counted_and_its_last_word_stands(read: Any) -> None:
    book = Ledger()
    book.take("1", snapshot("x", 1, 4))
    book.missed("1")
    book.missed("1")
    seen = read(book.exposition())
    assert seen("bifrost_worker_silent_total", worker="1") == 2
    assert seen("calls_total") == 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        snapshot("x", 1, 4)[:-3],
        msgspec.msgpack.encode([VERSION + 1, {"another": "shape"}]),
        Snapshot(VERSION, "x", 1, [Family(TIMES, {(): [1.0]})]).encode(),
        Snapshot(VERSION, "x", 1, [Family(CALLS, {("a", "b"): [1.0]})]).encode(),
    ],
)
def test_what_cannot_be_read_is_counted_and_breaks_nothing(data: bytes, read: Any) -> None:
    book = Ledger()
    book.take("1", snapshot("x", 1, 4))
    book.take("1", data)
    seen = read(book.exposition())
    assert seen("bifrost_snapshot_unreadable_total") == 1
    assert seen("calls_total") == 4
    with pytest.raises(ValueError):
        merge({"1": data})


def test_other_buckets_of_another_release_are_left_out(read: Any) -> None:
    other = Metric("seconds", "Times.", "histogram", (), (0.2, 1.0))
    book = Ledger()
    book.take("1", snapshot("x", 1, 4))
    book.take("2", Snapshot(VERSION, "y", 1, [Family(other, {(): [9.0, 9, 9, 9]})]).encode())
    seen = read(book.exposition())
    assert seen("seconds_count") == 4
    assert seen("bifrost_snapshot_unreadable_total") == 1


@given(st.lists(st.tuples(st.sampled_from(["take", "retire", "restart", "late"]), st.sampled_from("123")), max_size=30))
def test_no_counter_falls_whatever_happens(events: list[tuple[str, str]]) -> None:
    book = Ledger()
    lives = dict.fromkeys("123", 0)
    counts = dict.fromkeys("123", 0)
    before = truth = 0
    for event, worker in events:
        if event == "retire":
            book.retire(worker)
        if event in ("retire", "restart"):
            lives[worker] += 1
            counts[worker] = 0
        elif event == "take":
            counts[worker] += 1
            truth += 1
        if event != "retire" and counts[worker]:
            number = max(1, counts[worker] - (event == "late"))
            book.take(worker, snapshot(f"{worker}.{lives[worker]}", number, number))
        line = next((n for n in book.exposition().splitlines() if n.startswith(b"calls_total{")), b"x 0")
        now = float(line.split()[-1])
        assert before <= now
        assert now == truth
        before = int(now)
