"""Labels have a bound, whatever clients send."""

from __future__ import annotations

from typing import Any

from bifrost_trio.telemetry import Telemetry
from bifrost_trio.telemetry.families import Metric
from bifrost_trio.telemetry.series import CALL_SERIES, SERIES, Table
from bifrost_trio.types import Attempt, Target


async def test_names_that_nobody_lists_are_other(telemetry: Telemetry, call: Any, read: Any) -> None:
    for number in range(50):
        telemetry.settle(call(f"openai/invented-{number}"))
        telemetry.settle(call(f"stranger-{number}/gpt-4o"))
    telemetry.settle(call())
    seen = read(await telemetry.exposition())
    assert seen.labels("bifrost_success_requests_total", "model") == {"gpt-4o", "other"}
    assert seen.labels("bifrost_success_requests_total", "provider") == {"openai", "other"}
    assert seen("bifrost_success_requests_total", provider="openai", model="other") == 50
    assert seen("bifrost_success_requests_total", provider="other", model="other") == 50


async def test_paths_come_from_the_table_of_routes(telemetry: Telemetry, call: Any, read: Any) -> None:
    for number in range(20):
        telemetry.settle(call(path=f"/invented/{number}"))
    telemetry.settle(call())
    seen = read(await telemetry.exposition())
    assert seen.labels("http_requests_total", "path") == {"/v1/chat/completions", "other"}
    assert seen("http_requests_total", path="other") == 20


async def test_a_name_that_a_list_brings_later_becomes_a_label(call: Any, assembly: Any, read: Any) -> None:
    telemetry = Telemetry()
    stations = assembly({"openai": []})
    telemetry.watch(stations)
    telemetry.settle(call())
    assert read(await telemetry.exposition()).labels("bifrost_success_requests_total", "model") == {"other"}
    stations.models.all = assembly({"openai": ["gpt-4o"]}).models.all
    await telemetry.exposition()
    telemetry.settle(call())
    seen = read(await telemetry.exposition())
    assert seen("bifrost_success_requests_total", model="gpt-4o") == 1
    assert seen("bifrost_success_requests_total", model="other") == 1


async def test_names_given_by_hand_are_labels_without_an_assembly(call: Any, read: Any) -> None:
    telemetry = Telemetry(models=["openai/gpt-4o", "meta/llama/3"])
    telemetry.settle(call())
    telemetry.settle(call(target=Target("meta", "llama/3")))
    seen = read(await telemetry.exposition())
    assert seen.labels("bifrost_success_requests_total", "model") == {"gpt-4o", "llama/3"}


async def test_names_that_a_provider_served_may_be_learned_up_to_a_bound(call: Any, assembly: Any, read: Any) -> None:
    telemetry = Telemetry(learned_models=2)
    telemetry.watch(assembly({"openai": []}))
    telemetry.settle(call("openai/refused", status=404))
    for name in ("one", "two", "three"):
        telemetry.settle(call(f"openai/{name}"))
    seen = read(await telemetry.exposition())
    assert seen.labels("bifrost_success_requests_total", "model") == {"one", "two", "other"}


async def test_a_metric_has_a_bound_and_its_overflow_is_counted(call: Any, assembly: Any) -> None:
    names = [f"m{number}" for number in range(CALL_SERIES + 10)]
    telemetry = Telemetry()
    telemetry.watch(assembly({"openai": names}))
    for name in names:
        telemetry.settle(call(f"openai/{name}"))
    rows = {family.metric.name: family.rows for family in telemetry.families()}
    successes = rows["bifrost_success_requests_total"]
    assert len(successes) == CALL_SERIES
    assert sum(count for (count,) in successes.values()) == len(names)
    assert successes["other", "other", "other", "other"] == [11]
    assert rows["bifrost_metric_overflow_total"]["bifrost_success_requests_total",] >= [11]
    assert max(map(len, rows.values())) <= SERIES


async def test_key_names_of_many_reloads_have_a_bound(telemetry: Telemetry, call: Any, read: Any) -> None:
    for number in range(SERIES + 5):
        failed = Attempt("openai", "gpt-4o", f"key-{number}", 429, "provider_rate_limited", 0.1, 0)
        telemetry.settle(call(trail=[failed, Attempt("openai", "gpt-4o", "last", 200, "success", 0.1, 0)]))
    seen = read(await telemetry.exposition())
    assert len([s for s in seen.samples if s.name == "bifrost_key_rotation_events_total"]) == SERIES
    assert seen("bifrost_key_rotation_events_total") == SERIES + 5


def test_a_table_never_has_more_cells_than_its_limit() -> None:
    table: Table[list[int]] = Table(Metric("things_total", "Things.", "counter", ("thing",)), list, limit=3)
    cells = [table.cell((name,)) for name in "abcdea"]
    assert list(table.cells) == [("a",), ("b",), ("other",)]
    assert cells[2] is cells[3] is cells[4]
    assert cells[0] is cells[5]
    assert table.overflow == 3
