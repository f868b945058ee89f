"""What is counted live: plain numbers in slotted records, so that counting a call costs no look-up in a registry."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import islice
from math import inf
from typing import Generic, TypeVar

from bifrost_trio.telemetry.families import OTHER, Labels, Metric, Row
from bifrost_trio.telemetry.names import LATENCY, OVERHEAD, RETRIES

__all__ = [
    "CALL_SERIES",
    "LATENCY_EDGES",
    "OVERHEAD_EDGES",
    "RETRIES_EDGES",
    "SERIES",
    "CallSeries",
    "Route",
    "Table",
    "count_of",
    "empty_row",
    "observe",
]

SERIES = 2000
"""Sets of label values of one metric: what a Prometheus server takes from one target without complaint."""

CALL_SERIES = SERIES // 2
"""Of those counted by call: the upstream latency splits each of them in two."""

T = TypeVar("T")


LATENCY_EDGES = (-inf, *LATENCY)
OVERHEAD_EDGES = (-inf, *OVERHEAD)
RETRIES_EDGES = (-inf, *RETRIES)
"""The bounds behind one more: a value's place among them is its bucket's place in a row, behind the sum."""


def empty_row(edges: tuple[float, ...]) -> Row:
    """The row of a histogram (see `Row`): a plain list, because nothing is cheaper to count in."""
    return [0.0] + [0] * len(edges)


def observe(row: Row, edges: tuple[float, ...], value: float) -> None:
    """Also written out in `Telemetry.settle`."""
    row[bisect_left(edges, value)] += 1
    row[0] += value


def count_of(row: Row) -> int:
    return int(sum(islice(row, 1, None)))


class CallSeries:
    """What is counted for one provider, model, operation and kind of answer (stream or whole).

    Most calls are plain: one attempt answered. They are counted in the histograms alone; of the others ``answered``
    were successes, and ``ok_elsewhere`` are attempts of theirs that were.
    """

    __slots__ = (
        "answered",
        "attempts_cut",
        "cache_write_tokens",
        "cached_tokens",
        "first_token",
        "input_tokens",
        "ok_elsewhere",
        "output_tokens",
        "overhead",
        "reasoning_tokens",
        "retries",
        "upstream_failed",
        "upstream_ok",
    )

    def __init__(self) -> None:
        self.answered = 0
        self.ok_elsewhere = 0
        self.attempts_cut = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cached_tokens = 0
        self.cache_write_tokens = 0
        self.reasoning_tokens = 0
        self.overhead = empty_row(OVERHEAD_EDGES)
        self.upstream_ok = empty_row(LATENCY_EDGES)
        self.upstream_failed = empty_row(LATENCY_EDGES)
        self.first_token = empty_row(LATENCY_EDGES)
        self.retries = empty_row(RETRIES_EDGES)

    @property
    def attempts(self) -> int:
        return count_of(self.upstream_ok) + count_of(self.upstream_failed) + self.attempts_cut

    @property
    def plain(self) -> int:
        return count_of(self.upstream_ok) - self.ok_elsewhere

    @property
    def success(self) -> int:
        return self.plain + self.answered

    def retries_row(self) -> Row:
        total, none, *more = self.retries
        return [total, none + self.plain, *more]


class Route:
    """Where calls of one kind are counted: their series, and the duration of those answered with 200.

    Found with one look-up by what is at hand when a call ends.
    """

    __slots__ = ("durations", "method", "path", "series")

    def __init__(self, series: CallSeries, durations: Row, path: str, method: str) -> None:
        self.series = series
        self.durations = durations
        self.path = path
        self.method = method


class Table(Generic[T]):
    """Cells by label values, ``limit`` of them; what finds no room shares the cell whose labels are all ``other``."""

    def __init__(self, metric: Metric, make: Callable[[], T], limit: int = SERIES) -> None:
        self.metric = metric
        self.cells: dict[Labels, T] = {}
        self.overflow = 0
        self._make = make
        self._limit = limit

    def cell(self, labels: Labels) -> T:
        cell = self.cells.get(labels)
        if cell is not None:
            return cell
        if len(self.cells) >= self._limit - 1 and labels != (rest := (OTHER,) * len(labels)):
            self.overflow += 1
            return self.cell(rest)
        self.cells[labels] = cell = self._make()
        return cell
