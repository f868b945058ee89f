"""`python -m benches`: measures, prints the tables, keeps the raw figures."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benches import gateways, machine, report, tool
from benches.gateways import Gateway, NotStarted
from benches.measure import Bench, Sitting, estimate
from benches.nginx import HOW_TO_INSTALL
from benches.processes import Cores
from benches.workloads import WORKLOADS, Workload

RESULTS = Path(__file__).resolve().parent / "results"
WHOLE_SECONDS = 360.0
QUICK_SECONDS = 60.0
ALL_SECONDS = 900.0
_SHORTEST = 0.1


def main(words: Sequence[str] | None = None) -> int:
    """0: measured; 1: an answer was wrong, or a gateway did not start; 2: nothing could be measured."""
    options = _parser().parse_args(words)
    if not hasattr(os, "sched_setaffinity"):
        return _refuse("this bench pins processes to cores and reads /proc: it needs Linux")
    # A thousand streams are two thousand sockets and more; what is started inherits the limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # What it started is stopped on the way out, also when it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        chosen = _chosen_workloads(options)
        subjects = _chosen_gateways(options, chosen)
        binary = tool.build()
    except (ValueError, tool.LoadFailed) as error:
        return _refuse(str(error))
    return _run(options, binary, chosen, subjects)


def _run(options: argparse.Namespace, binary: Path, chosen: list[Workload], subjects: list[Gateway | None]) -> int:
    rounds = options.rounds or (1 if options.quick else 4)
    usual = ALL_SECONDS if options.all else WHOLE_SECONDS
    limit = options.seconds or (QUICK_SECONDS if options.quick else usual)
    nginx = gateways.plain()
    if nginx is None:
        _say(HOW_TO_INSTALL)
    bench = Bench(binary, options.cores or Cores.choose(), chosen, nginx)
    bench = _fitting(bench, subjects, rounds, limit)
    if bench.cores.shared:
        _say("only one core may be used: the gateway shares it with mock and clients, and figures mean little")
    sittings, broken = _sit(bench, subjects, rounds, limit)
    print(report.markdown(sittings, chosen) or "nothing was measured")
    path = options.output or RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    settings = {"rounds": rounds, "scale": bench.scale, "workloads": [w.name for w in chosen], "broken": broken}
    report.write(path, machine.describe(bench.cores), settings, sittings)
    _say(f"raw figures: {path}")
    wrong = report.faults(point for sitting in sittings for point in sitting.points)
    return 1 if wrong or broken else 0


def _sit(
    bench: Bench, subjects: list[Gateway | None], rounds: int, limit: float
) -> tuple[list[Sitting], dict[str, str]]:
    """All sittings, and why a gateway was given up. In each round another gateway is the first."""
    sittings: list[Sitting] = []
    broken: dict[str, str] = {}
    until = time.monotonic() + limit
    for number in range(rounds):
        shift = number % len(subjects)
        for gateway in subjects[shift:] + subjects[:shift]:
            name = gateway.name if gateway else "direct"
            if name in broken:
                continue
            if time.monotonic() > until:
                _say(f"round {number + 1}: no time left for {name}")
                continue
            _say(f"round {number + 1} of {rounds}: {name}")
            try:
                sittings.append(bench.sit(gateway, number))
            except (NotStarted, tool.LoadFailed) as error:
                broken[name] = str(error)
                _say(f"{name} is given up: {error}")
    return sittings, broken


def _fitting(bench: Bench, subjects: Sequence[Gateway | None], rounds: int, limit: float) -> Bench:
    """The bench with its loads shortened so that the whole run keeps its time."""
    while bench.scale > _SHORTEST and estimate(bench, subjects, rounds) > limit:
        bench = replace(bench, scale=bench.scale - 0.025)
    _say(f"about {estimate(bench, subjects, rounds):.0f} s, each load at {bench.scale:.0%} of its time")
    return bench


def _chosen_workloads(options: argparse.Namespace) -> list[Workload]:
    named = [WORKLOADS[name] for name in options.only if name in WORKLOADS]
    chosen = named or [workload for workload in WORKLOADS.values() if options.all or not workload.later]
    # What takes TLS off before the mock is nginx.
    return [workload for workload in chosen if not workload.tls or gateways.plain()]


def _chosen_gateways(options: argparse.Namespace, chosen: list[Workload]) -> list[Gateway | None]:
    """The mock itself (None), this gateway's profiles, the one beside; nginx where it is named or alone."""
    if bool(options.beside) != bool(options.command):
        raise ValueError("--beside NAME and --command TEXT go together")
    beside = [
        Gateway(options.beside, options.command, model=options.model, headers=tuple(options.header))
        for _ in range(bool(options.beside))
    ]
    known: dict[str, Gateway | None] = {"direct": None, "nginx": gateways.plain()}
    known |= {name: gateways.own(name, chosen) for name in gateways.PROFILES}
    known |= {gateway.name: gateway for gateway in beside}
    unknown = [name for name in options.only if name not in known and name not in WORKLOADS]
    if unknown:
        raise ValueError(f"--only knows {', '.join([*known, *WORKLOADS])}; not {', '.join(unknown)}")
    named = [name for name in options.only if name in known]
    names = named or [name for name in known if name != "nginx"]
    return [known[name] for name in names if name == "direct" or known[name]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benches", description="The gateway under load, beside nginx.")
    parser.add_argument("--quick", action="store_true", help="one round, at most a minute: a look, not a measurement")
    parser.add_argument("--all", action="store_true", help=f"every workload, at most {ALL_SECONDS / 60:.0f} minutes")
    parser.add_argument("--rounds", type=int, metavar="N", help="4, with --quick 1")
    parser.add_argument("--seconds", type=float, metavar="S", help=f"at most; {WHOLE_SECONDS:.0f}, with --quick 60")
    parser.add_argument("--only", type=_names, default=[], metavar="NAME,…", help="gateways or workloads")
    parser.add_argument("--list", action=_List, nargs=0, help="workloads and gateways")
    parser.add_argument("--cores", type=_cores, default=None, metavar="LOAD,GATEWAY", help="numbers of two cores")
    parser.add_argument("--output", type=Path, metavar="FILE", help="of the raw figures; benches/results/…")
    beside = parser.add_argument_group("another gateway beside this one")
    beside.add_argument("--beside", metavar="NAME")
    beside.add_argument("--command", metavar="TEXT", help="{port}, {mock} (its URL) and {folder} are filled in")
    beside.add_argument("--model", default="gpt-4o-mini", help="what chat is asked of there")
    beside.add_argument("--header", action="append", default=[], metavar="'a: b'")
    return parser


class _List(argparse.Action):
    def __call__(self, *_: object) -> None:
        for workload in WORKLOADS.values():
            print(f"{workload.name:20} {workload.title}{' (when named, or with --all)' if workload.later else ''}")
        print(f"gateways: direct, nginx, {', '.join(gateways.PROFILES)}, and one --beside")
        sys.exit(0)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _cores(text: str) -> Cores:
    load, gateway = (int(number) for number in text.split(","))
    return Cores(load, gateway)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _refuse(reason: str) -> int:
    _say(reason)
    return 2


if __name__ == "__main__":
    sys.exit(main())
