"""N worker processes that accept from the same listening sockets, kept alive, told what to do, and counted together.

Workers are spawned, not forked: no lock, thread or poller of this process comes with them. They inherit the listening
sockets, so that connections wait in one queue, also for a worker that is being started again (with SO_REUSEPORT the
queue of a worker that ends would be reset). A worker whose supervisor is gone sees its control channel end, and drains.
"""

from __future__ import annotations

import logging
import os
import socket as stdlib_socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from bifrost_trio.errors import ConfigError, Problem
from bifrost_trio.server.control import (
    Accepting,
    Control,
    Drain,
    Exposition,
    Failed,
    Gather,
    Kept,
    Message,
    Reload,
    Scrape,
    Snapshot,
    Start,
)
from bifrost_trio.sockets import Shares

__all__ = ["Supervisor", "SupervisorStatistics", "WorkersFailed"]

log = logging.getLogger("bifrost_trio.server")

FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0
"""Seconds before a worker that ended is started again: doubled with each end, up to the longest. Never none: a worker
that cannot start must not take the processor from those that serve."""

STEADY_SECONDS = 30.0
"""A worker that lived for so long was well: the next delay is the first one again."""

GATHER_SECONDS = 0.1
"""How long a scrape waits for the workers' snapshots; the last one of a silent worker stands for it."""

GRACE_SECONDS = 5.0
"""What a worker may take for its clean-up beyond the drain timeout, or after it closed its channel."""

KILLED_SECONDS = 1.0
"""How long the end of a worker that was killed is waited for. That does not depend on anything it does; one that takes
longer is held up in the kernel, and waiting would not help."""


class WorkersFailed(Exception):
    """A worker ended before it had ever accepted, while the others were being started."""


