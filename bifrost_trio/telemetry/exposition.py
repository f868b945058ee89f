"""Prometheus' text format from plain families."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, islice

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.registry import Collector

from bifrost_trio.telemetry.families import Family, Row

__all__ = ["FamilyCollector", "render", "render_pieces"]

SLICE = 200
"""Lines rendered in one go, as far as whole rows allow: a millisecond or two."""


class FamilyCollector(Collector):
    """Gives families to prometheus_client; ``read`` is called for each scrape. For a registry of a program's own."""

    def __init__(self, read: Callable[[], Iterable[Family]]) -> None:
        self._read = read

    def collect(self) -> Iterator[PrometheusMetric]:
        return map(_translate, self._read())


def _translate(family: Family) -> PrometheusMetric:
    metric = family.metric
    if metric.kind == "histogram":
        found = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, row in family.rows.items():
            found.add_metric(labels, _buckets(metric.bounds, row), row[0])
        return found
    made = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    plain = made(metric.name, metric.help, labels=metric.labels)
    for labels, row in family.rows.items():
        plain.add_metric(labels, row[0])
    return plain


def _buckets(bounds: tuple[float, ...], row: Row) -> list[tuple[str, float]]:
    edges = [*map(repr, bounds), "+Inf"]
    return list(zip(edges, accumulate(row[1:]), strict=True))


def render_pieces(families: Iterable[Family]) -> Iterator[bytes]:
    """The text in pieces, so that whoever writes it can let others run in between."""
    for family in families:
        rows = iter(family.rows.items())
        lines = family.metric.width
        first = True
        while part := dict(islice(rows, max(1, SLICE // lines))):
            text = _text(Family(family.metric, part))
            # HELP and TYPE stand once, before the first of a metric's lines.
            yield text if first else text.split(b"\n", 2)[2]
            first = False


def _text(family: Family) -> bytes:
    return generate_latest(FamilyCollector(lambda: [family]))


def render(families: Iterable[Family]) -> bytes:
    return b"".join(render_pieces(families))
