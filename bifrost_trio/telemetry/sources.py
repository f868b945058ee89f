"""What else there is to see: the ``statistics()`` of whatever holds state, read when somebody asks for the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeAlias, TypeVar

from bifrost_trio.telemetry import names
from bifrost_trio.telemetry.families import Family, Labels, Metric, Row, add_rows
from bifrost_trio.telemetry.series import Table

__all__ = [
    "Assembly",
    "Carried",
    "Facts",
    "PluginFacts",
    "PollerFacts",
    "ServerFacts",
    "Statistics",
    "Turn",
    "families_of",
    "read_assembly",
    "read_bodies",
    "read_poller",
    "read_retiring",
    "read_server",
]

T_co = TypeVar("T_co", covariant=True)

Fact: TypeAlias = tuple[Metric, Labels, float]
Facts: TypeAlias = Iterable[Fact]


class Statistics(Protocol[T_co]):
    """Whatever holds state and tells of it in one record."""

    def statistics(self) -> T_co: ...


class Turn(Protocol):
    """One pass of the event loop."""

    @property
    def holds_back(self) -> bool:
        """Whether what was written last goes out only at its end."""
        ...


class WorkerFacts(Protocol):
    @property
    def limit(self) -> int: ...
    @property
    def busy(self) -> int: ...
    @property
    def idle(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def refused(self) -> int: ...


class ConnectionFacts(Protocol):
    @property
    def idle(self) -> int: ...
    @property
    def busy(self) -> int: ...
    @property
    def made(self) -> int: ...
    @property
    def stale_retries(self) -> int: ...


class ProviderFacts(Protocol):
    @property
    def connections(self) -> Mapping[str, ConnectionFacts]: ...


class CallFacts(Protocol):
    @property
    def open(self) -> int: ...
    @property
    def settled(self) -> int: ...


class BodyFacts(Protocol):
    @property
    def in_flight(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def refused(self) -> int: ...


class PollerFacts(Protocol):
    @property
    def sockets(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def buckets(self) -> int: ...


class ServerFacts(Protocol):
    @property
    def open(self) -> int: ...
    @property
    def idle(self) -> int: ...
    @property
    def accepted(self) -> int: ...
    @property
    def filled(self) -> int: ...


class PluginFacts(Protocol):
    @property
    def errors(self) -> Mapping[str, int]: ...
    @property
    def late(self) -> int: ...


class Key(Protocol):
    @property
    def value(self) -> str: ...


class Keys(Protocol):
    @property
    def keys(self) -> Iterable[Key]: ...


class Attempts(Protocol):
    @property
    def pool(self) -> Statistics[WorkerFacts]: ...
    @property
    def keys(self) -> Keys: ...


class ListedModel(Protocol):
    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...


class Models(Protocol):
    def all(self) -> Iterable[ListedModel]: ...


class Route(Protocol):
    @property
    def path(self) -> str: ...


class Transport(Protocol):
    @property
    def routes(self) -> Iterable[Route]: ...


class Assembly(Protocol):
    """The stations of one configuration, as far as the telemetry reads them."""

    @property
    def attempts(self) -> Mapping[str, Attempts]: ...
    @property
    def providers(self) -> Mapping[str, Statistics[ProviderFacts]]: ...
    @property
    def inference(self) -> Statistics[CallFacts]: ...
    @property
    def budget(self) -> Statistics[BodyFacts]: ...
    @property
    def models(self) -> Models: ...
    @property
    def transport(self) -> Transport: ...


def read_assembly(assembly: Assembly, plugins: Statistics[PluginFacts] | None) -> Iterator[Fact]:
    """What lives as long as one configuration: a reload begins its counters anew (see `Carried`)."""
    calls = assembly.inference.statistics()
    yield names.ACTIVE, (), calls.open
    yield names.BEGUN, (), calls.open + calls.settled
    for provider, attempts in assembly.attempts.items():
        yield from _read_workers(provider, attempts.pool.statistics())
    for name, source in assembly.providers.items():
        for origin, connections in source.statistics().connections.items():
            yield from _read_connections((name, origin), connections)
    if plugins is not None:
        hooks = plugins.statistics()
        yield names.PLUGINS_LATE, (), hooks.late
        for plugin, errors in hooks.errors.items():
            yield names.PLUGIN_ERRORS, (plugin,), errors


def read_retiring(assembly: Assembly, plugins: Statistics[PluginFacts] | None) -> Iterator[Fact]:
    """What calls that are still open hold; no new one finds a place there."""
    for fact in read_assembly(assembly, plugins):
        if fact[0] is not names.WORKERS_LIMIT and fact[0] is not names.WORKERS_IDLE:
            yield fact


def read_bodies(bodies: BodyFacts) -> Iterator[Fact]:
    yield names.BODY_BYTES, (), bodies.in_flight
    yield names.BODY_LIMIT, (), bodies.limit
    yield names.BODY_REFUSED, (), bodies.refused


def _read_workers(provider: str, workers: WorkerFacts) -> Iterator[Fact]:
    yield names.WORKERS_LIMIT, (provider,), workers.limit
    yield names.WORKERS_BUSY, (provider,), workers.busy
    yield names.WORKERS_IDLE, (provider,), workers.idle
    yield names.WORKERS_WAITING, (provider,), workers.waiting
    yield names.WORKERS_REFUSED, (provider,), workers.refused


def _read_connections(labels: Labels, connections: ConnectionFacts) -> Iterator[Fact]:
    yield names.CONNECTIONS, (*labels, "idle"), connections.idle
    yield names.CONNECTIONS, (*labels, "busy"), connections.busy
    yield names.CONNECTIONS_MADE, labels, connections.made
    yield names.STALE_RETRIES, labels, connections.stale_retries


def read_poller(poller: PollerFacts) -> Iterator[Fact]:
    yield names.POLLER_SOCKETS, (), poller.sockets
    yield names.POLLER_WAITING, (), poller.waiting
    yield names.POLLER_BUCKETS, (), poller.buckets


def read_server(server: ServerFacts) -> Iterator[Fact]:
    yield names.CLIENTS, ("idle",), server.idle
    yield names.CLIENTS, ("busy",), server.open - server.idle
    yield names.CLIENTS_ACCEPTED, (), server.accepted
    yield names.CLIENTS_FILLED, (), server.filled


def families_of(facts: Facts) -> Iterator[Family]:
    """One family for each metric, in the order in which they were met."""
    found: dict[str, Family] = {}
    for metric, labels, value in facts:
        family = found.setdefault(metric.name, Family(metric))
        add_rows(family.rows, {labels: [value]})
    yield from found.values()


class Carried:
    """The counters of what was replaced, so that a reload lets none of them fall."""

    def __init__(self) -> None:
        self._tables: dict[str, Table[Row]] = {}

    def keep(self, facts: Facts) -> None:
        for metric, labels, value in facts:
            if metric.kind == "counter" and value:
                table = self._tables.setdefault(metric.name, Table(metric, lambda: [0.0]))
                table.cell(labels)[0] += value

    def facts(self) -> Iterator[Fact]:
        for table in self._tables.values():
            for labels, row in table.cells.items():
                yield table.metric, labels, row[0]
