"""Counting calls, reading what holds state, and the log: one object for a process."""

from __future__ import annotations

import os
import sys
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final, TextIO

import trio

from bifrost_trio.errors import GatewayError
from bifrost_trio.telemetry import names
from bifrost_trio.telemetry.calls import CallFacts, json_line, take_facts, text_line
from bifrost_trio.telemetry.exposition import render_pieces
from bifrost_trio.telemetry.families import Family
from bifrost_trio.telemetry.ledger import VERSION, Snapshot
from bifrost_trio.telemetry.lines import LineWriter
from bifrost_trio.telemetry.logs import LogMode, line_handlers
from bifrost_trio.telemetry.redaction import Redactor
from bifrost_trio.telemetry.series import LATENCY_EDGES, OVERHEAD_EDGES, observe
from bifrost_trio.telemetry.sources import (
    Assembly,
    Carried,
    Facts,
    PluginFacts,
    PollerFacts,
    ServerFacts,
    Statistics,
    Turn,
    families_of,
    read_assembly,
    read_bodies,
    read_poller,
    read_retiring,
    read_server,
)
from bifrost_trio.telemetry.tally import Tally
from bifrost_trio.types import Call, State

__all__ = ["LEARNED_MODELS", "Telemetry"]

DONE: Final = State.DONE
"""A global name: looking it up in the enumeration would cost as much as counting."""


LEARNED_MODELS: Final = 100
"""Names of models that no list knows and that a provider has answered for, which get a label of their own."""


