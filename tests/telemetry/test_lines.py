"""Lines on their way out: in batches, bounded, and never in anybody's way."""

from __future__ import annotations

import io
import os
import select
from collections.abc import Iterator
from typing import TextIO

import pytest
import trio
import trio.testing

from bifrost_trio.telemetry.lines import TICK, LineWriter


class Memory(io.StringIO):
    """Remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def encoded(line: str) -> bytes:
    return f"{line}\n".encode()


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
    os.close(reading)


async def test_what_comes_within_a_tick_is_one_write(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stream = Memory()
    writer = LineWriter(stream, encoded)
    nursery.start_soon(writer.run)
    await trio.testing.wait_all_tasks_blocked()
    for line in "abc":
        writer.put(line)
    assert stream.writes == []
    await trio.sleep(2 * TICK)
    assert stream.writes == ["a\nb\nc\n"]
    await trio.sleep(60)
    writer.put("d")
    await trio.sleep(2 * TICK)
    assert stream.writes == ["a\nb\nc\n", "d\n"]
    assert writer.statistics().written == 4


async def test_the_rest_is_written_at_the_end() -> None:
    stream = Memory()
    writer = LineWriter(stream, encoded)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(500):
            writer.put(str(number))
        nursery.cancel_scope.cancel()
    assert stream.getvalue().split() == [str(number) for number in range(500)]


async def test_beyond_the_capacity_lines_are_dropped_and_counted() -> None:
    writer = LineWriter(Memory(), encoded, capacity=3)
    for line in "abcde":
        writer.put(line)
    assert writer.statistics().waiting == 3
    assert writer.statistics().dropped == 2


async def test_an_error_of_the_stream_is_counted_and_survived(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    writer = LineWriter(Broken(), encoded)
    nursery.start_soon(writer.run)
    for _ in range(2):
        writer.put("a")
        await trio.sleep(3 * TICK)
    assert writer.statistics().lost == 2


async def test_a_line_that_cannot_be_made_costs_no_other(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stream = Memory()
    writer: LineWriter[int] = LineWriter(stream, lambda divisor: encoded(str(12 / divisor)))
    nursery.start_soon(writer.run)
    for divisor in (3, 0, 4):
        writer.put(divisor)
    await trio.sleep(3 * TICK)
    assert stream.getvalue() == "4.0\n3.0\n"
    assert writer.statistics().lost == 1


@pytest.mark.real_clock
async def test_a_stuck_pipe_stops_nobody(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, encoded, capacity=100)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for _ in range(6):
            for _ in range(100):
                writer.put("x" * 2000)
            await trio.sleep(TICK)
        assert writer.statistics().dropped > 0
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began < 5
    facts = writer.statistics()
    assert facts.waiting == 0
    assert facts.written + facts.dropped + facts.lost == 600
    while select.select([reading], [], [], 0.2)[0]:
        os.read(reading, 1 << 20)


@pytest.mark.real_clock
async def test_lines_in_a_pipe_are_whole(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    lines = [str(number) * (1 + number % 900) for number in range(100, 400)] + ["y" * 3 * select.PIPE_BUF]
    received = b""
    writer = LineWriter(stream, encoded)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for line in lines:
            writer.put(line)
        with trio.fail_after(10):
            while received.count(b"\n") < len(lines):
                await trio.lowlevel.wait_readable(reading)
                received += os.read(reading, 1 << 16)
            # The thread has written, and its end is on its way to the loop.
            await trio.sleep(2 * TICK)
        nursery.cancel_scope.cancel()
    assert received.decode().splitlines() == lines
    assert writer.statistics().written == len(lines)


@pytest.mark.real_clock
async def test_a_descriptor_that_does_not_block_is_waited_for(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    writer = LineWriter(stream, encoded)
    received = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.put("x" * 300_000)
        with trio.fail_after(10):
            while received < 300_001:
                await trio.lowlevel.wait_readable(reading)
                received += len(os.read(reading, 1 << 16))
        nursery.cancel_scope.cancel()
    assert received == 300_001
