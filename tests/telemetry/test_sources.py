"""What holds state is read when somebody asks, and a reload lets no counter fall."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from bifrost_trio.app import open_gateway
from bifrost_trio.config import Config
from bifrost_trio.telemetry import FamilyCollector, Telemetry
from bifrost_trio.telemetry.exposition import SLICE, render
from bifrost_trio.telemetry.families import Family, Metric


class Statistics:
    def __init__(self, **facts: object) -> None:
        self.facts = SimpleNamespace(**facts)

    def statistics(self) -> Any:
        return self.facts


async def test_gauges_say_how_things_stand_now(assembly: Any, read: Any) -> None:
    telemetry = Telemetry()
    telemetry.watch(
        assembly(made=9, stale=2, open=5, settled=20, refused=6),
        poller=Statistics(sockets=7, waiting=6, buckets=2),
        plugins=Statistics(errors={"audit": 3}, late=1),
    )
    telemetry.watch_server(Statistics(open=12, idle=5, accepted=100, filled=1))
    seen = read(await telemetry.exposition())
    assert seen("bifrost_active_requests") == 5
    assert seen("bifrost_begun_requests_total") == 25
    assert [seen(f"bifrost_workers_{of}", provider="openai") for of in ("limit", "busy", "idle", "waiting")] == [
        10,
        3,
        2,
        1,
    ]
    assert seen("bifrost_workers_refused_total", provider="openai") == 6
    origin = {"provider": "openai", "origin": "api.openai.example"}
    assert seen("bifrost_upstream_connections", state="idle", **origin) == 4
    assert seen("bifrost_upstream_connections", state="busy", **origin) == 3
    assert seen("bifrost_upstream_connections_made_total", **origin) == 9
    assert seen("bifrost_upstream_stale_retries_total", **origin) == 2
    assert seen("bifrost_body_bytes") == 512
    assert seen("bifrost_poller_sockets") == 7
    assert seen("bifrost_plugin_errors_total", plugin="audit") == 3
    assert seen("bifrost_client_connections", state="busy") == 7
    assert seen("bifrost_client_connections_accepted_total") == 100
    assert seen("bifrost_client_connections_filled_total") == 1


async def test_a_reload_lets_no_counter_fall(call: Any, assembly: Any, read: Any) -> None:
    telemetry = Telemetry()
    poller = Statistics(sockets=7, waiting=6, buckets=2)
    old = assembly(made=9, open=2, settled=10, refused=6)
    telemetry.watch(old, poller=poller)
    telemetry.settle(call())
    telemetry.watch(assembly({"openai": [], "anthropic": ["claude"]}, made=1, open=1, settled=0, refused=0))
    telemetry.retire(old)
    telemetry.settle(call())
    seen = read(await telemetry.exposition())
    assert seen("bifrost_upstream_connections_made_total", provider="openai") == 10
    assert seen("bifrost_upstream_connections_made_total", provider="anthropic") == 1
    assert seen("bifrost_workers_refused_total", provider="openai") == 6
    assert seen("bifrost_begun_requests_total") == 13
    # Gauges are the new ones' alone, and the poller stays.
    assert seen("bifrost_active_requests") == 1
    assert seen("bifrost_poller_sockets") == 7
    # The model has left the configuration: its series stays, new calls are other.
    assert seen("bifrost_success_requests_total", model="gpt-4o") == 1
    assert seen("bifrost_success_requests_total", model="other") == 1


async def test_stations_are_read_until_their_last_call_has_ended(assembly: Any, read: Any) -> None:
    telemetry = Telemetry()
    old, new = assembly(open=2, settled=10, refused=6), assembly(open=1, settled=5, refused=1)
    telemetry.watch(old)
    telemetry.watch(new)
    seen = read(await telemetry.exposition())
    assert seen("bifrost_active_requests") == 3
    assert seen("bifrost_begun_requests_total") == 18
    assert [seen(f"bifrost_workers_{of}", provider="openai") for of in ("busy", "waiting")] == [6, 2]
    # Nobody finds a place there any more, and the memory of the bodies is that of both.
    assert [seen(f"bifrost_workers_{of}", provider="openai") for of in ("limit", "idle")] == [10, 2]
    assert [seen(f"bifrost_body_{of}") for of in ("bytes", "limit_bytes")] == [512, 1024]
    old.inference.facts.open, old.inference.facts.settled = 0, 13
    telemetry.retire(old)
    telemetry.retire(old)  # twice is once
    seen = read(await telemetry.exposition())
    assert seen("bifrost_active_requests") == 1
    assert seen("bifrost_begun_requests_total") == 19
    assert seen("bifrost_workers_busy", provider="openai") == 3
    assert seen("bifrost_workers_refused_total", provider="openai") == 7
    telemetry.retire(new)  # those in use stay
    assert read(await telemetry.exposition())("bifrost_active_requests") == 1


async def test_a_provider_that_is_gone_keeps_its_counters_and_loses_its_gauges(assembly: Any, read: Any) -> None:
    telemetry = Telemetry()
    old = assembly({"openai": []}, made=9)
    telemetry.watch(old)
    telemetry.watch(assembly({"anthropic": []}))
    telemetry.retire(old)
    telemetry.watch(assembly({"anthropic": []}))
    seen = read(await telemetry.exposition())
    assert seen("bifrost_upstream_connections_made_total", provider="openai") == 9
    assert not seen.has("bifrost_workers_limit", provider="openai")


async def test_watching_the_same_stations_twice_counts_them_once(assembly: Any, read: Any) -> None:
    telemetry = Telemetry()
    stations = assembly(made=9)
    telemetry.watch(stations)
    telemetry.watch(stations)
    assert read(await telemetry.exposition())("bifrost_upstream_connections_made_total") == 9


async def test_collect_takes_the_place_of_the_own_text(telemetry: Telemetry) -> None:
    async def collect() -> bytes:
        return b"of all workers"

    telemetry.collect = collect
    assert await telemetry.exposition() == b"of all workers"


def test_a_long_metric_is_printed_in_pieces_with_one_head() -> None:
    metric = Metric("things_total", "Things.", "counter", ("thing",))
    rows = [((f"{number:04}",), float(number)) for number in range(2 * SLICE + 1)]
    lines = render([Family.of(metric, rows)]).decode().splitlines()
    assert lines[:2] == ["# HELP things_total Things.", "# TYPE things_total counter"]
    assert lines[2:] == [f'things_total{{thing="{name}"}} {value}' for (name,), value in rows]


def test_families_serve_a_registry_of_the_programs_own(telemetry: Telemetry, call: Any) -> None:
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(FamilyCollector(telemetry.families))
    assert registry.get_sample_value("bifrost_settled_requests_total") == 0


def test_label_values_are_escaped(read: Any) -> None:
    metric = Metric("things_total", "Things\nand more.", "counter", ("thing",))
    name = 'a"b\\c\nd'
    assert read(render([Family.of(metric, [((name,), 1.0)])]))("things_total", thing=name) == 1


async def test_the_real_stations_can_be_read(read: Any) -> None:
    config = Config.model_validate(
        {"providers": {"openai": {"keys": [{"name": "main", "value": "sk-of-nobody", "models": ["gpt-4o"]}]}}}
    )
    async with open_gateway(config) as gateway:
        with trio.fail_after(5):
            seen = read(await gateway.telemetry.exposition())
            assert seen("bifrost_workers_limit", provider="openai") > 0
            assert seen("bifrost_active_requests") == 0
            assert seen("bifrost_poller_sockets") == 0
            await gateway.use(config)
            again = await gateway.telemetry.exposition()
    assert read(again)("bifrost_begun_requests_total") == 0
    assert b"sk-of-nobody" not in again


@pytest.mark.parametrize("kind", ["counter", "gauge"])
def test_metrics_that_nothing_was_counted_in_are_not_printed(kind: Any) -> None:
    assert render([Family(Metric("things_total", "Things.", kind))]) == b""
