"""What is asked for wrongly, and help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bifrost_trio
from bifrost_trio.cli import main


@pytest.mark.real_clock
def test_the_command_is_installed() -> None:
    program = Path(sys.executable).parent / "bifrost-trio"
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"bifrost-trio {bifrost_trio.__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what to do: serve, check, schema, mock"),
        (["serv"], "there is no command 'serv' (did you mean serve?)"),
        (["serve", "--prot", "80"], "unknown option --prot (did you mean --port?)"),
        (["serve", "--port", "many"], "argument --port: expected a whole number from 0 to 65535, got 'many'"),
        (["serve", "--port", "65536"], "argument --port: expected a whole number from 0 to 65535, got '65536'"),
        (["serve", "--workers", "0"], "argument --workers: expected a whole number from 1 to 1024, got '0'"),
        (["serve", "--log", "xml"], "argument --log: invalid choice: 'xml'"),
        (["serve", "--config"], "argument --config: expected one argument"),
        (["serve", "extra"], "one word too many: extra"),
        (["serve", "--demo", "--config", "config.json"], "--demo has a configuration of its own"),
        (["serve", "--demo", "--workers", "2"], "--demo is one process"),
        (["check", "a", "b"], "one word too many: b"),
        (["mock", "--delay", "-1"], "argument --delay: expected"),
        (["mock", "stauts=500"], "the mock knows no word 'stauts'"),
    ],
)
def test_what_is_asked_for_wrongly_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bifrost-trio: ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.real_clock
def test_the_value_of_an_unknown_option_is_not_repeated(run: Any) -> None:
    assert "sk-canary" not in run("serve", "--api-key=sk-canary").text
    assert "sk-canary" not in run("serve", "--api-key", "sk-canary").text


@pytest.mark.real_clock
@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["check", "--help"], ["mock", "--help"]])
def test_help_fits_a_terminal(run: Any, words: list[str]) -> None:
    ended = run(*words)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("usage: bifrost-trio ")
    assert max(map(len, ended.out.splitlines())) <= 120


@pytest.mark.real_clock
def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    shell = f"{sys.executable} -m bifrost_trio schema | head -n 1"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.real_clock
def test_help_and_the_processes_that_serve_do_without_heavy_packages() -> None:
    probe = "import sys, bifrost_trio.cli.options, bifrost_trio.cli.output; print(*sys.modules)"
    light = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    assert not {"trio", "pydantic", "typer", "click", "rich", "bifrost_trio.config"} & {*light}
    probe = "import sys, bifrost_trio.serving; print(*sys.modules)"
    worker = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    assert not {"argparse", "typer", "click", "rich", "bifrost_trio.cli", "bifrost_trio.mock"} & {*worker}
