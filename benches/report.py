"""From points to tables: medians of rounds, with what is void said and left out."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benches.gateways import TWO_WORKERS
from benches.measure import CORE_FLOOR, Loaded, Point, Sitting
from benches.workloads import WORKLOADS, Workload

__all__ = ["faults", "markdown", "write"]

Value = Callable[[Point], float | None]
NOISY = 0.05
STEAL = 0.01


def markdown(sittings: Sequence[Sitting], workloads: Sequence[Workload]) -> str:
    """The whole report."""
    points = [point for sitting in sittings for point in sitting.points]
    gateways = list(dict.fromkeys(s.gateway for s in sittings if s.gateway != "direct"))
    everybody = list(dict.fromkeys(["direct", "nginx", *gateways]))
    loads = [*points, *_yardsticks(points)]
    parts = [
        _ratios(points, gateways, workloads),
        _compared(points, gateways, workloads),
        _workers(points),
        _loads(loads, everybody, workloads),
        _paced(loads, everybody, workloads),
        _turns(points, gateways, workloads),
        _processes(sittings, gateways),
        _notes(points, workloads),
    ]
    return "\n\n".join(part for part in parts if part)


def faults(points: Iterable[Point]) -> list[str]:
    """One line for each point with a wrong answer."""
    return [
        f"{p.gateway}, {WORKLOADS[p.workload].title}, round {p.round + 1}: {p.wrong} wrong; {'; '.join(p.told[:2])}"
        for p in points
        if p.wrong
    ]


def write(path: Path, machine: dict[str, Any], settings: dict[str, Any], sittings: Sequence[Sitting]) -> None:
    """Everything that was measured, as JSON."""
    records = [{**asdict(sitting), "points": [point.record() for point in sitting.points]} for sitting in sittings]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "settings": settings, "sittings": records}, indent=1) + "\n")


def _yardsticks(points: Sequence[Point]) -> list[Point]:
    """The loads of nginx before and after others, as points of its own."""
    loads = [(p, loaded) for p in points if not WORKLOADS[p.workload].turns for loaded in (p.before, p.after)]
    return [Point("nginx", point.workload, point.round, loaded) for point, loaded in loads if loaded]


def _ratios(points: Sequence[Point], gateways: Sequence[str], workloads: Sequence[Workload]) -> str:
    loads = [w for w in workloads if not w.turns]
    others = [name for name in gateways if name != "nginx"]
    if not loads or not any(p.before for p in points):
        return ""
    rows = [["nginx = 1.0", *(_unit(_nginx_cpu(points, w)) for w in loads)]]
    for name in others:
        rows.append([name, *(_ratio(points, name, w) for w in loads)])
    return _table("CPU per request ÷ nginx (median of rounds, least to most)", ["", *(w.title for w in loads)], rows)


def _ratio(points: Sequence[Point], gateway: str, workload: Workload) -> str:
    found = [p for p in points if (p.gateway, p.workload) == (gateway, workload.name)]
    if found and all(p.wrong for p in found):
        return "void"
    return _spread(_values(found, gateway, workload, lambda p: p.ratio))


def _compared(points: Sequence[Point], gateways: Sequence[str], workloads: Sequence[Workload]) -> str:
    """What translating, or TLS, costs beside the same without it, each first divided by nginx right beside."""
    rows = []
    for workload in workloads:
        for name in gateways:
            ratios = _by_round(points, name, workload.name, lambda p: p.ratio)
            plain = _by_round(points, name, workload.than or "", lambda p: p.ratio)
            found = [ratios[number] / plain[number] for number in ratios if number in plain]
            if found:
                rows.append([workload.title, name, WORKLOADS[workload.than or ""].title, _spread(found)])
    return _table("CPU per request ÷ the plain workload's", ["", "", "beside", "÷"], rows) if rows else ""


def _workers(points: Sequence[Point]) -> str:
    """Two processes on both cores against one, and how the connections were shared."""
    rows = []
    for name in dict.fromkeys(point.workload for point in points):
        one = _by_round(points, "bare", name, lambda p: p.load.per_second)
        two = _by_round(points, TWO_WORKERS, name, lambda p: p.load.per_second)
        found = [two[number] / one[number] for number in two if number in one]
        shares = [p.load.seen.get("connections_of_workers") for p in points if p.workload == name]
        largest = [max(share) / sum(share) for share in shares if share and sum(share)]
        if found:
            most = f"{max(largest):.0%}" if largest else "–"
            cores = _by_round(points, TWO_WORKERS, name, lambda p: p.load.core)
            theirs = 1 - statistics.median(cores.values()) / 2 if cores else 0.0
            rows.append([WORKLOADS[name].title, _spread(found), f"{theirs:.0%}", most])
    head = ["", "requests/s", "of both cores not the gateway's", "most of the connections at one, worst round"]
    return _table("Two workers ÷ one", head, rows) if rows else ""


def _by_round(points: Sequence[Point], gateway: str, workload: str, value: Value) -> dict[int, float]:
    found = {p.round: value(p) for p in points if (p.gateway, p.workload, p.wrong) == (gateway, workload, 0)}
    return {number: v for number, v in found.items() if v}


def _loads(points: Sequence[Point], gateways: Sequence[str], workloads: Sequence[Workload]) -> str:
    rows = []
    for workload in workloads:
        if workload.turns:
            continue
        for name in gateways:
            found = [p for p in points if p.gateway == name and p.workload == workload.name]
            if found:
                rows.append([workload.title, name, *_load_row(found, workload)])
    head = ["", "", "valid", "wrong", "left", "requests/s", "CPU a request", "core", "p50", "p99"]
    return _table("Load", head, rows) if rows else ""


def _load_row(points: Sequence[Point], workload: Workload) -> list[str]:
    sound = [p for p in points if not p.wrong]
    served = [p for p in sound if not p.starved(workload)]
    rate = f"{statistics.median(p.load.per_second for p in served):,.0f}" if served else "void"
    return [
        f"{sum(p.load.seen['valid'] for p in points):,}",
        str(sum(p.wrong for p in points)),
        f"{sum(p.load.seen['left'] for p in points):,}",
        rate if workload.capacity else "–",
        _unit(_median(p.load.cpu_us for p in sound)),
        _number(_median(p.load.core for p in sound), ".2f"),
        _unit(_median(p.load.at("latency_us", "p50") for p in sound)),
        _unit(_median(p.load.at("latency_us", "p99") for p in sound)),
    ]


def _paced(points: Sequence[Point], gateways: Sequence[str], workloads: Sequence[Workload]) -> str:
    """How long a chunk is under way, from the mock's write to the client's read."""
    rows = []
    for workload in workloads:
        if workload.paced_seconds:
            for name in gateways:
                if not any((p.gateway, p.workload) == (name, workload.name) for p in points):
                    continue
                delay = [
                    _unit(_median(_values(points, name, workload, _at("chunk_delay_us", percentile))))
                    for percentile in ("p50", "p99", "max")
                ]
                less = _median(_values(points, "direct", workload, _at("chunk_delay_us", "p99")))
                most = _median(_values(points, name, workload, _at("chunk_delay_us", "p99")))
                delay.append(_unit(most - less) if most is not None and less is not None else "–")
                first = _unit(_median(_values(points, name, workload, _at("first_chunk_us", "p50"))))
                rows.append([workload.title, name, *delay, first])
    return (
        _table("Chunk delay", ["", "", "p50", "p99", "max", "p99 less direct's", "first chunk p50"], rows)
        if rows
        else ""
    )


def _turns(points: Sequence[Point], gateways: Sequence[str], workloads: Sequence[Workload]) -> str:
    """What a gateway adds to the direct way at one client: difference of the percentiles of the same run."""
    rows = []
    for workload in workloads:
        if not workload.turns:
            continue
        what = "first_chunk_us" if workload.stream else "latency_us"
        direct = [_unit(_median(_of(points, workload, lambda p: p.direct, what, q))) for q in ("p50", "p99")]
        rows.append([workload.title, "direct (itself)", *direct, "", ""])
        added = [_unit(_median(_added(points, workload, lambda p: p.before, what, q))) for q in ("p50", "p99")]
        if any(p.before for p in points if p.workload == workload.name):
            rows.append([workload.title, "nginx", *added, "1.0", "1.0"])
        for name in gateways:
            own = [p for p in points if p.gateway == name]
            added = [_unit(_median(_added(own, workload, lambda p: p.load, what, q))) for q in ("p50", "p99")]
            ratios = [_spread(_added_ratios(own, workload, what, q)) for q in ("p50", "p99")]
            rows.append([workload.title, name, *added, *ratios])
    return _table("Added at one client", ["", "", "p50", "p99", "p50 ÷ nginx", "p99 ÷ nginx"], rows) if rows else ""


def _added(
    points: Sequence[Point], workload: Workload, which: Callable[[Point], Loaded | None], what: str, percentile: str
) -> list[float]:
    found = []
    for point in points:
        loaded, direct = which(point), point.direct
        if point.workload == workload.name and not point.wrong and loaded and direct:
            value, base = loaded.at(what, percentile), direct.at(what, percentile)
            if value is not None and base is not None:
                found.append(value - base)
    return found


def _added_ratios(points: Sequence[Point], workload: Workload, what: str, percentile: str) -> list[float]:
    own = _added(points, workload, lambda p: p.load, what, percentile)
    nginx = _added(points, workload, lambda p: p.before, what, percentile)
    return [mine / theirs for mine, theirs in zip(own, nginx, strict=False) if theirs > 0]


def _of(
    points: Sequence[Point], workload: Workload, which: Callable[[Point], Loaded | None], what: str, percentile: str
) -> list[float | None]:
    chosen = [which(p) for p in points if p.workload == workload.name and not p.wrong]
    return [loaded.at(what, percentile) for loaded in chosen if loaded]


def _processes(sittings: Sequence[Sitting], gateways: Sequence[str]) -> str:
    rows = []
    for name in gateways:
        own = [s for s in sittings if s.gateway == name]
        cold = _median(s.cold_start for s in own)
        memory = [_median(s.idle_bytes for s in own), _median(s.after_bytes for s in own)]
        rows.append([name, _number(cold and cold * 1000, ",.0f", " ms"), *(_megabytes(m) for m in memory)])
    return _table("Process", ["", "start to first 200", "memory idle", "after"], rows) if rows else ""


def _notes(points: Sequence[Point], workloads: Sequence[Workload]) -> str:
    lines = [f"VOID, wrong answers: {line}" for line in faults(points)]
    starved = {(p.gateway, w.title) for w in workloads for p in points if p.workload == w.name and p.starved(w)}
    if starved:
        where = "; ".join(f"{gateway}, {title}" for gateway, title in sorted(starved))
        lines.append(
            f"less than {CORE_FLOOR:.0%} of the core was its own in some round, so clients or others were the limit"
            f" (those requests/s are void, CPU a request stands): {where}"
        )
    if points:
        foreign, steal = max(p.foreign for p in points), max(p.steal for p in points)
        verdict = "too noisy to quote" if foreign > NOISY or steal > STEAL else "quiet"
        lines.append(f"worst point: {foreign:.1%} of the gateway's core used by others, {steal:.1%} stolen: {verdict}")
    return "\n".join(f"- {line}" for line in lines)


def _at(what: str, percentile: str) -> Value:
    return lambda point: point.load.at(what, percentile)


def _values(points: Sequence[Point], gateway: str, workload: Workload, value: Value) -> list[float]:
    found = [value(p) for p in points if (p.gateway, p.workload, p.wrong) == (gateway, workload.name, 0)]
    return [number for number in found if number is not None]


def _nginx_cpu(points: Sequence[Point], workload: Workload) -> float | None:
    around = [loaded for p in points if p.workload == workload.name for loaded in (p.before, p.after) if loaded]
    return _median(loaded.cpu_us for loaded in around if not loaded.wrong)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _unit(microseconds: float | None) -> str:
    if microseconds is None:
        return "–"
    return f"{microseconds:.1f} µs" if abs(microseconds) < 1000 else f"{microseconds / 1000:.2f} ms"


def _number(value: float | None, how: str, unit: str = "") -> str:
    return "–" if value is None else f"{value:{how}}{unit}"


def _megabytes(size: float | None) -> str:
    return _number(size and size / 1e6, ".0f", " MB")


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"### {title}", "", f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])
