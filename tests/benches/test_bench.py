"""The bench answers right: what is valid counts, what is wrong is said, what is missing is said."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benches"


def _package() -> ModuleType:
    """The package `benches`, without the repository's root on sys.path: that would hide an installed wheel."""
    where = importlib.util.spec_from_file_location(
        "benches", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert where is not None
    assert where.loader is not None
    package = importlib.util.module_from_spec(where)
    sys.modules["benches"] = package
    where.loader.exec_module(package)
    return package


_package()

from benches import budget, gateways, home, idle, packets, processes, report, soak  # noqa: E402
from benches.measure import Loaded, Point, Sitting  # noqa: E402
from benches.workloads import WORKLOADS  # noqa: E402

pytestmark = [
    pytest.mark.real_clock,
    pytest.mark.skipif(sys.platform != "linux", reason="the bench reads /proc"),
]
needs_tool = [
    # The first one builds the tool.
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("cargo") is None, reason="the bench's tool is built with cargo, which is not here"),
]

WRONG_GATEWAY = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *words):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def bench(folder: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Runs the harness as a user does; what it said and the raw figures."""
    output = folder / "figures.json"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "benches", "--rounds", "1", "--seconds", "2", "--output", str(output), *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    return done, json.loads(output.read_text()) if output.exists() else {}


class TestRuns:
    pytestmark = needs_tool

    def test_the_provider_itself_answers_every_kind_right(self, tmp_path: Path) -> None:
        done, figures = bench(tmp_path, "--only", "direct,chat1k,chat100k,stream64,embed1k,messages1k,to_openai_stream")
        assert done.returncode == 0, done.stderr
        loads = [point["load"]["seen"] for point in figures["sittings"][0]["points"]]
        assert len(loads) == 6
        assert all(seen["valid"] > 0 and seen["wrong"] == 0 for seen in loads)
        assert figures["machine"]["kernel"]

    def test_clients_that_stay_come_home(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert idle.main(["--clients", "40"]) == 0
        assert "40 connections idle, 0 wrong answers" in capfd.readouterr().out

    def test_a_gateway_beside_is_compared(self, tmp_path: Path) -> None:
        mock = ROOT / "target" / "bench-load" / "release" / "bench-load"
        command = f"{mock} mock --port {{port}}"
        done, figures = bench(tmp_path, "--only", "chat1k,added1,same", "--beside", "same", "--command", command)
        assert done.returncode == 0, done.stderr
        chat, added = figures["sittings"][0]["points"]
        assert chat["load"]["cpu"] > 0
        assert (chat["ratio"] is None) == (gateways.plain() is None)
        assert added["direct"]["seen"]["latency_us"]["p50"] > 0

    def test_wrong_answers_void_the_point_and_fail_the_run(self, tmp_path: Path) -> None:
        script = tmp_path / "wrong.py"
        script.write_text(WRONG_GATEWAY)
        command = f"{sys.executable} {script} {{port}}"
        done, figures = bench(tmp_path, "--only", "chat1k,wrong", "--beside", "wrong", "--command", command)
        assert done.returncode == 1
        assert "VOID, wrong answers: wrong, chat 1 KB" in done.stdout
        assert "not the answer" in done.stdout
        assert figures["sittings"][0]["points"][0]["ratio"] is None

    def test_a_gateway_that_does_not_start_is_named_with_its_words(self, tmp_path: Path) -> None:
        command = f"{sys.executable} -c 'raise SystemExit(\"no licence\")'"
        done, _ = bench(tmp_path, "--only", "chat1k,gone", "--beside", "gone", "--command", command)
        assert done.returncode == 1
        assert "gone is given up: gone: ended with status 1\nno licence" in done.stderr


def test_unknown_names_are_refused_with_those_that_exist(tmp_path: Path) -> None:
    done, _ = bench(tmp_path, "--only", "chat2k")
    assert done.returncode == 2
    assert "chat1k" in done.stderr
    assert "not chat2k" in done.stderr


def loaded(cpu: float | None, valid: int = 1000, wrong: int = 0, seconds: float = 1.0) -> Loaded:
    samples = {"n": valid, "p50": 100.0, "p90": 100.0, "p99": 100.0, "p999": 100.0, "max": 100.0, "mean": 100.0}
    seen = {"target": "127.0.0.1:1", "seconds": seconds, "valid": valid, "wrong": wrong, "left": 0, "connections": 64}
    told = ["not the answer"] if wrong else []
    return Loaded({**seen, "told": told, "latency_us": samples, "first_chunk_us": None, "chunk_delay_us": None}, cpu)


def sittings(*points: Point) -> list[Sitting]:
    return [Sitting(point.gateway, point.round, [point], 0.5, 10_000_000, 20_000_000) for point in points]


class TestReport:
    def test_the_ratio_is_to_nginx_around_and_its_median_counts(self) -> None:
        points = [
            Point("bare", "chat1k", n, loaded(cpu), loaded(0.02), loaded(0.02))
            for n, cpu in enumerate([0.04, 0.1, 0.06])
        ]
        assert [point.ratio for point in points] == pytest.approx([2.0, 5.0, 3.0])
        text = report.markdown(sittings(*points), [WORKLOADS["chat1k"]])
        assert "3.00 (2.00–5.00)" in text
        assert "20.0 µs" in text

    def test_a_point_with_a_wrong_answer_is_marked_and_not_averaged(self) -> None:
        points = [
            Point("bare", "chat1k", 0, loaded(0.04), loaded(0.02), loaded(0.02)),
            Point("bare", "chat1k", 1, loaded(9.9, wrong=1), loaded(0.02), loaded(0.02)),
        ]
        text = report.markdown(sittings(*points), [WORKLOADS["chat1k"]])
        assert "| 2.00" in text
        assert "VOID, wrong answers: bare, chat 1 KB, round 2: 1 wrong; not the answer" in text
        assert len(report.faults(points)) == 1

    def test_where_the_clients_were_the_limit_only_cpu_stands(self) -> None:
        points = [Point("bare", "chat1k", 0, loaded(0.5), loaded(0.25), loaded(0.25))]
        text = report.markdown(sittings(*points), [WORKLOADS["chat1k"]])
        assert points[0].starved(WORKLOADS["chat1k"])
        row = next(line for line in text.splitlines() if line.startswith("| chat 1 KB | bare"))
        assert "| void " in row
        assert "500.0 µs" in row
        assert "those requests/s are void, CPU a request stands): bare, chat 1 KB" in text

    def test_what_costs_more_is_told_beside_what_costs_less(self) -> None:
        """Round by round, each first divided by nginx: the machine may have been slower in between."""
        points = [
            Point("bare", "chat1k", 0, loaded(0.04), loaded(0.02), loaded(0.02)),
            Point("bare", "tls1k", 0, loaded(0.15), loaded(0.05), loaded(0.05)),
            Point("bare", "tls1k", 1, loaded(9.0), loaded(0.02), loaded(0.02)),
        ]
        text = report.markdown(sittings(*points), [WORKLOADS["chat1k"], WORKLOADS["tls1k"]])
        row = next(line for line in text.splitlines() if line.endswith("| 1.50 |"))
        assert row.startswith("| chat 1 KB, TLS to the provider | bare | chat 1 KB |")

    def test_two_workers_are_compared_with_one(self) -> None:
        two = loaded(1.4, valid=1500)
        points = [
            Point("bare", "chat1k", 0, loaded(0.1)),
            Point("workers2", "chat1k", 0, Loaded({**two.seen, "connections_of_workers": [34, 30]}, two.cpu)),
        ]
        text = report.markdown(sittings(*points), [WORKLOADS["chat1k"]])
        row = next(line for line in text.splitlines() if line.startswith("| chat 1 KB | 1.50"))
        assert [cell.strip() for cell in row.split("|")[3:5]] == ["30%", "53%"]

    def test_the_delay_of_chunks_is_told_less_the_direct_ways(self) -> None:
        def delayed(p99: float) -> Loaded:
            some = loaded(0.1)
            return Loaded({**some.seen, "chunk_delay_us": {**some.seen["latency_us"], "p99": p99}}, some.cpu)

        points = [Point("direct", "paced1000", 0, delayed(300.0)), Point("bare", "paced1000", 0, delayed(900.0))]
        text = report.markdown(sittings(*points), [WORKLOADS["paced1000"]])
        row = next(
            line for line in text.splitlines() if line.startswith("| 1,000 streams 64 × 20 ms | bare   | 100.0 µs")
        )
        assert "| 600.0 µs " in row


class TestProcesses:
    def test_cpu_is_that_of_the_process_and_its_children(self, tmp_path: Path) -> None:
        burn = "import time\nwhile time.process_time() < 0.2: pass\n"
        child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\n"
        rest = "import signal\nprint('done', flush=True)\nsignal.pause()"
        command = [sys.executable, "-c", child + burn + rest]
        process = processes.Process.start(command, min(os.sched_getaffinity(0)), tmp_path / "log")
        try:
            assert process.first_line(15) == "done"
            assert 0.35 < process.cpu_seconds() < 5
            assert process.resident_bytes() > 1_000_000
        finally:
            process.stop()
        assert process.popen.returncode is not None

    def test_the_core_of_who_starts_is_given_back(self) -> None:
        before = os.sched_getaffinity(0)
        with processes.pinned(min(before)):
            assert os.sched_getaffinity(0) == {min(before)}
        assert os.sched_getaffinity(0) == before


METRICS = """# TYPE bifrost_tasks gauge
bifrost_tasks 11.0
bifrost_poller_sockets 3.0
bifrost_poller_waiting 0.0
bifrost_upstream_connections{origin="127.0.0.1:1",provider="openai",state="idle"} 1.0
bifrost_upstream_connections{origin="127.0.0.1:1",provider="backup",state="idle"} 1.0
bifrost_upstream_connections{origin="127.0.0.1:1",provider="openai",state="busy"} 0.0
bifrost_client_connections{state="idle"} 0.0
bifrost_client_connections{state="busy"} 1.0
bifrost_workers_busy{provider="openai"} 0.0
bifrost_workers_waiting{provider="openai"} 0.0
bifrost_active_requests 0.0
bifrost_body_bytes 0.0
bifrost_begun_requests_total 7.0
bifrost_settled_requests_total 7.0
bifrost_settle_failures_total 0.0
"""


class TestSoak:
    def test_more_idle_connections_to_providers_are_home(self) -> None:
        idle = 'provider="openai",state="idle"} '
        after = METRICS.replace(f"{idle}1.0", f"{idle}31.0").replace("poller_sockets 3.0", "poller_sockets 33.0")
        assert home.compare(home.totals(METRICS), home.totals(after), home.HELD) == []

    @pytest.mark.parametrize(
        ("was", "is_now", "named"),
        [
            ("bifrost_tasks 11.0", "bifrost_tasks 12.0", "tasks"),
            ("bifrost_poller_sockets 3.0", "bifrost_poller_sockets 4.0", "sockets of the poller"),
            ('{state="idle"} 0.0', '{state="idle"} 1.0', "client connections"),
            ('state="busy"} 0.0', 'state="busy"} 1.0', "upstream connections"),
            ('bifrost_workers_busy{provider="openai"} 0.0', 'bifrost_workers_busy{provider="openai"} 1.0', "workers"),
            ("bifrost_settled_requests_total 7.0", "bifrost_settled_requests_total 6.0", "begun, not settled"),
        ],
    )
    def test_what_is_away_is_named(self, was: str, is_now: str, named: str) -> None:
        assert was in METRICS
        [line] = home.compare(home.totals(METRICS), home.totals(METRICS.replace(was, is_now)), home.HELD)
        assert line.startswith(named)

    @pytest.mark.parametrize("name", [name for held in home.HELD for name in (*held.metrics, *held.less)])
    def test_a_metric_that_is_gone_is_no_zero(self, name: str) -> None:
        found = home.totals(METRICS)
        del found[name]
        with pytest.raises(home.Absent, match="/metrics does not have"):
            home.compare(found, found, home.HELD)

    @pytest.mark.parametrize(("second", "reasons"), [(104, 0), (106, 1), (94, 1)])
    def test_memory_that_moved_is_a_reason(self, second: int, reasons: int) -> None:
        turns = [soak.Turn(n * 1000, 0, 0, (100 if n <= 55 else second) << 20, 11) for n in range(1, 101)]
        assert len(soak.moved(turns)) == reasons


class TestBudget:
    def test_the_newest_run_with_right_answers_gives_the_whole(self, tmp_path: Path) -> None:
        points = {
            "20260101-000000": [Point("bare", "chat1k", n, loaded(cpu)) for n, cpu in enumerate([0.04, 0.05, 0.07])],
            "20260102-000000": [Point("bare", "chat1k", 0, loaded(0.01, wrong=1))],
            "20260103-000000": [Point("plugin", "chat1k", 0, loaded(0.02))],
        }
        assert budget.newest(tmp_path) is None
        for name, several in points.items():
            report.write(tmp_path / f"{name}.json", {}, {}, sittings(*several))
        whole = budget.newest(tmp_path)
        assert whole is not None
        assert (whole.name, round(whole.cpu), whole.rounds) == ("20260101-000000.json", 50, 3)

    def test_the_steps_add_up(self) -> None:
        found = {
            "Rust": {"request head": 1.0, "response head": 1.0},
            "stations": {"path in memory": 10.0, "settling": 1.0},
            "system calls": {"write and read": 6.0, "epoll": 1.0},
            "Trio": {"byte to a task, poller": 10.0},
        }
        spent = [row[2] for row in budget.steps(found, None)]
        assert spent == [13.0, 6.0, 2.0, 7.0, 1.0, 29.0, None]


def test_models_and_paths_are_what_each_gateway_calls_them() -> None:
    own, beside = gateways.own("bare", []), gateways.Gateway("b", "b", model="vendor/gpt")
    chat, embeddings, translated = WORKLOADS["chat1k"], WORKLOADS["embed1k"], WORKLOADS["to_openai"]
    assert own.lane("a", chat).model == "openai/gpt-4o-mini"
    assert own.lane("a", embeddings).model == "openai/text-embedding-3-small"
    assert own.lane("a", translated).path == "/anthropic/v1/messages"
    assert own.lane("a", translated).model == "openai/gpt-4o-mini"
    assert own.lane("a", WORKLOADS["to_anthropic"]).model == "anthropic/claude-sonnet-4-5"
    assert beside.lane("a", embeddings).model == "vendor/text-embedding-3-small"
    assert not beside.measures(translated)
    two = gateways.own("workers2", [])
    assert two.command.endswith("--workers 2")
    assert (two.measures(chat), two.measures(embeddings), two.both_cores) == (True, False, True)


def test_who_yields_does_so_with_what_it_starts_and_no_longer() -> None:
    told = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]
    before = os.sched_getscheduler(0)
    with processes.yielding():
        assert int(subprocess.check_output(told)) == os.SCHED_BATCH
    with processes.yielding(False):
        assert int(subprocess.check_output(told)) == before
    assert os.sched_getscheduler(0) == before


def test_packets_say_for_how_long_a_request_was_kept() -> None:
    """One that stands between two ends, all in one thread, so that it is known who keeps it when."""
    with contextlib.ExitStack() as stack:
        try:
            captured = stack.enter_context(packets.capture())
        except PermissionError:
            pytest.skip("the packets are shown to root only")
        gateway, provider = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        ends = [stack.enter_context(connect(to)) for to in (gateway, provider)]
        served = [stack.enter_context(listener.accept()[0]) for listener in (gateway, provider)]
        client, upstream = ends
        kept = 0.0
        for _ in range(3):
            client.send(bytes(200))
            asked = time.perf_counter()
            spend(0.002)
            upstream.send(bytes(200))
            passed_on = time.perf_counter()
            spend(0.004)
            served[1].send(bytes(200))
            answered = time.perf_counter()
            served[0].send(bytes(200))
            kept += (passed_on - asked) + (time.perf_counter() - answered)
            for end in (*ends, *served):
                end.recv(200)
        spans = captured.spans(*(end.getsockname()[1] for end in served))
    assert spans.requests == 3
    assert spans.kept == pytest.approx(kept / 3 * 1e6, rel=0.2)
    assert spans.upstream > 4000.0


def connect(listener: socket.socket) -> socket.socket:
    end = socket.socket()
    end.connect(listener.getsockname())
    return end


def spend(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        """One thread: nobody else could keep it."""
