"""Does the gateway say what it costs? Its own overhead metric beside a clock outside of it.

``python -m benches.overhead``: clients that ask again as soon as they are answered, of a provider that takes its time,
so many that the gateway's core is busy for the wanted part of the time (``--load 0.8``). *Outside* is how long the
gateway kept a request, in the mean, as the kernel saw its packets come and go (`packets`; this takes root's rights);
*inside* is the mean of what ``bifrost_overhead_latency_microseconds`` gained meanwhile. Beside them stands what the
clients waited beyond what the provider says that it took: there the way to the gateway and back, and the clients' and
the mock's own crowding on their core, is in it as well. Exit status 1 where inside and outside differ by more than
`TOLERANCE`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benches import home
from benches.gateways import Running, own, start
from benches.packets import capture
from benches.processes import Cores
from benches.tool import Lane, build, run_clients, start_mock
from benches.workloads import WORKLOADS, Workload

__all__ = ["main"]

TOLERANCE = 0.05
DELAY_US = 4000
"""What the provider takes: the clients' pauses, as it were."""

METRIC = "bifrost_overhead_latency_microseconds"


@dataclass(frozen=True, slots=True)
class Found:
    """Microseconds a request, and the part of the core that was used."""

    outside: float
    inside: float
    clients: float
    core: float

    @property
    def apart(self) -> float:
        return self.inside / self.outside - 1.0


class Comparison:
    """A gateway under load, and the way around it."""

    def __init__(self, binary: Path, cores: Cores, mock: str, running: Running) -> None:
        self._binary = binary
        self._cores = cores
        self._mock = mock
        self._running = running
        self._lane = running.gateway.lane(running.address, WORKLOADS["chat1k"])

    def _run(self, workload: Workload, lane: Lane, seconds: float) -> dict[str, Any]:
        (seen,) = run_clients(self._binary, self._cores, workload, [lane], [], seconds)
        if seen["wrong"]:
            raise SystemExit(f"{seen['wrong']} wrong answers: {seen['told']}")
        return seen

    def clients_for(self, load: float) -> int:
        """How many clients make the gateway's core busy for so much of the time."""
        clients = 40
        for _ in range(5):
            core = self._through(clients, 1.0)[1]
            clients = max(1, round(clients * min(load / core, 2.0)))
        return clients

    def _through(self, clients: int, seconds: float) -> tuple[dict[str, Any], float]:
        workload = replace(WORKLOADS["chat1k"], clients=clients, orders=f"delay_us={DELAY_US}")
        used = self._running.process.cpu_seconds()
        seen = self._run(workload, self._lane, seconds)
        return seen, (self._running.process.cpu_seconds() - used) / seen["seconds"]

    def compare(self, clients: int, seconds: float) -> Found:
        """Raises PermissionError."""
        before = home.read(self._running.address)
        with capture() as captured:
            seen, core = self._through(clients, seconds)
            try:
                spans = captured.spans(_port(self._running.address), _port(self._mock))
            except LookupError as error:
                raise SystemExit(f"{error}: fewer --seconds") from None
        after = home.read(self._running.address)
        gained = {part: after[f"{METRIC}_{part}"] - before[f"{METRIC}_{part}"] for part in ("sum", "count")}
        # The reading of the metrics is one request more, and a few may be on their way at either end.
        if abs(gained["count"] - spans.requests) > max(10.0, 0.01 * spans.requests):
            raise SystemExit(f"{spans.requests} requests were seen and {gained['count']:.0f} counted: not comparable")
        return Found(spans.kept, gained["sum"] / gained["count"], seen["beyond_us"]["mean"], core)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benches.overhead", description="The overhead metric and an outside clock."
    )
    parser.add_argument("--load", type=float, default=0.8, help="of the gateway's core")
    parser.add_argument("--rounds", type=int, default=5, help="of so many the median is taken")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round, at most 5")
    options = parser.parse_args(words)
    binary, cores = build(), Cores.choose()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mock, address = start_mock(binary, cores, folder)
        try:
            running = start(own("bare", [WORKLOADS["chat1k"]]), cores.gateway, address, folder)
            try:
                found = _rounds(Comparison(binary, cores, address, running), options)
            except PermissionError:
                raise SystemExit("the packets on the loopback are shown to root only (CAP_NET_RAW)") from None
            finally:
                running.process.stop()
        finally:
            mock.stop()
    apart = statistics.median(one.apart for one in found)
    print(f"median: the metric says {apart:+.1%} beside the outside clock (at most {TOLERANCE:.0%} apart)")
    return 1 if abs(apart) > TOLERANCE else 0


def _rounds(comparison: Comparison, options: argparse.Namespace) -> list[Found]:
    clients = comparison.clients_for(options.load)
    print(f"{clients} clients for {options.load:.0%} of the core")
    found = []
    for _ in range(options.rounds):
        one = comparison.compare(clients, options.seconds)
        found.append(one)
        print(
            f"core {one.core:.0%}: outside {one.outside:.1f} µs, inside {one.inside:.1f} µs ({one.apart:+.1%}); "
            f"clients {one.clients:.1f} µs"
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
