"""Many mixed calls with clients that leave: does memory stay where it is, and does everything come home?

``python -m benches.soak`` (200,000 calls; ``--calls N``). Chats, streams, translated calls both ways and fallbacks take
turns; of every hundred clients five leave within their answer. Prints resident memory after each turn, compares the
mean of the second half of the calls with that of the first, and reads from ``/metrics`` what is still away a moment
later. Exit status 1: an answer was wrong, memory moved by more than `TOLERANCE`, or something did not come home.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from benches.gateways import Running, own, start
from benches.processes import Cores
from benches.tool import build, run_clients, start_mock
from benches.workloads import WORKLOADS, Workload

__all__ = ["main"]

TOLERANCE = 0.05
"""How far the mean of the second half may lie from that of the first."""

WARM_UP = 0.1
"""Share of the calls that come first and are not looked at: pools, caches and the allocator fill up."""

TURN_SECONDS = 1.5
FEWEST = 50_000
NAMES = ("chat1k", "stream64", "to_anthropic", "to_openai_stream", "to_anthropic_stream", "messages1k", "embed1k")
AWAY = (
    "bifrost_active_requests",
    "bifrost_body_bytes",
    "bifrost_workers_busy",
    "bifrost_workers_waiting",
    'bifrost_upstream_connections{state="busy"}',
)
"""What must be 0 when nobody calls."""


@dataclass(frozen=True, slots=True)
class Turn:
    """After it: calls so far, wrong answers so far, resident bytes, Trio tasks."""

    calls: int
    wrong: int
    resident: int
    tasks: int


def mixed() -> list[Workload]:
    """The workloads that take turns, each with clients that leave."""
    turns = [replace(WORKLOADS[name], leave=5, clients=32, seconds=TURN_SECONDS) for name in NAMES]
    slow = [replace(turn, orders=f"{turn.orders} delay_us=2000".strip()) if not turn.stream else turn for turn in turns]
    return [*slow, replace(WORKLOADS["fallback1"], clients=32, seconds=TURN_SECONDS)]


def soak(calls: int) -> list[Turn]:
    """Runs the turns until so many calls were made; a record for each turn."""
    binary, cores = build(), Cores.choose()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mock, address = start_mock(binary, cores, folder)
        try:
            running = start(own("plugin", list(WORKLOADS.values())), cores.gateway, address, folder)
            try:
                return list(_turns(calls, binary, cores, running))
            finally:
                running.process.stop()
        finally:
            mock.stop()


def _turns(calls: int, binary: Path, cores: Cores, running: Running) -> Iterator[Turn]:
    done = wrong = 0
    for workload in cycle(mixed()):
        lane = running.gateway.lane(running.address, workload)
        [seen] = run_clients(binary, cores, workload, [lane], [], TURN_SECONDS)
        done += seen["valid"] + seen["left"] + seen["wrong"]
        wrong += seen["wrong"]
        turn = Turn(done, wrong, running.process.resident_bytes(), int(gauges(running.address).get("bifrost_tasks", 0)))
        print(
            f"{done:>9,} calls  {wrong} wrong  {turn.resident / 2**20:6.1f} MB  {turn.tasks:>4} tasks  {workload.name}"
        )
        yield turn
        if done >= calls:
            break
    # Those that left a moment ago are noticed within this.
    running.process.wait(1)
    away = {name: value for name, value in gauges(running.address).items() if name in AWAY and value}
    print("everything came home" if not away else f"still away: {away}")
    if away:
        raise SystemExit(1)


def gauges(address: str) -> dict[str, float]:
    """The metrics without their labels, but for ``state``; of several providers the sum."""
    found: dict[str, float] = {}
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                name, _, labels = series.partition("{")
                state = next((part for part in labels.rstrip("}").split(",") if part.startswith("state=")), None)
                key = f"{name}{{{state}}}" if state else name
                found[key] = found.get(key, 0.0) + float(value)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200_000)
    calls = parser.parse_args().calls
    if calls < FEWEST:
        parser.error(f"fewer than {FEWEST:,} calls say nothing about memory")
    turns = soak(calls)
    counted = [turn for turn in turns if turn.calls > WARM_UP * turns[-1].calls]
    middle = turns[-1].calls * (1 + WARM_UP) / 2
    halves = [[t.resident for t in counted if (t.calls <= middle) is first] for first in (True, False)]
    first, second = (sum(half) / max(len(half), 1) for half in halves)
    moved = second / first - 1
    means = f"{first / 2**20:.1f} MB, then {second / 2**20:.1f} MB"
    print(f"resident memory: {means} ({moved:+.1%}; at most {TOLERANCE:.0%})")
    return 1 if turns[-1].wrong or abs(moved) > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main())
