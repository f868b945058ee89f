"""Many mixed calls with clients that leave: does memory stay where it is, and does everything come home?

``python -m benches.soak`` (200,000 calls; ``--calls N``). Chats, streams, translated calls both ways and fallbacks take
turns; of every hundred clients five leave within their answer. Prints resident memory and tasks after each turn,
compares the mean of memory in the second half of the calls with that in the first, and what ``/metrics`` says a moment
after the last turn with what it said before the first (`benches.home`: tasks, sockets, connections of clients and to
providers, workers, open calls, begun and settled). Exit status 1, with the reasons: an answer was wrong, memory moved
by more than `TOLERANCE`, something did not come home, or a metric that is looked at is not there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from benches import home
from benches.gateways import Running, own, start
from benches.processes import Cores
from benches.tool import build, run_clients, start_mock
from benches.workloads import WORKLOADS, Workload

__all__ = ["Turn", "main", "moved"]

TOLERANCE = 0.05
"""How far the mean of the second half may lie from that of the first."""

WARM_UP = 0.1
"""Share of the calls that come first and are not looked at: pools, caches and the allocator fill up."""

TURN_SECONDS = 1.5
FEWEST = 50_000
NAMES = ("chat1k", "stream64", "to_anthropic", "to_openai_stream", "to_anthropic_stream", "messages1k", "embed1k")


@dataclass(frozen=True, slots=True)
class Turn:
    """After it: calls so far, wrong answers so far, those that left so far, resident bytes, Trio tasks."""

    calls: int
    wrong: int
    left: int
    resident: int
    tasks: float


def mixed() -> list[Workload]:
    """The workloads that take turns, each with clients that leave."""
    turns = [replace(WORKLOADS[name], leave=5, clients=32, seconds=TURN_SECONDS) for name in NAMES]
    slow = [replace(turn, orders=f"{turn.orders} delay_us=2000".strip()) if not turn.stream else turn for turn in turns]
    return [*slow, replace(WORKLOADS["fallback1"], leave=5, clients=32, seconds=TURN_SECONDS)]


def soak(calls: int) -> list[str]:
    """Runs the turns until so many calls were made; why it failed, if it did. Raises home.Absent."""
    binary, cores = build(), Cores.choose()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mock, address = start_mock(binary, cores, folder)
        try:
            running = start(own("plugin", mixed()), cores.gateway, address, folder)
            try:
                return _soak(calls, binary, cores, running)
            finally:
                running.process.stop()
        finally:
            mock.stop()


def _soak(calls: int, binary: Path, cores: Cores, running: Running) -> list[str]:
    running.process.wait(1)
    before = home.read(running.address)
    turns = list(_turns(calls, binary, cores, running))
    reasons = moved(turns)
    if turns[-1].wrong:
        reasons.append(f"{turns[-1].wrong} answers were wrong")
    if not turns[-1].left:
        reasons.append("no client left: nothing was shown")
    return reasons + _away(running, before)


def _away(running: Running, before: dict[str, float]) -> list[str]:
    """What did not come home within its time. Raises home.Absent."""
    away, rested = [], 0.0
    for patience in sorted({held.patience for held in home.HELD}):
        running.process.wait(patience - rested)
        rested = patience
        after = home.read(running.address)
        away += home.compare(before, after, [held for held in home.HELD if held.patience == patience])
    return away


def _turns(calls: int, binary: Path, cores: Cores, running: Running) -> Iterator[Turn]:
    done = wrong = left = 0
    for workload in cycle(mixed()):
        lane = running.gateway.lane(running.address, workload)
        [seen] = run_clients(binary, cores, workload, [lane], [], TURN_SECONDS)
        done += seen["valid"] + seen["left"] + seen["wrong"]
        wrong, left = wrong + seen["wrong"], left + seen["left"]
        tasks = home.HELD[0].of(home.read(running.address))
        turn = Turn(done, wrong, left, running.process.resident_bytes(), tasks)
        _say(turn, workload)
        yield turn
        if done >= calls:
            break


def _say(turn: Turn, workload: Workload) -> None:
    counts = f"{turn.calls:>9,} calls  {turn.left:>7,} left  {turn.wrong} wrong"
    print(f"{counts}  {turn.resident / 2**20:6.1f} MB  {turn.tasks:>4.0f} tasks  {workload.name}", flush=True)


def moved(turns: Sequence[Turn]) -> list[str]:
    """Prints how far resident memory moved between the halves; a reason if that is too far."""
    counted = [turn for turn in turns if turn.calls > WARM_UP * turns[-1].calls]
    middle = turns[-1].calls * (1 + WARM_UP) / 2
    halves = [[t.resident for t in counted if (t.calls <= middle) is first] for first in (True, False)]
    if not all(halves):
        return ["too few turns to compare memory"]
    first, second = (sum(half) / len(half) for half in halves)
    share = second / first - 1
    means = f"{first / 2**20:.1f} MB, then {second / 2**20:.1f} MB"
    line = f"resident memory: {means} ({share:+.1%}; at most {TOLERANCE:.0%})"
    print(line)
    return [line] if abs(share) > TOLERANCE else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200_000)
    calls = parser.parse_args().calls
    if calls < FEWEST:
        parser.error(f"fewer than {FEWEST:,} calls say nothing about memory")
    try:
        reasons = soak(calls)
    except home.Absent as error:
        reasons = [str(error)]
    print("\n".join(["FAILED", *reasons]) if reasons else "everything came home")
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
