"""Everything that calls are counted in, and which labels they are counted under."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from bifrost_trio import errors
from bifrost_trio.errors import GatewayError
from bifrost_trio.telemetry import names
from bifrost_trio.telemetry.families import OTHER, Family, Labels, Metric, Row
from bifrost_trio.telemetry.series import (
    CALL_SERIES,
    LATENCY_EDGES,
    RETRIES_EDGES,
    CallSeries,
    Route,
    Table,
    count_of,
    empty_row,
    observe,
)
from bifrost_trio.types import Attempt, Call, Operation, State

__all__ = ["CUT", "Tally"]

REMEMBERED_ROUTES = 4096
"""Combinations whose place is remembered: clients choose model names, so their number must have a bound."""

CUT = frozenset({"cancelled", "caller_cancelled", "slow_client"})
"""Ends of an attempt that say nothing about the provider."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _kinds(root: type[GatewayError]) -> Iterator[str]:
    yield root.kind
    for inner in root.__subclasses__():
        # A plugin's own class may say anything; only the package's words are labels.
        if inner.__module__.startswith(errors.__name__):
            yield from _kinds(inner)


KINDS = frozenset({*_kinds(GatewayError), *CUT, "success"})
"""The closed vocabulary of ``error_type`` and ``fail_reason``."""

STATUSES = frozenset(map(str, range(100, 600)))


LONGEST_NAME = 100
"""Characters of a model's name that may become a label; providers' own have a third of that."""


