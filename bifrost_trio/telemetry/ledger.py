"""The metrics of many workers as those of one node: snapshots, their sum, and what dead workers left.

Counters and histograms are summed, gauges are kept for each worker with a label that names it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import msgspec

from bifrost_trio.telemetry import names
from bifrost_trio.telemetry.exposition import render
from bifrost_trio.telemetry.families import Family, Metric, add_rows

__all__ = ["VERSION", "Ledger", "Snapshot", "expose", "merge"]

VERSION = 1
"""Of the snapshot's shape; another one is not read, but counted."""

REMEMBERED_DEAD = 1000
"""Dead workers whose late snapshots are still recognised: they come within seconds, and deaths are rare."""


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """What one worker has counted since it started. ``origin`` names that life, ``number`` orders its snapshots."""

    version: int
    origin: str
    number: int
    families: list[Family]

    def encode(self) -> bytes:
        return _encode(self)

    @staticmethod
    def decode(data: bytes) -> Snapshot:
        """Raises ValueError."""
        if _Head.decode(data).version != VERSION:
            raise ValueError("a snapshot of another version")
        snapshot = _decode(data)
        for family in snapshot.families:
            width, labels = family.metric.width, len(family.metric.labels)
            if any(len(row) != width or len(key) != labels for key, row in family.rows.items()):
                raise ValueError(f"the rows of {family.metric.name} do not fit it")
        return snapshot


class _Head(msgspec.Struct, array_like=True):
    version: int

    @staticmethod
    def decode(data: bytes) -> _Head:
        return _decode_head(data)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode
_decode_head = msgspec.msgpack.Decoder(_Head).decode


class _Sum:
    """Families on their way to one. A family whose labels or buckets differ from those before it is left out."""

    def __init__(self) -> None:
        self.families: dict[str, Family] = {}
        self.misfits = 0

    def add(self, families: Iterable[Family], worker: str | None = None) -> None:
        """``worker`` labels the gauges; without it they are left out."""
        for family in families:
            metric = family.metric
            if metric.kind != "gauge":
                self._add(metric, family)
            elif worker is not None:
                labelled = Metric(metric.name, metric.help, "gauge", (*metric.labels, "worker"))
                self._add(labelled, Family(labelled, {(*key, worker): row for key, row in family.rows.items()}))

    def _add(self, metric: Metric, family: Family) -> None:
        present = self.families.setdefault(metric.name, Family(metric))
        if (present.metric.labels, present.metric.bounds) != (metric.labels, metric.bounds):
            self.misfits += 1
            return
        add_rows(present.rows, family.rows)


def merge(snapshots: Mapping[str, bytes]) -> bytes:
    """The snapshots of workers, by their names, as one snapshot. Raises ValueError on one that cannot be read."""
    total = _Sum()
    for worker, data in sorted(snapshots.items()):
        total.add(Snapshot.decode(data).families, worker)
    return Snapshot(VERSION, "", 0, list(total.families.values())).encode()


def expose(snapshot: bytes) -> bytes:
    """A snapshot in Prometheus' text format. Raises ValueError."""
    return render(Snapshot.decode(snapshot).families)


class Ledger:
    """The supervisor's book: the newest snapshot of each worker, and the sum of what those that are gone had counted.

    No counter falls: not when a worker dies, not when its successor has the same name, not when a snapshot comes late
    or twice.
    """

    def __init__(self) -> None:
        self._newest: dict[str, Snapshot] = {}
        self._gone = _Sum()
        self._dead: deque[str] = deque(maxlen=REMEMBERED_DEAD)
        self._silent: dict[str, int] = {}
        self._retired = 0
        self._unreadable = 0

    def take(self, worker: str, data: bytes) -> None:
        """A snapshot has come. One that cannot be read is counted; one that is not the newest changes nothing."""
        try:
            snapshot = Snapshot.decode(data)
        except ValueError:
            self._unreadable += 1
            return
        if snapshot.origin in self._dead:
            return
        present = self._newest.get(worker)
        if present is not None:
            if present.origin != snapshot.origin:
                self.retire(worker)
            elif present.number >= snapshot.number:
                return
        self._newest[worker] = snapshot

    def missed(self, worker: str) -> None:
        """The worker did not answer in time; its last snapshot stands for it."""
        self._silent[worker] = self._silent.get(worker, 0) + 1

    def retire(self, worker: str) -> None:
        """The worker has ended. What it had counted stays; its gauges go."""
        last = self._newest.pop(worker, None)
        if last is None:
            return
        self._dead.append(last.origin)
        self._gone.add(last.families)
        self._retired += 1

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        total = _Sum()
        total.add(self._gone.families.values())
        for worker, snapshot in sorted(self._newest.items()):
            total.add(snapshot.families, worker)
        own = [
            Family.of(names.WORKER_SILENT, [((worker,), count) for worker, count in sorted(self._silent.items())]),
            Family.of(names.WORKER_DEATHS, [((), self._retired)]),
            Family.of(names.UNREADABLE, [((), self._unreadable + self._gone.misfits + total.misfits)]),
        ]
        return render([*total.families.values(), *own])
