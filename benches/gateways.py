"""Who is asked: the provider itself, nginx, this gateway in its profiles, another gateway beside it."""

from __future__ import annotations

import http.client
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches import nginx
from benches.processes import Process, free_port
from benches.secured import Secured
from benches.tool import Lane
from benches.workloads import DROP_IN, MODELS, PATHS, Workload

__all__ = ["PROFILES", "TWO_WORKERS", "Gateway", "NotStarted", "Running", "own", "plain", "start"]

START_SECONDS = 20.0
# Copied to where the gateway starts: this folder on its path would hide the installed package behind the source tree.
_PROBE = Path(__file__).resolve().parent / "plugin_probe.py"
_POLL_SECONDS = 0.005
# Whatever a library would like to use more cores for, there is one.
_ONE_CORE = {"GOMAXPROCS": "1", "TOKIO_WORKER_THREADS": "1"}


class NotStarted(Exception):
    """The gateway did not come up; says what it printed."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """How to start one and what to call things there.

    In ``command`` {port}, {mock} (a URL) and {folder} (fresh for each start) are filled in, in ``files`` (name →
    text) {mock}, {secured} and {authority}. ``model`` is the name for chat; other kinds take its prefix. ``own``:
    speaks this project's routes. ``both_cores``: it may use those of the mock and the clients too; then ``only`` these
    workloads are measured.
    """

    name: str
    command: str
    files: dict[str, str] = field(default_factory=dict)
    model: str = "gpt-4o-mini"
    headers: tuple[str, ...] = ()
    own: bool = False
    both_cores: bool = False
    only: tuple[str, ...] = ()

    def measures(self, workload: Workload) -> bool:
        if self.only and workload.name not in self.only:
            return False
        return self.own or not workload.own_gateway_only

    def lane(self, address: str, workload: Workload) -> Lane:
        if not self.own:
            prefix = self.model.rpartition("/")[0]
            model = self.model if workload.kind == "chat" else "/".join(filter(None, [prefix, MODELS[workload.kind]]))
            return Lane(address, PATHS[workload.kind], model)
        provider = workload.provider or "openai"
        if workload.tls:
            return Lane(address, DROP_IN[workload.kind], f"secured/{MODELS[workload.kind]}")
        translated = {"openai": "chat", "anthropic": "messages"}
        model = MODELS["embeddings" if workload.kind == "embeddings" else translated[provider]]
        return Lane(address, DROP_IN[workload.kind], f"{provider}/{model}")


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that has answered. ``cold_start`` is seconds from the start of the process to the first 200."""

    gateway: Gateway
    process: Process
    address: str
    cold_start: float
    idle_bytes: int


def start(
    gateway: Gateway, core: int | Sequence[int], mock: str, folder: Path, secured: Secured | None = None
) -> Running:
    """Starts it in a fresh folder and waits for its first right answer. Raises NotStarted."""
    port = free_port()
    url = f"http://{mock}"
    for name, text in gateway.files.items():
        if secured is not None:
            text = text.replace("{secured}", secured.url).replace("{authority}", secured.authority)
        (folder / name).write_text(text.replace("{mock}", url))
    if gateway.name == "nginx":
        nginx.write_configuration(folder, port, mock)
    words = shlex.split(gateway.command)
    command = [word.format(port=port, mock=url, folder=folder) for word in words]
    begun = time.monotonic()
    try:
        process = Process.start(command, core, folder / "output.log", {**_ONE_CORE, "PYTHONPATH": str(folder)}, folder)
    except OSError as error:
        raise NotStarted(f"{gateway.name}: {error}") from None
    try:
        _wait_for_200(gateway, process, port)
    except BaseException:
        process.stop()
        raise
    return Running(gateway, process, f"127.0.0.1:{port}", time.monotonic() - begun, process.resident_bytes())


def _wait_for_200(gateway: Gateway, process: Process, port: int) -> None:
    until = time.monotonic() + START_SECONDS
    last = "no connection"
    while time.monotonic() < until:
        try:
            status, last = _ask(gateway, port)
        except OSError as error:
            status, last = 0, str(error)
        except http.client.HTTPException as error:
            status, last = 0, repr(error)
        if status == 200:
            return
        if process.wait(_POLL_SECONDS):
            last = f"ended with status {process.popen.returncode}"
            break
    raise NotStarted(f"{gateway.name}: {last}\n{process.output()}".rstrip())


def _ask(gateway: Gateway, port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    model = "openai/gpt-4o-mini" if gateway.own else gateway.model
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "[[bench tag=100001]]"}]})
    headers = {"content-type": "application/json"}
    headers |= {name.strip(): value.strip() for name, _, value in (h.partition(":") for h in gateway.headers)}
    try:
        connection.request("POST", PATHS["chat"], body, headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    finally:
        connection.close()
    return answer.status, f"status {answer.status}: {text[:300]}"


def plain() -> Gateway | None:
    program = nginx.find()
    if program is None:
        return None
    return Gateway("nginx", f"{shlex.quote(program)} -p {{folder}} -c {{folder}}/nginx.conf")


def own(profile: str, workloads: Sequence[Workload]) -> Gateway:
    """This project's gateway as it is installed beside the Python that runs the bench."""
    program = Path(sys.executable).parent / "bifrost-trio"
    two = profile == TWO_WORKERS
    only = ("chat1k", "to_anthropic") if two else ()
    workloads = [workload for workload in workloads if workload.name in only or not only]
    configuration: dict[str, Any] = {"providers": _providers(workloads), **PROFILES[profile]}
    more = "--workers 2" if two else ""
    return Gateway(
        profile,
        f"{shlex.quote(str(program))} serve --config {{folder}}/config.json --port {{port}} --log none {more}".rstrip(),
        files={"config.json": json.dumps(configuration, indent=2), "plugin_probe.py": _PROBE.read_text()},
        own=True,
        both_cores=two,
        only=only,
    )


TWO_WORKERS = "workers2"
"""Two worker processes, on both cores, which they share with the mock and the clients: a line apart."""

PROFILES: dict[str, dict[str, Any]] = {
    "bare": {},
    TWO_WORKERS: {},
    "plugin": {"plugins": [{"name": "probe", "enabled": True, "path": "plugin_probe:Probe"}]},
}
"""What a profile adds to the configuration: the providers that the workloads need, one key each."""


def _providers(workloads: Sequence[Workload]) -> dict[str, Any]:
    providers = {"openai": _provider("{mock}")}
    if any(workload.provider == "anthropic" for workload in workloads):
        providers["anthropic"] = _provider("{mock}")
    if any(workload.fallback for workload in workloads):
        # The mock never fails under this path.
        allowed = {"base_provider_type": "openai"}
        providers["backup"] = {**_provider("{mock}/backup"), "custom_provider_config": allowed}
    if any(workload.tls for workload in workloads):
        secured = _provider("{secured}")
        secured["network_config"]["ca_cert_pem"] = "{authority}"
        providers["secured"] = {**secured, "custom_provider_config": {"base_provider_type": "openai"}}
    return providers


def _provider(base_url: str) -> dict[str, Any]:
    return {
        "keys": [{"name": "bench", "value": "sk-bench", "models": ["*"], "weight": 1.0}],
        "network_config": {"base_url": base_url, "allow_private_network": True, "max_retries": 0},
    }
