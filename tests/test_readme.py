"""README.md is true: every command, program and configuration in it is run, every table compared."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from pydantic import BaseModel

from bifrost_trio import errors
from bifrost_trio.catalog import PROVIDERS
from bifrost_trio.config import ClientConfig, Config, ServerConfig, check, load
from bifrost_trio.telemetry import names
from bifrost_trio.testing import gateway_in_memory
from bifrost_trio.transport import options

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8080"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`(\w+\.json)`[^\n]*\n\n```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEYS = {"OPENAI_API_KEY": "sk-1", "OPENAI_MINI_KEY": "sk-2", "ANTHROPIC_API_KEY": "sk-3"}
BOUND = "15"
"""Seconds that a command may take."""


@dataclass(frozen=True)
class Command:
    """``output``: what the README says that it prints, … standing for anything; empty where it does not say."""

    text: str
    output: str


def blocks(language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(README) if kind == language]


def commands() -> Iterator[Command]:
    for body in blocks("console"):
        for one in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            match = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*)\n(.*)", one, re.DOTALL)
            assert match is not None
            yield Command(match[1], match[2])


def files() -> dict[str, str]:
    """What the README has somebody write, by the file's name."""
    python = {match[1]: body for body in blocks("python") if (match := re.match(r"# (\w+\.py)\n", body))}
    return {**dict(NAMED.findall(README)), **python}


def as_told(told: str, printed: str) -> bool:
    """Whether it was printed as the README tells it; lines that it does not tell may follow."""
    pattern = ".*?".join(map(re.escape, told.strip().split("…")))
    return re.match(pattern, printed.strip(), re.DOTALL) is not None


# --- where it is run --------------------------------------------------------------------------------------------------


class Started:
    """A command that runs until it is stopped."""

    def __init__(self, command: str, folder: Path, environ: dict[str, str]) -> None:
        self.log = folder / "started.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, *words: str) -> str:
        while not any(word in self.text for word in words):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
                break
        return self.text

    @property
    def text(self) -> str:
        return self.log.read_text("utf-8")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


def environment() -> dict[str, str]:
    """As a user's: ``bifrost-trio`` and ``python`` are on the path, and no provider is configured."""
    named = {"BIFROST_CONFIG"}.union(*({*row.environment, *row.base_url_environment} for row in PROVIDERS.values()))
    environ = {name: value for name, value in os.environ.items() if name not in named}
    return environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}", "NO_PROXY": "127.0.0.1"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running demo."""
    folder = tmp_path_factory.mktemp("demo")
    started = Started("bifrost-trio serve --demo --port 0 --log none", folder, environment())
    printed = started.wait_for("Try, in another terminal")
    yield printed.partition(" on ")[2].split()[0]
    assert started.stop() == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the README's files, and a certificate."""
    for name, text in files().items():
        (tmp_path / name).write_text(text, "utf-8")
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return tmp_path


