"""One edge-triggered epoll set per process, looked at and written from in Trio's own turn.

A turn of Trio's begins with its wait for I/O; then each runnable task has a step. The set is waited for in one of two
ways:

- *In Trio's place*, if Trio runs with a `PollingClock`, as under ``serve``: asked how long Trio may sleep, the poller
  sleeps itself, on its set, in which Trio's own stands. It returns to Trio when a task is to run or Trio's set has
  something; bytes that are only passed on (`Socket.pull`) it hands on meanwhile, and no turn begins for them.
- *Beside Trio*, under any other ASGI server and in a program of somebody else's: the set stands among what Trio waits
  for, and a task (`run`) puts it there again after each turn. An instrument of Trio's asks it when Trio has waited.

Either way who waits for bytes is rescheduled before the tasks of the turn have their steps. Before the next wait goes
out what they have written: each write by itself wakes a peer that had gone to sleep, and where that is on the same
machine the writer pays for it. Written one after the other they find it awake. Nothing is held back for longer than the
turn, no timer is involved, and with few at once each goes out at once.

Not chosen: `trio.lowlevel.wait_readable` for each read (two system calls a read, against one for all that became
readable together), and a task that polls (one more step of Trio's loop between the bytes and their reader). Where
epoll does not exist, `wait_readable` serves (`Socket` asks `edge_triggered`), a hang-up is seen on the next write, and
writes go out at once.

The rules that keep this sound:

1. Only the function that set ``waiter`` to None in the same synchronous step may reschedule: poller, sweep, close and
   ``abort_fn`` all do. (A second reschedule of one task ends the whole run.)
2. RDHUP, HUP and ERR set a sticky ``hangup``; while it is set the socket stays ready until a read said the end.
3. ``ready`` is cleared before a read and set again after one that filled the buffer.
4. Closing: send what is unsent, wake the waiter, `notify_closing`, unregister, leave the table, then close.
5. One reader per socket.
6. No await and no exception between ``poll()`` and the end of its batch: that makes reuse of descriptors safe. Trio
   drops an instrument that raises, and nobody would ever be woken again: so what goes wrong there ends the run.
7. After 16 reads without a wait, one checkpoint: otherwise there is neither fairness nor cancellation.
8. The set is made after the worker process has started, and is closed with its run.
9. Bytes go out in the order in which they were written: who sends at once sends what is unsent first.
10. Whoever makes a task run while the poller may be waiting in Trio's place sets ``woke``.
"""

from __future__ import annotations

import select
import socket as stdlib_socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import outcome
import trio
from trio.lowlevel import reschedule, wait_readable

from bifrost_trio.sockets.clock import PollingClock, find_trios_set
from bifrost_trio.sockets.deadlines import Deadlines
from bifrost_trio.sockets.flushing import Flushing, remove

if TYPE_CHECKING:
    from bifrost_trio.sockets.stream import Socket

__all__ = ["WOKEN", "Poller", "PollerStatistics"]

BATCH = 512
"""Events taken from the kernel at once; what is left keeps the set readable."""

LONGEST_WAIT = 86_400.0
"""Seconds: more than the kernel takes is not asked of it."""

WOKEN_AT_ONCE, WOKEN_BESIDE_STREAMS = 64, 16
"""Tasks that are woken in one turn, and in one in which something was passed on. The others are woken in the turns that
follow, and in each of these what is only passed on goes first: streams that flow do not wait for a rush of calls."""

SLEPT_SECONDS = 20e-6
"""A look that took longer waited for what it found; one that did not found what had come before."""

CROWD = 4
"""Sockets that became readable together from which on writing waits for the end of the turn. With fewer, each peer has
its bytes the sooner the better."""

READ = READABLE = ROOM = GONE = 0
if sys.platform == "linux":
    READ = select.EPOLLIN
    READABLE = READ | select.EPOLLRDHUP | select.EPOLLET
    ROOM = select.EPOLLOUT
    GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class _Woken(outcome.Outcome[None]):
    """What a wait gives to all who were woken: a new `outcome.Value` for each would be made for nothing."""

    __slots__ = ()

    def unwrap(self) -> None:
        return None

    def send(self, gen: Any) -> Any:
        return gen.send(None)

    async def asend(self, agen: Any) -> Any:
        return await agen.asend(None)


WOKEN = _Woken()


@dataclass(frozen=True, slots=True)
class PollerStatistics:
    """``sockets`` in the set, ``waiting`` for bytes, ``buckets`` of deadlines."""

    sockets: int
    waiting: int
    buckets: int