class Ledger(Protocol):
    """`bifrost_trio.telemetry.Ledger`."""

    def take(self, worker: str, data: bytes) -> None: ...
    def missed(self, worker: str) -> None: ...
    def retire(self, worker: str) -> None: ...
    def exposition(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SupervisorStatistics:
    """``accepting`` workers now; how often one was ``started``, the first time included."""

    accepting: int
    started: int


class _Worker:
    """One life of a worker, as the supervisor sees it."""

    __slots__ = ("accepting", "asked", "control", "name", "process")

    def __init__(self, name: str, process: trio.Process, control: Control) -> None:
        self.name = name
        self.process = process
        self.control = control
        self.accepting = False
        self.asked = 0


class Supervisor:
    """Keeps ``count`` workers running. ``orders`` is what each is told at its start; `reload` changes it."""

    def __init__(
        self,
        module: str,
        listeners: Sequence[stdlib_socket.socket],
        environ: Mapping[str, str],
        count: int,
        ledger: Ledger,
        *,
        orders: bytes,
        drain_seconds: float,
    ) -> None:
        """``module`` is run by ``python -m`` with the descriptors of its control channel, of the workers' `Shares`
        (-1 where there are none) and of the listeners."""
        self._module = module
        self._descriptors = [listener.fileno() for listener in listeners]
        self._shares = Shares.create(count)
        self._environ = _for_workers(environ)
        self._names = [str(number) for number in range(count)]
        self._ledger = ledger
        self._orders = self._former_orders = orders
        self.drain_seconds = drain_seconds
        self._workers: dict[str, _Worker] = {}
        self._started = 0
        self._all_accept: Callable[[], None] | None = None
        self._drained = trio.Event()
        self._ending = trio.CancelScope()
        self._gathering = trio.Lock()
        self._round = 0
        self._missing: set[str] = set()
        self._complete = trio.Event()

    async def run(self, all_accept: Callable[[], None]) -> None:
        """Calls ``all_accept`` once, when every worker accepts. Returns when drained and all workers have ended.

        What ends it otherwise kills them. Raises ConfigError or WorkersFailed, in a group, where one cannot start.
        """
        self._all_accept = all_accept
        with self._ending:
            try:
                async with trio.open_nursery() as nursery:
                    for name in self._names:
                        nursery.start_soon(self._keep, name)
            finally:
                if self._shares is not None:
                    self._shares.close()

    @property
    def draining(self) -> bool:
        return self._drained.is_set()

    def drain(self) -> None:
        """Each worker ends when its calls in flight are over; no other one is started."""
        self._drained.set()
        self._ending.deadline = trio.current_time() + self.drain_seconds + GRACE_SECONDS
        self._tell(Drain())

    def reload(self, orders: bytes) -> None:
        self._former_orders, self._orders = self._orders, orders
        self._tell(Reload(orders))

    def _tell(self, message: Message) -> None:
        for worker in self._workers.values():
            worker.control.say(message)

    def statistics(self) -> SupervisorStatistics:
        return SupervisorStatistics(sum(worker.accepting for worker in self._workers.values()), self._started)

    # --- lives ---

    async def _keep(self, name: str) -> None:
        delay = FIRST_DELAY
        while not self._drained.is_set():
            began = trio.current_time()
            await self._live(name)
            if self._drained.is_set():
                return
            if trio.current_time() - began >= STEADY_SECONDS:
                delay = FIRST_DELAY
            log.warning("another worker %s is started in %g s", name, delay)
            with trio.move_on_after(delay):
                await self._drained.wait()
            delay = min(delay * 2, LONGEST_DELAY)

    async def _live(self, name: str) -> None:
        """Starts a worker and attends to it until its process is gone."""
        try:
            worker = await self._spawn(name)
        except OSError as error:
            # No memory, no descriptor: those that serve go on, and it is tried again.
            log.error("worker %s cannot be started: %s", name, error)
            if self._all_accept is not None:
                raise WorkersFailed(f"worker {name} cannot be started") from error
            return
        self._workers[name] = worker
        try:
            await self._attend(worker)
            with trio.move_on_after(GRACE_SECONDS):
                await worker.process.wait()
        finally:
            del self._workers[name]
            worker.control.close()
            if worker.process.returncode is None:
                worker.process.kill()
            with trio.move_on_after(KILLED_SECONDS, shield=True):
                await worker.process.wait()
            self._ledger.retire(name)
            if self._shares is not None:
                self._shares.retire(int(name))
            self._answered(name)
        if not self.draining:
            log.error(
                "worker %s (process %d) ended with status %s", name, worker.process.pid, worker.process.returncode
            )
            if self._all_accept is not None:
                raise WorkersFailed(f"worker {name} ended before all workers were started")

    async def _spawn(self, name: str) -> _Worker:
        ours, theirs = stdlib_socket.socketpair()
        shares = self._shares.descriptor if self._shares is not None else -1
        descriptors = [theirs.fileno(), shares, *self._descriptors]
        try:
            # A process group of its own: a Ctrl-C at the terminal is for the supervisor, which passes it on.
            process = await trio.lowlevel.open_process(
                [sys.executable, "-P", "-m", self._module, *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                pass_fds=[descriptor for descriptor in descriptors if descriptor >= 0],
                env=self._environ,
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._started += 1
        return _Worker(name, process, Control(ours))

    async def _attend(self, worker: _Worker) -> None:
        """Hears what a worker says until it says no more."""
        worker.control.say(Start(worker.name, self._orders))
        if self.draining:
            worker.control.say(Drain())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.control.run)
            while (message := await worker.control.receive()) is not None:
                self._hear(worker, message, nursery)
            nursery.cancel_scope.cancel()

    def _hear(self, worker: _Worker, message: Message, nursery: trio.Nursery) -> None:
        match message:
            case Snapshot(number, data):
                self._ledger.take(worker.name, data)
                if number:
                    worker.asked = 0
                if number == self._round:
                    self._answered(worker.name)
            case Scrape(number):
                nursery.start_soon(self._expose, worker, number)
            case Accepting():
                worker.accepting = True
                log.info("worker %s (process %d) accepts connections", worker.name, worker.process.pid)
                self._count_accepting()
            case Failed(problems):
                said = [Problem(problem, place) for place, problem in problems]
                log.error("worker %s cannot start: %s", worker.name, "; ".join(map(str, said)))
                if self._all_accept is not None:
                    raise ConfigError(said)
            case Kept():
                # One that is started from now on would not get far with the new ones.
                self._orders = self._former_orders
            case _:
                log.error("worker %s said something unheard of", worker.name)

    def _count_accepting(self) -> None:
        if self._all_accept is not None and self.statistics().accepting == len(self._names):
            all_accept, self._all_accept = self._all_accept, None
            all_accept()

    # --- metrics ---

    async def _expose(self, worker: _Worker, number: int) -> None:
        await self.gather()
        try:
            worker.control.say(Exposition(number, self._ledger.exposition()))
        except Exception:
            log.exception("the metrics of all workers could not be written")

    async def gather(self) -> None:
        """Sees to it that the ledger has a new snapshot of every worker that answers within `GATHER_SECONDS`."""
        async with self._gathering:
            self._round += 1
            self._missing = {name for name, worker in self._workers.items() if worker.accepting}
            self._complete = trio.Event()
            for name in self._missing:
                worker = self._workers[name]
                if not worker.asked:
                    # One that has not answered the last time is not asked again: it would have to answer both.
                    worker.asked = self._round
                    worker.control.say(Gather(self._round))
            with trio.move_on_after(GATHER_SECONDS):
                if self._missing:
                    await self._complete.wait()
            for name in self._missing:
                self._ledger.missed(name)
            self._missing = set()

    def _answered(self, name: str) -> None:
        self._missing.discard(name)
        if not self._missing:
            self._complete.set()


def _for_workers(environ: Mapping[str, str]) -> dict[str, str]:
    """They import from where this process does; with ``python -P`` not from wherever it was started, unless it does."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return {**environ, "PYTHONPATH": path}
