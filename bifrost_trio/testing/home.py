"""Whether everything that a call borrowed is home again."""

from __future__ import annotations

from collections.abc import Iterator

from bifrost_trio.app import Assembly, RunningGateway
from bifrost_trio.server import Server

__all__ = ["away"]


def away(gateway: RunningGateway, server: Server, clients: int) -> list[str]:
    """What is not home, a sentence each; ``clients`` is how many client connections should be open."""
    assembly = gateway.assembly
    return [*_calls(assembly), *_workers(assembly), *_connections(assembly), *_sockets(gateway, server, clients)]


def _calls(assembly: Assembly) -> Iterator[str]:
    open_calls = assembly.inference.statistics().open
    if open_calls:
        yield f"{open_calls} calls are not settled"
    reserved = assembly.budget.statistics().in_flight
    if reserved:
        yield f"{reserved} bytes of bodies are still reserved"


def _workers(assembly: Assembly) -> Iterator[str]:
    for name, attempts in assembly.attempts.items():
        pool = attempts.pool.statistics()
        if pool.busy:
            yield f"{pool.busy} workers of {name} are at work"
        if pool.waiting:
            yield f"{pool.waiting} calls wait for a worker of {name}"


def _connections(assembly: Assembly) -> Iterator[str]:
    for name, provider in assembly.providers.items():
        busy = sum(pool.statistics().busy for pool in provider.pools)
        if busy:
            yield f"{busy} connections to {name} are busy"


def _sockets(gateway: RunningGateway, server: Server, clients: int) -> Iterator[str]:
    serving = server.statistics()
    if serving.open != clients:
        yield f"the server has {serving.open} connections, but {clients} clients are there"
    if serving.idle != serving.open:
        yield f"{serving.open - serving.idle} client connections are not idle"
    pools = [pool for provider in gateway.assembly.providers.values() for pool in provider.pools]
    expected = serving.open + sum(pool.statistics().idle for pool in pools)
    sockets = gateway.poller.statistics().sockets
    if sockets != expected:
        yield f"{sockets} sockets are watched, but {expected} are in use"
