"""Metrics as plain data: what one process counts, what travels between processes, what is printed.

Times are seconds unless the name says otherwise. Labels come from the configuration, the model lists and the closed
words of this package, so their number has a bound; whatever is not among them is ``other``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

__all__ = ["OTHER", "Family", "Kind", "Labels", "Metric", "Row", "add_rows"]

OTHER = "other"
"""The label of whatever is not known from the configuration or a model list, or found no room."""

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Labels: TypeAlias = tuple[str, ...]
Row: TypeAlias = list[float]
"""One number; of a histogram the sum and then the count of each bucket, not cumulated, the last one without bound."""


class Metric(msgspec.Struct, frozen=True, array_like=True):
    """A name and its meaning. A counter's name ends in ``_total``; ``bounds`` are a histogram's, all finite."""

    name: str
    help: str
    kind: Kind
    labels: Labels = ()
    bounds: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


class Family(msgspec.Struct, array_like=True):
    """A metric and its rows, one for each set of label values in the order of the metric's ``labels``."""

    metric: Metric
    rows: dict[Labels, Row] = {}

    @classmethod
    def of(cls, metric: Metric, rows: Iterable[tuple[Labels, float]]) -> Family:
        return cls(metric, {labels: [value] for labels, value in rows})


def add_rows(into: dict[Labels, Row], rows: dict[Labels, Row]) -> None:
    """Sums, number by number."""
    for labels, row in rows.items():
        present = into.get(labels)
        into[labels] = list(row) if present is None else _sum(present, row)


def _sum(one: Sequence[float], other: Sequence[float]) -> Row:
    return [a + b for a, b in zip(one, other, strict=True)]