def shell(command: str, folder: Path, environ: dict[str, str] | None = None) -> str:
    """What it prints, errors included."""
    run = subprocess.run(
        ["timeout", BOUND, "sh", "-c", command],
        cwd=folder,
        env=environ or environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout + run.stderr


# --- commands ---------------------------------------------------------------------------------------------------------


def the(start: str) -> list[Command]:
    """The commands that begin so, behind the variables that they are given."""
    return [c for c in commands() if re.sub(r"^(\w+=\S+ )*", "", c.text).startswith(start)]


def test_no_command_is_left_out() -> None:
    known = (
        "make ",
        "pip install ",
        "curl ",
        "grep ",
        "echo ",
        "kill ",
        "bifrost-trio ",
        "hypercorn ",
        "python -m pytest ",
    )
    found = [command for start in known for command in the(start)]
    assert {command.text for command in commands()} == {command.text for command in found}


@pytest.mark.real_clock
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_knows_the_targets(root: Path) -> None:
    if not (root / "Makefile").exists():
        pytest.skip("the tests do not run in the repository")
    for command in the("make "):
        target, *_ = command.text.removeprefix("make ").split()
        assert re.search(rf"^{target}:", (root / "Makefile").read_text("utf-8"), re.MULTILINE), command.text
        printed = shell(command.text.replace("make ", "make --dry-run ", 1), root)
        assert "***" not in printed, printed


@pytest.mark.real_clock
@pytest.mark.skipif("BIFROST_TRIO_WHEEL" not in os.environ, reason="no wheel: run `make python`")
def test_the_wheel_installs(tmp_path: Path) -> None:
    wheel = Path(os.environ["BIFROST_TRIO_WHEEL"])
    (tmp_path / "dist").mkdir()
    shutil.copy(wheel, tmp_path / "dist")
    [command] = the("pip install ")
    offline = command.text.replace("pip install", "pip install --dry-run --no-deps --no-index --force-reinstall")
    assert "Would install bifrost-trio" in shell(offline, tmp_path)


@pytest.mark.real_clock
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_requests(demo: str, folder: Path) -> None:
    asked = [*the("curl "), *the("grep ")]
    assert len(asked) >= 6
    for command in asked:
        printed = shell(command.text.replace(ADDRESS, demo), folder)
        if command.output:
            assert as_told(command.output, printed), f"{command.text}\nprints\n{printed}"


@pytest.mark.real_clock
def test_checks(folder: Path) -> None:
    for command in [*the("echo "), *the("bifrost-trio check"), *the("bifrost-trio schema")]:
        bare = folder / "bare"
        bare.mkdir(exist_ok=True)
        at_file = ".json" in command.text
        printed = shell(command.text, folder if at_file else bare)
        assert printed == command.output, f"{command.text}\nprints\n{printed}"
    assert json.loads((folder / "schema.json").read_text("utf-8"))["title"]


def starts() -> list[Command]:
    return [*the("bifrost-trio serve"), *the("bifrost-trio mock")]


@pytest.mark.real_clock
@pytest.mark.parametrize("number", range(len(starts())))
def test_starts(folder: Path, number: int) -> None:
    """On any free port; whatever starts is told to end, and does so with status 0."""
    command = starts()[number]
    (folder / "config.json").unlink()
    started = Started(f"env {re.sub(' --port [0-9]+', '', command.text)} --port 0", folder, environment())
    try:
        printed = started.wait_for("/metrics\n", "Ctrl-C ends it", '"started"', "problem\n")
        if "problem\n" in printed:
            assert started.process.wait() == 2
        else:
            assert started.stop() == 0
        told = command.output.replace(":8000", ":…")
        assert as_told(told, started.text), f"{command.text}\nprints\n{started.text}"
        assert "Traceback" not in started.text
    finally:
        started.process.kill()
        started.process.wait()


@pytest.mark.real_clock
def test_another_server(folder: Path) -> None:
    [command] = the("hypercorn ")
    (folder / "config.json").unlink()
    started = Started(f"env {command.text} --bind 127.0.0.1:0", folder, environment())
    assert "Running on http://127.0.0.1:" in started.wait_for("Running on", "rror")
    assert started.stop() == 0, started.text


@pytest.mark.real_clock
def test_signals(folder: Path) -> None:
    started = Started("bifrost-trio serve --port 0", folder, environment() | KEYS)
    started.wait_for("/metrics\n")
    hangup, terminate = the("kill ")
    shell(f"PID={started.process.pid}; {hangup.text}", folder)
    assert "the configuration was reloaded" in started.wait_for("reloaded")
    shell(f"PID={started.process.pid}; {terminate.text}", folder)
    assert started.process.wait() == 0


# --- programs ---------------------------------------------------------------------------------------------------------


@pytest.mark.real_clock
def test_programs(demo: str, folder: Path) -> None:
    mock = Started("bifrost-trio mock --port 0", folder, environment())
    try:
        url = mock.wait_for("Ctrl-C").partition(" on ")[2].split(",")[0]
        addresses = {"OPENAI_BASE_URL": url, "ANTHROPIC_BASE_URL": url}
        programs = [body for body in blocks("python") if not body.startswith("# ")]
        assert len(programs) == 3
        for number, program in enumerate(programs):
            script = folder / f"program_{number}.py"
            script.write_text(program.replace(ADDRESS, demo), "utf-8")
            (folder / "config.json").unlink(missing_ok=True)
            printed = shell(f"python -W error::ResourceWarning {script.name}", folder, environment() | KEYS | addresses)
            assert printed.startswith("You said: Hello"), f"{program}\nprints\n{printed}"
            assert "Traceback" not in printed
    finally:
        assert mock.stop() == 0


@pytest.mark.real_clock
def test_the_plugin(folder: Path) -> None:
    [command] = the("python -m pytest ")
    printed = shell(command.text.replace("pytest ", "pytest -p no:cacheprovider ", 1), folder)
    assert re.search(command.output.strip().replace("…", ".*"), printed, re.DOTALL), printed


@pytest.mark.parametrize("name", [name for name in files() if name.endswith(".json")])
def test_configurations(folder: Path, name: str) -> None:
    assert [str(problem) for problem in check(folder / name, KEYS)] == []


@pytest.mark.real_clock
def test_manuals(folder: Path) -> None:
    manuals = re.findall(r"`(python -m pydoc [\w.]+)`", README)
    assert len(manuals) == 2
    for command in manuals:
        assert shell(command, folder).startswith("Help on "), command


def test_the_configuration_shows_the_defaults(folder: Path) -> None:
    shown = load(folder / "config.json", KEYS)
    plain = Config.from_dict({"providers": {"openai": {"keys": [{"value": "sk-1", "models": ["*"]}]}}})
    assert (shown.client, shown.server) == (plain.client, plain.server)
    one, other = shown.providers["openai"], plain.providers["openai"]
    assert one.network_config == other.network_config
    assert one.concurrency_and_buffer_size == other.concurrency_and_buffer_size


# --- names, links, tables ---------------------------------------------------------------------------------------------


def test_links(root: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if not link.startswith("https://") and not (root / link).exists()] == []


def test_members_of_the_configuration() -> None:
    named = re.findall(r"`(client|server)\.(\w+)", README)
    assert len(named) >= 6
    parts: dict[str, type[BaseModel]] = {"client": ClientConfig, "server": ServerConfig}
    assert [f"{part}.{name}" for part, name in named if name not in parts[part].model_fields] == []


def test_metrics() -> None:
    counted = inspect.getsource(names)
    named = re.findall(r"\bbifrost_(?!trio)\w+", README)
    assert len(named) >= 4
    assert [name for name in named if f'"{name}"' not in counted] == []


def test_headers() -> None:
    acted_on = inspect.getsource(options)
    named = set(re.findall(r"`(x-(?:bf-|request-)[a-z-]+)", README)) - {"x-bf-eh-"}
    assert len(named) >= 8
    assert [name for name in named if f'b"{name}"' not in acted_on] == []


def table(title: str) -> list[list[str]]:
    """The rows of the table under a heading, a cell each."""
    section = README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


async def test_routes() -> None:
    async with gateway_in_memory() as gateway:
        routes = {(route.method, route.path) for route in gateway.running.assembly.transport.routes}
    told = {(method, path) for method, paths, _ in table("Routes") for path in quoted(paths)}
    assert told == routes


def test_errors() -> None:
    """Every class that is raised is in the table, with its status and type."""
    found = [getattr(errors, name) for name in errors.__all__]
    classes = {c for c in found if isinstance(c, type) and issubclass(c, errors.GatewayError)}
    grouping = {errors.RequestError, errors.Unavailable, errors.ProviderError, errors.ProviderTimeout}
    unseen = {errors.ConfigError, errors.ProviderAnswered, errors.KeyRefused}
    gone = {c for c in classes if issubclass(c, errors.ClientLeft)}
    told = {}
    for status, kinds, listed, _ in table("Errors"):
        for number, name in enumerate(quoted(listed)):
            statuses, types = status.split(", "), quoted(kinds)
            told[name] = (statuses[min(number, len(statuses) - 1)], types[min(number, len(types) - 1)])
    assert {*told} == {c.__name__ for c in classes - grouping - unseen - gone}
    for name, (status, kind) in told.items():
        known = getattr(errors, name)
        assert kind == known.type
        assert status == ("the provider's" if issubclass(known, errors.ProviderAnswered) else str(known.status))


def test_providers() -> None:
    told = {
        quoted(name)[0]: (quoted(keys), quoted(address), "needed" in address)
        for name, keys, address in table("Providers")
    }
    rows = {
        row.name: ([*row.environment], [*row.base_url_environment], row.base_url is None) for row in PROVIDERS.values()
    }
    assert told == rows