class Telemetry:
    """What one process has counted, and its log."""

    def __init__(
        self,
        *,
        log: LogMode = "none",
        stream: TextIO | None = None,
        models: Iterable[str] = (),
        learned_models: int = 0,
        collect: Callable[[], Awaitable[bytes]] | None = None,
    ) -> None:
        """``log`` lines go to ``stream`` (stdout by default).

        A model's name is a label if the configuration or a model list has it, or if it is in ``models``
        (``provider/model``); of others the first ``learned_models`` for which a provider gave an answer, and then
        ``other``. ``collect`` takes the place of this process's own text in `exposition`: with many workers, that of
        all of them.
        """
        self.collect = collect
        self._redact = Redactor()
        self._tally = Tally(models, learned_models, lambda name: self._redact(name) == name)
        self._routes = self._tally.routes
        self.log_calls = True
        """Whether calls have a line in the log (``client.enable_logging``)."""
        self._lines: LineWriter[CallFacts] | None = None
        if log != "none":
            form = json_line if log == "json" else text_line
            self._lines = LineWriter(stream if stream is not None else sys.stdout, lambda f: form(f, self._redact))
        self._now: Callable[[], float] = trio.current_time
        self._turn: Turn | None = None
        self._sending: list[Call] = []
        self._failures = 0
        self._carried = Carried()
        self._assembly: Assembly | None = None
        self._plugins: Statistics[PluginFacts] | None = None
        self._retiring: dict[int, tuple[Assembly, Statistics[PluginFacts] | None]] = {}
        self._poller: Statistics[PollerFacts] | None = None
        self._server: Statistics[ServerFacts] | None = None
        self._origin = f"{os.getpid()}-{time.time_ns()}"
        self._snapshots = 0

    # --- the hot path ---

    def settle(self, call: Call) -> None:
        """Counts a call that has ended: once what was written to its client has gone. Never waits, never raises."""
        turn = self._turn
        if turn is not None and turn.holds_back:
            self._sending.append(call)
        else:
            self._count(call, self._now())

    def count_sent(self, began: float, ended: float) -> None:
        """Counts the calls that were held back until what was written to their clients went out, from ``began`` until
        ``ended``, one write after the other: their ends are spread evenly over that time."""
        sending, self._sending = self._sending, []
        step = (ended - began) / max(1, len(sending))
        for call in sending:
            began += step
            self._count(call, began)

    def _count(self, call: Call, ended: float) -> None:
        """1 us where one attempt answered: written out, because a Python call for each number costs what counting does.
        The overhead comes last: what is counted there counts as settled. It is never negative, though the waits of
        hedged attempts, side by side, may be longer than the call.
        """
        try:
            outcome = call.outcome
            head, target = call.head, call.target
            stream = call.envelope.stream
            route = None
            if head is not None and target is not None:
                route = self._routes.get((head.path, call.operation, target.provider, target.model, stream))
            route = route or self._tally.route(call)
            series = route.series
            seconds = ended - call.accepted_at
            row = route.durations if outcome.status == 200 else self._tally.durations_of(route, outcome.status)
            row[bisect_left(LATENCY_EDGES, seconds)] += 1
            row[0] += seconds
            if outcome.state is DONE and len(trail := call.trail) == 1 and (attempt := trail[0]).kind == "success":
                row = series.upstream_ok
                row[bisect_left(LATENCY_EDGES, attempt.seconds)] += 1
                row[0] += attempt.seconds
            else:
                self._tally.count_unusual(call, series)
            if stream and outcome.first_output_at:
                observe(series.first_token, LATENCY_EDGES, outcome.first_output_at - call.accepted_at)
            if (usage := outcome.usage) is not None:
                series.input_tokens += usage.input_tokens
                series.output_tokens += usage.output_tokens
                series.cached_tokens += usage.cached_tokens
                series.cache_write_tokens += usage.cache_write_tokens
                series.reasoning_tokens += usage.reasoning_tokens
            own = seconds - outcome.upstream_seconds - outcome.back_off_seconds - outcome.client_seconds
            overhead = own * 1e6 if own > 0.0 else 0.0
            row = series.overhead
            row[bisect_left(OVERHEAD_EDGES, overhead)] += 1
            row[0] += overhead
        except Exception:
            self._failures += 1
        if self._lines is not None and self.log_calls:
            self._log(self._lines, call, ended)

    def count_refused(self, path: str, error: GatewayError) -> None:
        """Counts a request that never became a call. Never raises."""
        try:
            self._tally.count_refused(path, error)
        except Exception:
            self._failures += 1

    def _log(self, lines: LineWriter[CallFacts], call: Call, ended: float) -> None:
        try:
            lines.put(take_facts(call, ended - call.accepted_at))
        except Exception:
            lines.lose()

    # --- what is watched ---

    def watch(
        self,
        assembly: Assembly,
        *,
        poller: Statistics[PollerFacts] | None = None,
        plugins: Statistics[PluginFacts] | None = None,
    ) -> None:
        """The stations of the newest configuration. Those before are read on until `retire`: calls are open on them.

        ``plugins`` is their plugin chain, where they have one; ``poller`` stays until another one is given.
        """
        if self._assembly is not None and self._assembly is not assembly:
            self._retiring[id(self._assembly)] = self._assembly, self._plugins
        self._assembly = assembly
        self._plugins = plugins
        self._poller = poller or self._poller
        self._redact.learn(key.value for attempts in assembly.attempts.values() for key in attempts.keys.keys)
        self._know()

    def retire(self, assembly: Assembly) -> None:
        """The last call on stations that were replaced has ended: what they counted is kept, they are let go."""
        retiring = self._retiring.pop(id(assembly), None)
        if retiring is not None:
            self._carried.keep(read_assembly(*retiring))

    def watch_server(self, server: Statistics[ServerFacts]) -> None:
        """The server whose connections are shown."""
        self._server = server

    def _know(self) -> None:
        assembly = self._assembly
        if assembly is not None:
            models = ((listed.provider, listed.model) for listed in assembly.models.all())
            self._tally.know(models, assembly.attempts, (route.path for route in assembly.transport.routes))

    def defer(self, turn: Turn) -> None:
        """From now on a call whose last bytes ``turn`` holds back is counted by `count_sent`."""
        self._turn = turn

    # --- reading ---

    def families(self) -> list[Family]:
        """Everything as it is now, as plain data."""
        return list(self._each_family())

    def _each_family(self) -> Iterator[Family]:
        self._count_now()
        # Model lists grow while the gateway runs; calls find their labels anew after each scrape.
        self._know()
        yield from self._tally.families()
        yield from families_of(self._facts())

    def _count_now(self) -> None:
        """What is shown begun and not open is shown settled."""
        if self._sending:
            now = self._now()
            self.count_sent(now, now)

    def _facts(self) -> Facts:
        self._count_now()
        yield from self._carried.facts()
        if self._assembly is not None:
            yield from read_assembly(self._assembly, self._plugins)
            yield from read_bodies(self._assembly.budget.statistics())
        for assembly, plugins in self._retiring.values():
            yield from read_retiring(assembly, plugins)
        if trio.lowlevel.in_trio_run():
            yield names.TASKS, (), trio.lowlevel.current_statistics().tasks_living
        if self._poller is not None:
            yield from read_poller(self._poller.statistics())
        if self._server is not None:
            yield from read_server(self._server.statistics())
        yield names.SETTLED, (), self._tally.settled + self._failures
        yield names.SETTLE_FAILURES, (), self._failures
        for writer in self._writers():
            lines = writer.statistics()
            yield names.LOG_LINES, ("written",), lines.written
            yield names.LOG_LINES, ("dropped",), lines.dropped
            yield names.LOG_LINES, ("lost",), lines.lost

    async def exposition(self) -> bytes:
        """The metrics in Prometheus' text format, version 0.0.4."""
        if self.collect is not None:
            return await self.collect()
        pieces = []
        for piece in render_pieces(self._each_family()):
            pieces.append(piece)
            await trio.lowlevel.checkpoint()
        return b"".join(pieces)

    def snapshot(self) -> bytes:
        """The same as plain data, for `merge` and the supervisor's `Ledger`."""
        self._snapshots += 1
        return Snapshot(VERSION, self._origin, self._snapshots, self.families()).encode()

    # --- the log ---

    async def run(self) -> None:
        """Writes the log until it is cancelled, then what is left of it. Belongs in the gateway's nursery."""
        # The clock itself: trio.current_time looks for it anew each time, which costs more than the time.
        self._now = trio.lowlevel.current_clock().current_time
        try:
            async with trio.open_nursery() as nursery:
                if self._lines is not None:
                    nursery.start_soon(self._lines.run)
                for handler in line_handlers():
                    handler.redact = self._redact
                    nursery.start_soon(handler.run)
                await trio.sleep_forever()
        finally:
            self._now = trio.current_time

    def _writers(self) -> Iterator[LineWriter[CallFacts] | LineWriter[bytes]]:
        if self._lines is not None:
            yield self._lines
        for handler in line_handlers():
            yield handler.writer