class Poller(trio.abc.Instrument):
    """The epoll set and the deadlines. `run` belongs into a nursery that lives as long as any socket."""

    def __init__(self) -> None:
        self.edge_triggered = READABLE != 0
        self.sockets: dict[int, Socket] = {}
        self._listeners: dict[int, Callable[[float], None]] = {}
        self.clock: Callable[[], float] = trio.current_time
        self.on_machine_time = False
        """Whether ``clock`` is `time.perf_counter`, and not one with an offset, as Trio's own, or of a test."""
        self.deadlines = Deadlines()
        self.crowded = False
        """Whether so many have a step in this turn that what they write waits for its end."""
        self.holds_back = False
        """Whether what was written last in this turn waits for its end."""
        self.came = 0.0
        """When that came which was found last. Of what the gateway was too busy to see coming it is only known that it
        came since the last look: it is taken to have come in the middle."""
        self._looked_at = 0.0
        self.asked_at = 0.0
        """When Trio began to wait, where it does so itself."""
        self.woke = False
        """Whether a task was made to run since `wait` began."""
        self.written: list[Socket] = []
        """Sockets with something to send at the end of this turn."""
        self.on_sent: Callable[[float, float], None] | None = None
        """Is told from when until when the sockets in ``written`` were written to."""
        self._later: list[Socket] = []
        """Sockets whose readers are to be woken in one of the next turns."""
        self._epoll = select.epoll() if self.edge_triggered else None
        self._in_place = False
        """Whether it waits in Trio's place."""
        self._looked = False
        """Whether the set was looked at in this turn, in Trio's place."""
        self._failed: Exception | None = None
        self._watching: trio.CancelScope | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        # The clock itself: trio.current_time looks for it anew each time, which costs more than the time.
        clock = trio.lowlevel.current_clock()
        self.clock = clock.current_time
        self.on_machine_time = isinstance(clock, PollingClock)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.deadlines.run, self.clock)
            try:
                if self._epoll is None:
                    task_status.started()
                    await trio.sleep_forever()
                else:
                    trios = None
                    if isinstance(clock, PollingClock) and clock.wait is None:
                        trios = await find_trios_set()
                    task_status.started()
                    if isinstance(clock, PollingClock) and trios is not None:
                        self._epoll.register(trios, READ)
                        await self._wait_for_trio(clock)
                    else:
                        await self._watch(self._epoll)
            finally:
                if self._epoll is not None:
                    trio.lowlevel.notify_closing(self._epoll.fileno())
                    self._epoll.close()
                    self._epoll = None

    async def _wait_for_trio(self, clock: PollingClock) -> None:
        with self._looking():
            clock.wait = self.wait
            self._in_place = True
            try:
                await trio.sleep_forever()
            finally:
                self._in_place = False
                clock.wait = None

    async def _watch(self, epoll: select.epoll) -> None:
        flushing = Flushing(self)
        trio.lowlevel.add_instrument(flushing)
        try:
            with self._looking():
                while True:
                    await wait_readable(epoll.fileno())
        finally:
            remove(flushing)

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Within the block the set is looked at in every turn. Raises what went wrong with that."""
        trio.lowlevel.add_instrument(self)
        try:
            with trio.CancelScope() as self._watching:
                yield
        finally:
            remove(self)
            if self._failed is None:
                self.flush()
            else:
                self._tell_sent(self.clock())
            self.crowded = self.holds_back = False
        if self._failed is not None:
            raise self._failed

    # --- a turn ---

    def wait(self, timeout: float) -> float:
        """In Trio's place: until a task is to run, something happens that is Trio's, or the time is over."""
        epoll = self._epoll
        assert epoll is not None
        self._looked = True
        self.woke = False
        over = self.clock() + timeout
        try:
            while True:
                self.flush()
                if self.woke:
                    return 0.0
                before = self.clock()
                timeout = over - before
                asleep = timeout > 0.0 and not self._later
                batch = epoll.poll(min(timeout, LONGEST_WAIT) if asleep else 0.0, BATCH)
                now = self.clock()
                if batch or self._later:
                    self._look(batch, before, now)
                else:
                    self._looked_at = now
                if self.woke or not batch or now >= over:
                    return 0.0
        except Exception as error:
            self.fail(error)
            return 0.0

    def after_io_wait(self, timeout: float) -> None:
        if self._looked:
            self._looked = False
            return
        epoll = self._epoll
        if epoll is None:
            return
        try:
            self.flush()
            batch = epoll.poll(0, BATCH)
            now = self.clock()
            self._look(batch, self.asked_at or now, now)
        except Exception as error:
            self.fail(error)
            raise

    def flush(self) -> None:
        """Sends what was written for the end of the turn."""
        if self.written:
            written, self.written = self.written, []
            clock = self.clock
            began = clock()
            for socket in written:
                socket.flush()
                if socket.waiter is not None and socket.waits_since > self._looked_at:
                    # It has come to wait in this turn, for the answer to this: from now on.
                    socket.waits_since = clock()
            self._tell_sent(began)
        elif self.crowded:
            self._tell_sent(self.clock())

    def _tell_sent(self, began: float) -> None:
        if self.on_sent is not None:
            self.on_sent(began, self.clock())

    def _look(self, batch: list[tuple[int, int]], before: float, now: float) -> None:
        """What is only passed on is passed on, and those are woken who wait for the rest.

        ``before`` the kernel was asked, which answered ``now``.
        """
        self.came = came = now if now - before > SLEPT_SECONDS else (self._looked_at + before) / 2
        self._looked_at = now
        readers, self._later = self._later, []
        self.crowded = len(batch) + len(readers) >= CROWD
        self.holds_back = False
        passed_on = False
        sockets = self.sockets
        for fd, events in batch:
            socket = sockets.get(fd)
            if socket is None:
                self.woke = True
                if fd in self._listeners:
                    self._listeners[fd](now)
                continue
            if events != READ and self._only_room(socket, events):
                continue
            left_over = socket.ready
            socket.ready = True
            socket.seen_at = came
            if socket.waiter is None:
                continue
            if socket.take is not None:
                passed_on = True
                if not socket.pump(now):
                    # It was given a piece that it does not hand on, and has to run before the next one comes.
                    socket.wake(WOKEN)
                continue
            if left_over:
                # It stands among those already who are to be woken.
                continue
            readers.append(socket)
        if readers:
            self._wake(readers, WOKEN_BESIDE_STREAMS if passed_on else WOKEN_AT_ONCE)

    def _only_room(self, socket: Socket, events: int) -> bool:
        """Whether all that is new is room for what was written; tells of a hang-up."""
        if events & ROOM:
            socket.flush()
        if events & GONE:
            socket.hangup = True
            if socket.waiter is None and socket.on_hangup is not None:
                self.woke = True
                socket.on_hangup()
        return events == ROOM

    def _wake(self, readers: list[Socket], most: int) -> None:
        self.woke = True
        if not self._in_place:
            # Trio would not know that there are more, and sleep.
            most = len(readers)
        for socket in readers[:most]:
            waiter = socket.waiter
            # One that was left over may have been closed or cancelled meanwhile, and may wait for something else again.
            if waiter is not None and socket.ready:
                socket.waiter = None
                reschedule(waiter, WOKEN)
        self._later = readers[most:]

    def fail(self, error: Exception) -> None:
        """Trio drops an instrument that raises, and takes no error from a clock: the run ends with this one."""
        self._failed = error
        self.woke = True
        if self._watching is not None:
            self._watching.cancel()

    # --- the set ---

    def register(self, socket: Socket) -> None:
        if self._epoll is not None:
            self.sockets[socket.fd] = socket
            self._epoll.register(socket.fd, READABLE)

    @contextmanager
    def listening(self, listener: stdlib_socket.socket, take: Callable[[float], None]) -> Iterator[None]:
        """Within the block ``take`` is called, with the time, in each turn in which connections wait to be accepted.

        Level-triggered: what one call leaves in the queue is offered again.
        """
        fd = listener.fileno()
        assert self._epoll is not None
        self._epoll.register(fd, READ)
        self._listeners[fd] = take
        try:
            yield
        finally:
            if listener.fileno() == fd:
                self.unlisten(listener)

    def unlisten(self, listener: stdlib_socket.socket) -> None:
        """Before a listener is closed: one that other processes hold as well would stay in the set."""
        fd = listener.fileno()
        if self._listeners.pop(fd, None) is not None and self._epoll is not None:
            self._epoll.unregister(fd)

    def watch_room(self, socket: Socket, wanted: bool) -> None:
        """Whether the socket is to be flushed when the kernel has room again."""
        if self._epoll is not None:
            self._epoll.modify(socket.fd, READABLE | ROOM if wanted else READABLE)

    def unregister(self, socket: Socket) -> None:
        if self._epoll is not None and self.sockets.pop(socket.fd, None) is not None:
            self._epoll.unregister(socket.fd)
        self.deadlines.forget(socket)

    def statistics(self) -> PollerStatistics:
        waiting = sum(1 for socket in self.sockets.values() if socket.waiter is not None)
        return PollerStatistics(len(self.sockets), waiting, len(self.deadlines))
