"""What the steps of the hot path's budget really cost on this machine.

``python -m benches.budget`` (a quarter of a minute): the pieces one by one (`benches.pieces`), then the budget's steps
put together from them, as rows of the table in README.md. The whole is the CPU per request of the newest run of
``make bench`` in ``results/`` that measured ``chat1k`` of ``bare``.
``python -m benches.budget --quoted`` prints instead the figures that this repository's texts quote of other libraries
(`benches.quoted`; half a minute).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from benches import pieces, quoted
from benches.processes import Cores, pinned

__all__ = ["Whole", "main", "newest", "steps"]

Row = tuple[str, str, float | None]
"""Step, budget, microseconds spent."""

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class Whole:
    """Of one run: its file, CPU per request in microseconds, the ratio to nginx, rounds."""

    name: str
    cpu: float
    ratio: float | None
    rounds: int


def newest(folder: Path = RESULTS) -> Whole | None:
    """The newest run that has the figure; a point with a wrong answer is none."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        points = [p for sitting in json.loads(path.read_text())["sittings"] for p in sitting["points"]]
        found = [p for p in points if (p["gateway"], p["workload"]) == ("bare", "chat1k") and _sound(p)]
        if found:
            ratios = [p["ratio"] for p in found if p["ratio"]]
            ratio = statistics.median(ratios) if ratios else None
            return Whole(path.name, statistics.median(p["cpu_us"] for p in found), ratio, len(found))
    return None


def _sound(point: Mapping[str, Any]) -> bool:
    return bool(point["cpu_us"]) and not point["load"]["seen"]["wrong"]


def steps(found: Mapping[str, Mapping[str, float]], whole: Whole | None) -> list[Row]:
    """The budget's rows: step, budget, microseconds spent."""
    calls, waits = found["system calls"], found["Trio"]
    rust, inside = sum(found["Rust"].values()), found["stations"]
    carried = calls["write and read"] + calls["epoll"]
    rows: list[Row] = [
        ("system calls: two reads, two writes, epoll", "15 µs (nginx: 15)", carried + calls["write and read"]),
        (
            "two waits, two switches: the poller and Trio",
            "9 µs",
            2 * max(waits["byte to a task, poller"] - carried, 0.0),
        ),
        ("Rust: two heads, the body scan, two renderings", "3 µs", rust),
        (
            "stations, plugin chain, key choice, pool, bookkeeping",
            "5 µs",
            inside["path in memory"] - rust - inside["settling"],
        ),
        ("metrics, outcome", "2 µs", inside["settling"]),
    ]
    total = sum(spent for _, _, spent in rows if spent is not None)
    rows.append(("these together", "34 µs", total))
    rows.append(("**all**, CPU a request under load", "**34 µs**", whole.cpu if whole else None))
    return rows


def measured() -> dict[str, dict[str, float]]:
    return {
        "Rust": pieces.rust(),
        "stations": trio.run(pieces.stations),
        "system calls": pieces.system_calls(),
        "Trio": trio.run(pieces.waits),
        "buffers (part of no step)": pieces.buffers(),
    }


def _print_budget() -> None:
    found, whole = measured(), newest()
    for title, figures in found.items():
        print(f"{title}:")
        for name, figure in figures.items():
            print(f"  {figure:7.2f} µs  {name}")
    print(f"\n{time.strftime('%Y-%m-%d')}\n| step | budget | spent |\n|---|---|---|")
    for step, budget, spent in steps(found, whole):
        print(f"| {step} | {budget} | {'no run in results/' if spent is None else f'{spent:.1f} µs'} |")
    if whole:
        ratio = f", {whole.ratio:.2f} times nginx's" if whole.ratio else ""
        print(f"\nthe whole: results/{whole.name}, {whole.rounds} rounds{ratio}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quoted", action="store_true", help="the figures of other libraries that texts quote")
    options = parser.parse_args()
    with pinned(Cores.choose().gateway):
        if options.quoted:
            quoted.show()
        else:
            _print_budget()
    return 0


if __name__ == "__main__":
    sys.exit(main())
