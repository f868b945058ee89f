"""One sitting: one gateway, fresh, through all workloads, with a fresh nginx on the same core and a fresh mock."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benches import nginx
from benches.gateways import Gateway, Running, start
from benches.processes import Cores, CoreTimes, yielding
from benches.secured import Secured, start_secured
from benches.tool import Lane, run_clients, start_mock
from benches.workloads import MODELS, PATHS, Workload

__all__ = ["Bench", "Loaded", "Point", "Sitting", "estimate"]

WARM_UP = 0.3
NGINX_WARM_UP = 0.1
NGINX_SHARE = 0.4
"""nginx is loaded for this part of the gateway's time before, and as long after."""
CORE_FLOOR = 0.9
"""Below this share of its core the gateway was not the limit, and requests per second say nothing about it."""
_OVERHEAD = 0.25
"""Seconds that a run of the clients takes beyond its load: start, last answers, until the gateway is quiet."""
_START = 2.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one run of the clients saw of one address, and what it cost. ``cpu`` is None of what was not metered."""

    seen: dict[str, Any]
    cpu: float | None = None

    @property
    def requests(self) -> int:
        return int(self.seen["valid"] + self.seen["wrong"] + self.seen["left"])

    @property
    def wrong(self) -> int:
        return int(self.seen["wrong"])

    @property
    def cpu_us(self) -> float | None:
        """CPU per request in microseconds."""
        return self.cpu / self.requests * 1e6 if self.cpu is not None and self.requests else None

    @property
    def per_second(self) -> float:
        return float(self.seen["valid"] / self.seen["seconds"]) if self.seen["seconds"] else 0.0

    @property
    def core(self) -> float | None:
        """Share of a core that was used while the load ran."""
        return self.cpu / self.seen["seconds"] if self.cpu is not None and self.seen["seconds"] else None

    def at(self, what: str, percentile: str) -> float | None:
        """A percentile in microseconds: what = latency_us, first_chunk_us or chunk_delay_us."""
        samples = self.seen[what]
        return float(samples[percentile]) if samples else None


@dataclass(frozen=True, slots=True)
class Point:
    """One workload of one sitting. ``before`` and ``after`` are nginx; of a workload in turns ``before`` is nginx in
    the same run and ``direct`` the mock. ``foreign`` and ``steal`` are shares of the gateway's core.
    """

    gateway: str
    workload: str
    round: int
    load: Loaded
    before: Loaded | None = None
    after: Loaded | None = None
    direct: Loaded | None = None
    foreign: float = 0.0
    steal: float = 0.0

    @property
    def ratio(self) -> float | None:
        """CPU per request as a multiple of nginx's just before and after."""
        around = [loaded.cpu_us for loaded in (self.before, self.after) if loaded and loaded.cpu_us]
        if not around or self.load.cpu_us is None or self.wrong:
            return None
        return self.load.cpu_us / (sum(around) / len(around))

    @property
    def wrong(self) -> int:
        return sum(loaded.wrong for loaded in (self.load, self.before, self.after, self.direct) if loaded)

    @property
    def told(self) -> list[str]:
        seen = [loaded.seen for loaded in (self.load, self.before, self.after, self.direct) if loaded]
        return [text for record in seen for text in record["told"]]

    def starved(self, workload: Workload) -> bool:
        """Whether the clients' core was the limit."""
        return workload.capacity and self.load.core is not None and self.load.core < CORE_FLOOR

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "cpu_us": self.load.cpu_us, "core": self.load.core}