class Tally:
    """Series by labels. Finding a place is slow and remembered in ``routes``; counting in it is the caller's work."""

    def __init__(self, models: Iterable[str], learned: int, showable: Callable[[str], bool]) -> None:
        """``models``: ``provider/model`` names that are known beside those of `know`; ``learned``: see `Telemetry`.

        ``showable``: whether a name that a client wrote may be shown at all.
        """
        self._showable = showable
        self._always = {(provider, model) for provider, _, model in (name.partition("/") for name in models)}
        self._known = self._always
        self._providers = {provider for provider, _ in self._always}
        self._paths: frozenset[str] = frozenset()
        self._learned: set[tuple[str, str]] = set()
        self._learnable = learned
        self.routes: dict[tuple[str, str, str, str, bool], Route] = {}
        self.series = Table(names.SUCCESS, CallSeries, CALL_SERIES)
        self.errors: Table[Row] = Table(names.ERROR, _number)
        self.cancelled: Table[Row] = Table(names.CANCELLED, _number)
        self.rotations: Table[Row] = Table(names.KEY_ROTATION, _number)
        self.refused: Table[Row] = Table(names.REFUSED, _number)
        self.durations: Table[Row] = Table(names.HTTP_DURATION, _duration)

    def know(self, models: Iterable[tuple[str, str]], providers: Iterable[str], paths: Iterable[str]) -> None:
        """The labels of the configuration and the model lists; what was remembered is found anew."""
        self._known = self._always.union(models)
        self._providers = {provider for provider, _ in self._known}.union(providers)
        self._paths = frozenset(paths)
        self.routes.clear()

    # --- places ---

    def route(self, call: Call) -> Route:
        """The place of a call, however little of it is known; remembered where all of it is."""
        head, target = call.head, call.target
        path = head.path if head is not None else ""
        provider, model = (target.provider, target.model) if target is not None else ("", "")
        series = self.series_of(provider, model, call)
        method = head.method if head is not None and head.method in METHODS else OTHER
        label = path if path in self._paths else OTHER
        route = Route(series, self.durations.cell((label, method, "200")), label, method)
        if head is not None and target is not None and len(model) <= LONGEST_NAME:
            if len(self.routes) >= REMEMBERED_ROUTES:
                self.routes.clear()
            self.routes[path, call.operation, provider, model, call.envelope.stream] = route
        return route

    def series_of(self, provider: str, model: str, call: Call) -> CallSeries:
        return self.series.cell(self._labels(provider, model, call))

    def _labels(self, provider: str, model: str, call: Call) -> Labels:
        operation = call.operation.value if isinstance(call.operation, Operation) else OTHER
        stream = "true" if call.envelope.stream else "false"
        return (*self._target(provider, model, call), operation, stream)

    def _target(self, provider: str, model: str, call: Call) -> tuple[str, str]:
        name = (provider, model)
        if name in self._known or name in self._learned:
            return name
        if provider not in self._providers:
            return OTHER, OTHER
        if self._may_learn(model, call):
            self._learned.add(name)
            return name
        return provider, OTHER

    def _may_learn(self, model: str, call: Call) -> bool:
        served = call.outcome.state is State.DONE and call.outcome.status == 200
        room = len(self._learned) < self._learnable
        return served and room and len(model) <= LONGEST_NAME and self._showable(model)

    # --- what is not the common case: failed, cancelled, tried again, answered without an attempt ---

    def count_unusual(self, call: Call, series: CallSeries) -> None:
        outcome, error = call.outcome, call.outcome.error
        provider, model = (call.target.provider, call.target.model) if call.target is not None else ("", "")
        labels = self._labels(provider, model, call)
        if outcome.state is State.DONE:
            series.answered += 1
        elif outcome.state is State.CANCELLED:
            kind = error.kind if error is not None else "cancelled"
            self.cancelled.cell((*labels, _kind(kind)))[0] += 1
        else:
            kind = error.kind if error is not None else GatewayError.kind
            status = error.status if error is not None else outcome.status
            self.errors.cell((*labels, _status(status), _kind(kind)))[0] += 1
        if call.trail:
            self._count_trail(call, series)

    def _count_trail(self, call: Call, series: CallSeries) -> None:
        trail = call.trail
        for attempt in trail:
            place = self.series_of(attempt.provider, attempt.model, call)
            if attempt.kind in CUT:
                place.attempts_cut += 1
            elif attempt.kind == "success":
                place.ok_elsewhere += 1
                observe(place.upstream_ok, LATENCY_EDGES, attempt.seconds)
            else:
                observe(place.upstream_failed, LATENCY_EDGES, attempt.seconds)
        targets = len({attempt.fallback for attempt in trail})
        observe(series.retries, RETRIES_EDGES, len(trail) - targets)
        for one, next in pairwise(trail):
            if one.fallback == next.fallback and one.key != next.key:
                self._count_rotation(one, call)

    def count_refused(self, path: str, error: GatewayError) -> None:
        label = path if path in self._paths else OTHER
        self.refused.cell((label, _status(error.status), _kind(error.kind)))[0] += 1

    def _count_rotation(self, left: Attempt, call: Call) -> None:
        target = self._target(left.provider, left.model, call)
        self.rotations.cell((*target, left.key, _kind(left.kind)))[0] += 1

    def durations_of(self, route: Route, status: int) -> Row:
        """Of calls with another status than 200; 0 is a client that left before there was an answer, which is 499."""
        return self.durations.cell((route.path, route.method, _status(status or 499)))

    # --- reading ---

    def families(self) -> Iterator[Family]:
        """Everything as it is now."""
        yield from self._by_call()
        for table in (self.errors, self.cancelled, self.rotations, self.refused):
            yield Family(table.metric, {labels: list(row) for labels, row in table.cells.items()})
        durations = {labels: list(row) for labels, row in self.durations.cells.items() if count_of(row)}
        yield Family(names.HTTP_DURATION, durations)
        yield Family.of(names.HTTP_REQUESTS, ((labels, count_of(row)) for labels, row in durations.items()))
        tables: Sequence[Table[object]] = (  # type: ignore[assignment]
            self.series,
            self.errors,
            self.cancelled,
            self.rotations,
            self.refused,
            self.durations,
        )
        yield Family.of(names.OVERFLOW, (((table.metric.name,), table.overflow) for table in tables))

    def _by_call(self) -> Iterator[Family]:
        numbers: list[tuple[Metric, Callable[[CallSeries], float]]] = [
            (names.UPSTREAM, lambda s: s.attempts),
            (names.SUCCESS, lambda s: s.success),
            (names.INPUT_TOKENS, lambda s: s.input_tokens),
            (names.OUTPUT_TOKENS, lambda s: s.output_tokens),
            (names.CACHED_TOKENS, lambda s: s.cached_tokens),
            (names.CACHE_WRITE_TOKENS, lambda s: s.cache_write_tokens),
            (names.REASONING_TOKENS, lambda s: s.reasoning_tokens),
        ]
        for metric, number in numbers:
            yield Family.of(metric, ((labels, number(series)) for labels, series in self.series.cells.items()))
        yield self._histograms(names.OVERHEAD_LATENCY, lambda s: s.overhead)
        yield self._histograms(names.FIRST_TOKEN, lambda s: s.first_token)
        yield self._histograms(names.REQUEST_RETRIES, CallSeries.retries_row)
        latency = self._histograms(names.UPSTREAM_LATENCY, lambda s: s.upstream_ok, "true")
        latency.rows |= self._histograms(names.UPSTREAM_LATENCY, lambda s: s.upstream_failed, "false").rows
        yield latency

    def _histograms(self, metric: Metric, row: Callable[[CallSeries], Row], *more: str) -> Family:
        """Without those that nothing was observed in: they are most of a metric's lines."""
        rows = (((*labels, *more), row(series)) for labels, series in self.series.cells.items())
        return Family(metric, {labels: list(numbers) for labels, numbers in rows if count_of(numbers)})

    @property
    def settled(self) -> int:
        """Each call is counted in one overhead, whatever became of it."""
        return sum(count_of(series.overhead) for series in self.series.cells.values())


def _number() -> Row:
    return [0.0]


def _duration() -> Row:
    return empty_row(LATENCY_EDGES)


def _kind(kind: str) -> str:
    return kind if kind in KINDS else OTHER


def _status(status: int) -> str:
    text = str(status)
    return text if text in STATUSES else OTHER
