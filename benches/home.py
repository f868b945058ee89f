"""What a gateway holds, read from its ``/metrics``: so that after a load all of it can be shown to be home."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["HELD", "Absent", "Held", "compare", "read", "totals"]


class Absent(Exception):
    """A metric that is looked at is not there: it was renamed, or nobody counts it any more."""


@dataclass(frozen=True, slots=True)
class Held:
    """One thing to be compared: the sum of some metrics, less that of others. ``always``: what it has to be at rest,
    where that is known; else what it was before. ``patience``: seconds that it may take after the last call.
    """

    title: str
    metrics: tuple[str, ...]
    less: tuple[str, ...] = ()
    always: float | None = None
    patience: float = 1.0

    def of(self, found: Mapping[str, float]) -> float:
        """Raises Absent."""
        absent = [name for name in (*self.metrics, *self.less) if name not in found]
        if absent:
            raise Absent(f"{self.title}: /metrics does not have {', '.join(absent)}")
        return sum(found[name] for name in self.metrics) - sum(found[name] for name in self.less)


_IDLE = 'bifrost_upstream_connections{state="idle"}'
_BUSY = 'bifrost_upstream_connections{state="busy"}'
_CLIENTS = ('bifrost_client_connections{state="idle"}', 'bifrost_client_connections{state="busy"}')

HELD = (
    # The task that sends comments to waiting streams ends when the last one would have been due: 10 s.
    Held("tasks", ("bifrost_tasks",), patience=12.0),
    Held("sockets of the poller, idle upstream ones aside", ("bifrost_poller_sockets",), less=(_IDLE,)),
    Held("sockets that somebody waits for", ("bifrost_poller_waiting",)),
    # The one that asks is counted both times: it stands in the first figure as in the last.
    Held("client connections", _CLIENTS),
    Held("upstream connections at work", (_BUSY,), always=0),
    Held("workers at work", ("bifrost_workers_busy",), always=0),
    Held("calls that wait for a worker", ("bifrost_workers_waiting",), always=0),
    Held("open calls", ("bifrost_active_requests",), always=0),
    Held("bytes of bodies", ("bifrost_body_bytes",), always=0),
    Held("begun, not settled", ("bifrost_begun_requests_total",), less=("bifrost_settled_requests_total",), always=0),
    Held("calls that could not be counted", ("bifrost_settle_failures_total",), always=0),
)


def compare(before: Mapping[str, float], after: Mapping[str, float], held: Iterable[Held]) -> list[str]:
    """Prints a line for each; those that are not what they were. Raises Absent."""
    astray = []
    for one in held:
        then, now = one.of(before), one.of(after)
        wanted = then if one.always is None else one.always
        line = f"{one.title}: {now:,.0f}, before the first turn {then:,.0f}"
        print(f"  {'home' if now == wanted else 'AWAY'}  {line}")
        if now != wanted:
            astray.append(line)
    return astray


def read(address: str) -> dict[str, float]:
    """What the gateway at host:port says now."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        return totals(answer.read().decode())


def totals(text: str) -> dict[str, float]:
    """The metrics without their labels, but for ``state``; of several providers the sum."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name, _, labels = series.partition("{")
            state = next((part for part in labels.rstrip("}").split(",") if part.startswith("state=")), None)
            key = f"{name}{{{state}}}" if state else name
            found[key] = found.get(key, 0.0) + float(value)
    return found