@dataclass(frozen=True, slots=True)
class Sitting:
    """All points of one gateway in one round; memory in bytes, ``cold_start`` in seconds."""

    gateway: str
    round: int
    points: list[Point] = field(default_factory=list)
    cold_start: float | None = None
    idle_bytes: int | None = None
    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What all sittings share. ``scale`` shortens every load so that the whole keeps its time."""

    binary: Path
    cores: Cores
    workloads: Sequence[Workload]
    nginx: Gateway | None
    scale: float = 1.0

    def sit(self, gateway: Gateway | None, number: int) -> Sitting:
        """Measures one gateway in fresh processes; None is the mock itself. Raises NotStarted, LoadFailed."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bifrost-trio-bench-")))
            with yielding(gateway is not None and gateway.both_cores):
                mock, address = start_mock(self.binary, self.cores, folder)
            stack.callback(mock.stop)
            if gateway is None:
                return self._sit_directly(address, number)
            yardstick = None
            if self.nginx and gateway != self.nginx:
                yardstick = stack.enter_context(self._running(self.nginx, address, folder / "nginx"))
            secured = None
            if self.nginx and any(w.tls and gateway.measures(w) for w in self.workloads):
                secured = start_secured(nginx.find() or "", self.cores, address, folder / "secured")
                stack.callback(secured.process.stop)
            subject = stack.enter_context(self._running(gateway, address, folder / "gateway", secured))
            sitting = Sitting(gateway.name, number, [], subject.cold_start, subject.idle_bytes)
            for workload in self.workloads:
                if gateway.measures(workload):
                    sitting.points.append(self._measure(workload, number, address, subject, yardstick))
            return Sitting(
                gateway.name, number, sitting.points, subject.cold_start, subject.idle_bytes,
                subject.process.resident_bytes(),
            )  # fmt: skip

    @contextlib.contextmanager
    def _running(self, gateway: Gateway, mock: str, folder: Path, secured: Secured | None = None) -> Iterator[Running]:
        folder.mkdir()
        both = (self.cores.load, self.cores.gateway)
        running = start(gateway, both if gateway.both_cores else self.cores.gateway, mock, folder, secured)
        try:
            yield running
        finally:
            running.process.stop()

    def _sit_directly(self, address: str, number: int) -> Sitting:
        points = []
        for workload in self.workloads:
            if not (workload.turns or workload.fallback or workload.tls):
                seconds = workload.seconds * NGINX_SHARE * self.scale
                lane = Lane(address, PATHS[workload.kind], MODELS[workload.kind])
                (seen,) = run_clients(self.binary, self.cores, workload, [lane], [], seconds)
                points.append(Point("direct", workload.name, number, Loaded(seen)))
        return Sitting("direct", number, points)

    def _measure(
        self, workload: Workload, number: int, mock: str, subject: Running, yardstick: Running | None
    ) -> Point:
        if workload.turns:
            return self._measure_in_turns(workload, number, mock, subject, yardstick)
        seconds = workload.seconds * self.scale
        around = seconds * NGINX_SHARE
        before = self._load(workload.passed_on, yardstick, around, NGINX_WARM_UP) if yardstick else None
        core, used, begun = CoreTimes.read(self.cores.gateway), subject.process.cpu_seconds(), time.monotonic()
        load = self._load(workload, subject, seconds, WARM_UP)
        span = time.monotonic() - begun
        used = subject.process.cpu_seconds() - used
        now = CoreTimes.read(self.cores.gateway)
        after = self._load(workload.passed_on, yardstick, around, 0.0) if yardstick else None
        foreign = max(0.0, now.busy - core.busy - used) / span
        steal = (now.steal - core.steal) / span
        name = subject.gateway.name
        return Point(name, workload.name, number, load, before, after, foreign=foreign, steal=steal)

    def _load(self, workload: Workload, running: Running, seconds: float, warm_up: float) -> Loaded:
        """Warms the route up, then loads it and meters the process."""
        lanes = [running.gateway.lane(running.address, workload)]
        headers = running.gateway.headers
        wrong, told = 0, []
        if warm_up:
            (warm,) = run_clients(self.binary, self.cores, workload.warming, lanes, headers, min(warm_up, seconds))
            wrong, told = warm["wrong"], warm["told"]
        shared: list[int] = []

        def midway() -> None:
            if running.gateway.both_cores:
                shared.extend(running.process.connections(int(running.address.rpartition(":")[2])))

        cpu = running.process.cpu_when_quiet()
        with yielding(running.gateway.both_cores):
            (seen,) = run_clients(self.binary, self.cores, workload, lanes, headers, seconds, midway)
        spent = running.process.cpu_when_quiet() - cpu
        # A wrong answer while warming up is a wrong answer.
        seen |= {"wrong": seen["wrong"] + wrong, "told": told + seen["told"], "connections_of_workers": shared}
        return Loaded(seen, spent)

    def _measure_in_turns(
        self, workload: Workload, number: int, mock: str, subject: Running, yardstick: Running | None
    ) -> Point:
        lanes = [Lane(mock, PATHS[workload.kind], MODELS[workload.kind])]
        lanes += [r.gateway.lane(r.address, workload) for r in (yardstick, subject) if r]
        headers = subject.gateway.headers
        run_clients(self.binary, self.cores, workload, lanes, headers, min(WARM_UP, workload.seconds * self.scale))
        seen = run_clients(self.binary, self.cores, workload, lanes, headers, workload.seconds * self.scale)
        direct, *between, load = [Loaded(lane) for lane in seen]
        before = between[0] if between else None
        return Point(subject.gateway.name, workload.name, number, load, before, None, direct)


def estimate(bench: Bench, subjects: Sequence[Gateway | None], rounds: int) -> float:
    """Seconds that a whole run will take."""
    return rounds * sum(_sitting_lasts(bench, gateway) for gateway in subjects)


def _sitting_lasts(bench: Bench, gateway: Gateway | None) -> float:
    total = _START if gateway else 0.2
    for workload in bench.workloads:
        seconds = workload.seconds * bench.scale
        around = workload.lasts(seconds * NGINX_SHARE) + _OVERHEAD
        if gateway is None:
            total += 0.0 if workload.turns else around
            continue
        if not gateway.measures(workload):
            continue
        total += min(WARM_UP, seconds) + workload.lasts(seconds) + 2 * _OVERHEAD
        if bench.nginx and gateway != bench.nginx and not workload.turns:
            total += NGINX_WARM_UP + _OVERHEAD + 2 * around
    return total
