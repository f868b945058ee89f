"""Lines on their way out: a bounded queue, written in batches, never by whoever had something to say."""

from __future__ import annotations

import os
import select
import stat
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, TextIO, TypeVar

import trio

__all__ = ["CAPACITY", "LineWriter", "LineWriterStatistics"]

CAPACITY = 10_000
"""Lines that wait: a second of a busy process, some 10 MB. Beyond it a line is dropped and counted."""

TICK = 0.1
"""Seconds for which lines are gathered before they are written."""

SLICE = 50
"""Lines formatted without letting calls run: less than half a millisecond."""

BATCH = 256 * 1024
"""Bytes handed to one write."""

FLUSH_SECONDS = 1.0
"""What the last lines may take when the gateway ends."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LineWriterStatistics:
    """``waiting`` to be written, ``written``, ``dropped`` for want of room, ``lost`` to an error of the stream."""

    waiting: int
    written: int
    dropped: int
    lost: int


class LineWriter(Generic[T]):
    """``render`` makes a line of an item. `run` belongs in a nursery; while it does not run, nothing is written.

    A file descriptor is written to in a thread: a terminal or pipe that is stuck stops that thread and nothing else.
    Trio's threads do not keep the process from ending, and ``os.write`` holds no lock that an exiting interpreter
    would wait for.
    """

    def __init__(self, stream: TextIO, render: Callable[[T], bytes], capacity: int = CAPACITY) -> None:
        self._stream = stream
        self._render = render
        self._capacity = capacity
        self._queue: deque[T] = deque()
        self._batch: list[bytes] = []
        self._wake: trio.Event | None = None
        self._written = 0
        self._dropped = 0
        self._lost = 0

    def put(self, item: T) -> None:
        """Never blocks, never raises."""
        if len(self._queue) >= self._capacity:
            self._dropped += 1
            return
        self._queue.append(item)
        if self._wake is not None:
            self._wake.set()

    def lose(self) -> None:
        """There should have been a line."""
        self._lost += 1

    async def run(self) -> None:
        """Writes until it is cancelled, then what is left."""
        limiter = trio.CapacityLimiter(1)
        try:
            while True:
                await self._something()
                await trio.sleep(TICK)
                await self._write_all(limiter)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + FLUSH_SECONDS):
                await self._write_all(limiter)
            self._dropped += len(self._queue) + len(self._batch)
            self._queue.clear()
            self._batch = []

    async def _something(self) -> None:
        if not self._queue:
            self._wake = trio.Event()
            try:
                await self._wake.wait()
            finally:
                self._wake = None

    async def _write_all(self, limiter: trio.CapacityLimiter) -> None:
        while self._queue or self._batch:
            size = 0
            while self._queue and size < BATCH:
                for _ in range(min(SLICE, len(self._queue))):
                    self._batch.append(self._rendered())
                    size += len(self._batch[-1])
                await trio.lowlevel.checkpoint()
            await self._write(limiter)

    def _rendered(self) -> bytes:
        try:
            return self._render(self._queue.popleft())
        except Exception:
            # A line that cannot be made must not end the log.
            self._lost += 1
            return b""

    async def _write(self, limiter: trio.CapacityLimiter) -> None:
        lines = [line for line in self._batch if line]
        self._batch = []
        # Whoever pops it has it: the thread to write it, or a cancelled caller who came before the thread.
        pending = deque([lines])
        done = False
        try:
            if descriptor_of(self._stream) is None:
                write(self._stream, pending.popleft())
            else:
                work = partial(_write_pending, self._stream, pending)
                await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)
            done = True
        except (OSError, ValueError):
            pass
        finally:
            if done:
                self._written += len(lines)
            elif pending:
                self._batch = pending.popleft()
            else:
                self._lost += len(lines)

    def statistics(self) -> LineWriterStatistics:
        return LineWriterStatistics(len(self._queue), self._written, self._dropped, self._lost)


def descriptor_of(stream: TextIO) -> int | None:
    """None for what only looks like a file: it is in memory and cannot be stuck."""
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def _write_pending(stream: TextIO, pending: deque[list[bytes]]) -> None:
    if pending:
        write(stream, pending.popleft())


def write(stream: TextIO, lines: list[bytes]) -> None:
    """Blocks until all is written. Raises OSError, ValueError for a stream that is closed."""
    descriptor = descriptor_of(stream)
    if descriptor is None:
        stream.write(b"".join(lines).decode("utf-8", "replace"))
        return
    for piece in _pieces(lines, stat.S_ISFIFO(os.fstat(descriptor).st_mode)):
        while piece:
            try:
                piece = piece[os.write(descriptor, piece) :]
            except BlockingIOError:
                # Somebody who shares the descriptor made it non-blocking.
                select.select([], [descriptor], [])


def _pieces(lines: list[bytes], pipe: bool) -> Iterator[bytes]:
    """All at once; into a pipe whole lines up to PIPE_BUF, which do not mix with those of other processes (POSIX)."""
    if not pipe:
        yield b"".join(lines)
        return
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > select.PIPE_BUF:
            yield piece
            piece = b""
        piece += line
    if piece:
        yield piece
