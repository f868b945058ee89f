"""Real commands in processes of their own, with an environment that names no provider."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bifrost_trio.catalog import PROVIDERS

COMMAND = (sys.executable, "-m", "bifrost_trio")


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    named = {"BIFROST_CONFIG"}
    for row in PROVIDERS.values():
        named |= {*row.environment, *row.base_url_environment}
    return {name: value for name, value in os.environ.items() if name not in named} | dict(extra)


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


class Serving:
    """A command that serves, until it is stopped. Its output goes to files, so that no pipe can fill up."""

    def __init__(self, words: tuple[str, ...], folder: Path, environ: Mapping[str, str]) -> None:
        self._out = folder / "stdout.txt"
        self._err = folder / "stderr.txt"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*COMMAND, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder, env=dict(environ)
            )

    @property
    def text(self) -> str:
        return self._out.read_text("utf-8") + self._err.read_text("utf-8")

    def wait_for(self, words: str) -> str:
        """What it printed, as soon as that has ``words`` in it."""
        while words not in self.text:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
                break
        assert words in self.text, f"{words!r} was never printed, but\n{self.text}"
        return self._out.read_text("utf-8")

    def wait_for_url(self) -> str:
        """The first URL that it printed."""
        printed = self.wait_for("/metrics\n")
        return printed.partition(" on ")[2].split()[0].rstrip(",;")

    def end(self, number: int = signal.SIGTERM) -> Ended:
        self.process.send_signal(number)
        return Ended(self.process.wait(), self._out.read_text("utf-8"), self._err.read_text("utf-8"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _ask(url: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        text = None if body is None else json.dumps(body)
        kind = {} if body is None else {"content-type": "application/json"}
        connection.request("GET" if body is None else "POST", path, text, {**kind, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


Run = Callable[..., Ended]
Serve = Callable[..., Serving]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run("check", "config.json", OPENAI_API_KEY="…")``: in an empty folder."""

    def run(*words: str, **environ: str) -> Ended:
        done = subprocess.run(
            [*COMMAND, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=_environment(environ),
            stdin=subprocess.DEVNULL,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve("serve", "--port", "0")``: started, and ended with the test."""
    started: list[Serving] = []

    def serve(*words: str, **environ: str) -> Serving:
        folder = tmp_path / f"process-{len(started)}"
        folder.mkdir()
        started.append(Serving(words, folder, _environment(environ)))
        return started[-1]

    yield serve
    for one in started:
        one.kill()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a configuration, given as it is or as its content."""

    def write(content: Any, name: str = "config.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2), "utf-8")
        return path

    return write


@pytest.fixture
def ask() -> Callable[..., tuple[int, bytes]]:
    """``status, body = ask(url, "/v1/chat/completions", {…})``; without a body it is a GET."""
    return _ask


@pytest.fixture
def environment() -> Callable[..., dict[str, str]]:
    """This process's without any provider's variables, and with those that are given."""
    return lambda **extra: _environment(extra)
