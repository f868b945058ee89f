"""Many clients that keep their connections and ask nothing: what each costs, and what the others notice.

``python -m benches.idle`` (10,000 of them; ``--clients N``): each connects, asks once, and stays. Prints resident
memory before and with them, the latency of one more client before and with them, and what ``/metrics`` says when they
have left. Exit status 1 if one of them got a wrong answer, or if not everything came home.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benches import home
from benches.gateways import Running, own, start
from benches.processes import Cores, pinned
from benches.tool import build, run_clients, start_mock
from benches.workloads import WORKLOADS, Workload

__all__ = ["main"]

ONE: Workload = WORKLOADS["added1"]
REST_SECONDS = 3.0
"""For what has to come home."""


def request(address: str) -> bytes:
    content = [{"role": "user", "content": "[[bench tag=100001]]"}]
    body = json.dumps({"model": "openai/gpt-4o-mini", "messages": content}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def ask_once(client: socket.socket, asked: bytes) -> bool:
    """Whether the answer was whole and right."""
    client.sendall(asked)
    received = b""
    while not received.endswith(b"}"):
        piece = client.recv(65536)
        if not piece:
            return False
        received += piece
    return received.startswith(b"HTTP/1.1 200 ") and b"(answer:100001)" in received


def latency(binary: Path, cores: Cores, running: Running) -> tuple[float, float]:
    """Microseconds of one client at a time, p50 and p99."""
    lane = running.gateway.lane(running.address, ONE)
    (seen,) = run_clients(binary, cores, ONE, [lane], [], 1.5)
    return seen["latency_us"]["p50"], seen["latency_us"]["p99"]


def stay(count: int, binary: Path, cores: Cores, running: Running) -> list[str]:
    """Why it failed, if it did."""
    host, _, port = running.address.rpartition(":")
    alone = latency(binary, cores, running)
    running.process.wait(1)
    before, memory = home.read(running.address), running.process.resident_bytes()
    wrong = 0
    with ExitStack() as clients, pinned(cores.load):
        for _ in range(count):
            client = clients.enter_context(socket.socket())
            client.settimeout(20)
            client.connect((host, int(port)))
            wrong += not ask_once(client, request(running.address))
        running.process.wait(1)
        used = running.process.resident_bytes() - memory
        beside = latency(binary, cores, running)
        idle = home.read(running.address)['bifrost_client_connections{state="idle"}']
    print(f"{idle:,.0f} connections idle, {wrong} wrong answers")
    print(f"resident memory: {memory / 1e6:.1f} MB, {used / 1e6:+.1f} MB with them ({used / count / 1000:.1f} KB each)")
    print(
        f"one more client: p50 {alone[0]:.0f} µs, p99 {alone[1]:.0f} µs before; {beside[0]:.0f}, {beside[1]:.0f} beside"
    )
    running.process.wait(REST_SECONDS)
    away = home.compare(before, home.read(running.address), home.HELD)
    print(f"resident memory when they have left: {running.process.resident_bytes() / 1e6:.1f} MB")
    return [*([f"{wrong} wrong answers"] if wrong else []), *(["fewer idle than came"] if idle < count else []), *away]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benches.idle", description="Clients that stay and ask nothing.")
    parser.add_argument("--clients", type=int, default=10_000)
    options = parser.parse_args(words)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    binary, cores = build(), Cores.choose()
    with tempfile.TemporaryDirectory() as name, ExitStack() as started:
        folder = Path(name)
        mock, address = start_mock(binary, cores, folder)
        started.callback(mock.stop)
        running = start(own("bare", [ONE]), cores.gateway, address, folder)
        started.callback(running.process.stop)
        reasons = stay(options.clients, binary, cores, running)
    print("; ".join(reasons) or "everything came home")
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
