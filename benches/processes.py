"""Processes on chosen cores, and what Linux says about them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CoreTimes", "Cores", "Process", "free_port", "pinned", "yielding"]

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where; equal where there is only one core, which makes every point doubtful."""

    load: int
    gateway: int

    @classmethod
    def choose(cls) -> Cores:
        """The first core that may be used, and the last one that is not its hyperthread."""
        allowed = sorted(os.sched_getaffinity(0))
        load = allowed[0]
        apart = [core for core in allowed[1:] if core not in _siblings(load)]
        return cls(load, (apart or allowed)[-1])

    @property
    def shared(self) -> bool:
        return self.load == self.gateway


def _siblings(core: int) -> set[int]:
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        ranges = [part.split("-") for part in path.read_text().strip().split(",")]
    except OSError:
        return {core}
    return {number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1)}


@contextlib.contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """What is started inside inherits the cores, with every thread that it makes."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def yielding(wanted: bool = True) -> Iterator[None]:
    """What is started inside waits for its turn where it shares a core: bytes for it do not interrupt whoever runs
    (SCHED_BATCH, sched(7)). Clients and mock stand for other machines, which would not interrupt either."""
    if not wanted:
        yield
        return
    before = os.sched_getscheduler(0)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Process:
    """A program that serves until it is stopped, in a process group of its own."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.popen = popen
        self.log = log

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        core: int | Sequence[int],
        log: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Process:
        """Starts it on the core or cores; its output goes to the file. Raises OSError if there is no such program."""
        with log.open("wb") as output, pinned(*([core] if isinstance(core, int) else core)):
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=cwd,
                start_new_session=True,
            )
        return cls(popen, log)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within the time; this is also how the harness waits."""
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def first_line(self, seconds: float) -> str:
        """The first line of its output; what there is of it if it ends or takes too long."""
        until = time.monotonic() + seconds
        while "\n" not in self.output() and time.monotonic() < until:
            if self.wait(0.005):
                break
        return self.output().partition("\n")[0]

    def output(self, last: int = 2000) -> str:
        return self.log.read_bytes()[-last:].decode(errors="replace")

    def stop(self) -> None:
        """Asks, then insists; reaches what the program started in its group."""
        if self.popen.poll() is None:
            self.popen.terminate()
            self.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def cpu_seconds(self) -> float:
        """User and system time of the process, its children alive and those it reaped."""
        return sum(_cpu_seconds(pid) for pid in self._tree())

    def cpu_when_quiet(self, seconds: float = 1.0) -> float:
        """The same once it rests, so that work put off until after the answer is counted; waits at most so long."""
        until = time.monotonic() + seconds
        before, now = -1.0, self.cpu_seconds()
        while now - before > 0.001 and time.monotonic() < until:
            self.wait(0.05)
            before, now = now, self.cpu_seconds()
        return now

    def resident_bytes(self) -> int:
        total = 0
        for pid in self._tree():
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        return total

    def connections(self, port: int) -> list[int]:
        """How many connections to the port each process has that the program started."""
        established = _established(port)
        return [sum(inode in established for inode in _sockets(pid)) for pid in self._tree()[1:]]

    def _tree(self) -> list[int]:
        parents = {pid: stat[1] for pid, stat in _all_stats()}
        tree = [self.popen.pid]
        for pid in tree:
            tree += [child for child, parent in parents.items() if int(parent) == pid]
        return tree


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry), _stat(int(entry))


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on; the second may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _established(port: int) -> set[str]:
    """The sockets, by their inodes, of connections that came to the port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {words[9] for words in lines if words[3] == "01" and words[1].endswith(f":{port:04X}")}


def _sockets(pid: int) -> Iterator[str]:
    for entry in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            target = os.readlink(entry)
            if target.startswith("socket:["):
                yield target[8:-1]


def _cpu_seconds(pid: int) -> float:
    try:
        reaped = sum(map(int, _stat(pid)[13:15])) / _TICKS
        # The clock of the process, as clock_getcpuclockid(3) makes it: utime + stime, but not rounded to 10 ms.
        return time.clock_gettime(~pid << 3 | 2) + reaped
    except OSError:
        return 0.0


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """Seconds of one core since boot: not idle, and stolen by the hypervisor."""

    busy: float
    steal: float

    @classmethod
    def read(cls, core: int) -> CoreTimes:
        for line in Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name == f"cpu{core}":
                user, nice, system, _idle, _iowait, irq, softirq, steal = (int(tick) / _TICKS for tick in ticks[:8])
                return cls(user + nice + system + irq + softirq + steal, steal)
        return cls(0.0, 0.0)
