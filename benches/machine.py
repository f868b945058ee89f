"""Where figures come from: without this they are worth nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benches import nginx
from benches.processes import Cores
from benches.tool import ROOT

__all__ = ["describe"]


def describe(cores: Cores) -> dict[str, Any]:
    """Kernel, processor, versions, revision."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "kernel": platform.release(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "cores": {"load": cores.load, "gateway": cores.gateway},
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "nginx": _output([nginx.find() or "nginx", "-v"]),
        "bifrost_trio": _version("bifrost-trio"),
        "trio": _version("trio"),
        "revision": _output(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _output(command: list[str]) -> str | None:
    """What a program says about itself, if it is there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout + done.stderr).strip() or None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
