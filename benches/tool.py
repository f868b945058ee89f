"""The Rust half of a bench: built on first use, started as the mock provider, run as the clients."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.processes import Cores, Process, pinned
from benches.workloads import Workload

__all__ = ["Lane", "LoadFailed", "build", "run_clients", "start_mock"]

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "benches" / "load" / "Cargo.toml"
TARGET = ROOT / "target" / "bench-load"
BUILD_SECONDS = 600
STALL_SECONDS = 10


class LoadFailed(Exception):
    """The tool could not be built or did not do its work; says why."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Where a request goes: host:port, and what this gateway calls path and model."""

    address: str
    path: str
    model: str


def build() -> Path:
    """Builds the tool where needed; the path of the binary."""
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", str(MANIFEST)]
    try:
        done = subprocess.run([*command, "--target-dir", str(TARGET)], timeout=BUILD_SECONDS)
    except FileNotFoundError:
        raise LoadFailed("the bench's mock and clients are written in Rust: install cargo, https://rustup.rs") from None
    if done.returncode:
        raise LoadFailed(f"cargo could not build {MANIFEST.relative_to(ROOT)}")
    return TARGET / "release" / "bench-load"


def start_mock(binary: Path, cores: Cores, folder: Path) -> tuple[Process, str]:
    """The mock on the clients' core, and its address."""
    process = Process.start([str(binary), "mock"], cores.load, folder / "mock.log")
    address = process.first_line(seconds=10)
    if not address.startswith("127.0.0.1:"):
        raise LoadFailed(f"the mock did not start: {address}")
    return process, address


def run_clients(
    binary: Path,
    cores: Cores,
    workload: Workload,
    lanes: Sequence[Lane],
    headers: Sequence[str],
    seconds: float,
    midway: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Loads the lanes; what the clients saw, one record per lane (see `Outcome::json` in `load/src/lane.rs`).

    ``midway`` is called when half of the time is over.
    """
    command = [str(binary), "run", *_options(workload, seconds)]
    for lane in lanes:
        command += ["--target", lane.address, "--path", lane.path, "--model", lane.model]
    for header in headers:
        command += ["--header", header]
    limit = workload.lasts(seconds) + STALL_SECONDS + 20
    with pinned(cores.load):
        clients = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with clients:
        with contextlib.suppress(subprocess.TimeoutExpired):
            clients.wait(seconds / 2)
        midway()
        try:
            said, complained = clients.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            clients.kill()
            raise LoadFailed(f"{workload.name}: the clients did not end within {limit:.0f} s") from None
    if clients.returncode:
        raise LoadFailed(f"{workload.name}: {complained.strip()}")
    lanes_seen: list[dict[str, Any]] = json.loads(said)["lanes"]
    return lanes_seen


def _options(workload: Workload, seconds: float) -> list[str]:
    options = {
        "--kind": workload.kind,
        "--size": workload.size,
        "--orders": workload.orders,
        "--clients": workload.clients,
        "--block": workload.block,
        "--seconds": f"{seconds:.3f}",
        "--spread-ms": workload.spread_ms,
        "--leave": workload.leave,
        "--stall": STALL_SECONDS,
    }
    words = [str(word) for pair in options.items() for word in pair]
    if workload.fallback:
        words += ["--fallback", workload.fallback]
    return [*words, "--stream"] if workload.stream else words
