"""``serve`` and ``mock``: starting, what is told, ending."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.real_clock

Write = Callable[..., Path]


def chat(model: str = "openai/gpt-4o-mini", text: str = "Hello") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


def children_of(process: int) -> list[str]:
    """The second field of stat(5), the name, may hold anything; the parent is the second one behind it."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(process):
                found.append(stat.parent.name)
    return found


# --- starting ---------------------------------------------------------------------------------------------------------


def test_the_environment_alone_and_sigterm(serve: Any, ask: Any) -> None:
    gateway = serve("serve", "--port", "0", OPENAI_API_KEY="sk-canary-0123456789")
    url = gateway.wait_for_url()
    assert ask(url, "/health")[0] == 200
    ended = gateway.end()
    assert ended.status == 0
    assert f'base_url="{url}/openai/v1"' in ended.out
    assert f'base_url="{url}/anthropic"' in ended.out
    assert "openai  1 key from OPENAI_API_KEY" in ended.out
    assert "configuration  environment" in ended.out
    assert "\x1b" not in ended.text
    assert "Traceback" not in ended.text


def test_the_screen_of_a_file(serve: Any, write: Write) -> None:
    keys: list[dict[str, Any]] = [{"value": "env.A_KEY", "models": ["*"]}, {"value": "sk-2", "models": ["*"]}]
    keys.append({"value": "env.NOT_SET", "models": ["*"], "enabled": False})
    mine = {
        "keys": [{"value": "sk-3", "models": ["*"]}],
        "network_config": {"base_url": "http://box.internal:99/secret-path"},
        "custom_provider_config": {"base_provider_type": "openai"},
    }
    path = write({"providers": {"openai": {"keys": keys}, "ollama": {}, "mine": mine}})
    gateway = serve("serve", "--config", str(path), "--port", "0", A_KEY="sk-1")
    gateway.wait_for_url()
    printed = gateway.end(signal.SIGINT)
    assert printed.status == 0
    assert "openai  2 keys from A_KEY, config.json" in printed.out
    assert "ollama  no key" in printed.out
    assert "mine    1 key from config.json, at box.internal" in printed.out
    assert "secret-path" not in printed.text


@pytest.mark.parametrize("plain", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_are_for_terminals_that_show_them(tmp_path: Path, environment: Any, plain: dict[str, str]) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "bifrost_trio", "serve", "--port", "0", "--log", "none"]
    variables = environment(**{"TERM": "xterm", "OPENAI_API_KEY": "sk-1", **plain})
    with subprocess.Popen(command, stdout=theirs, stdin=subprocess.DEVNULL, env=variables, cwd=tmp_path) as gateway:
        os.close(theirs)
        printed = b""
        while b"/metrics" not in printed:
            printed += os.read(ours, 4096)
        gateway.terminate()
    os.close(ours)
    assert (b"\x1b[1mbifrost-trio" in printed) == (not plain)
    assert (b"\x1b" in printed) == (not plain)


def test_one_line_of_json(serve: Any, ask: Any) -> None:
    gateway = serve("serve", "--port", "0", "--log", "json", OPENAI_API_KEY="sk-canary-0123456789")
    told = json.loads(gateway.wait_for('"plugins": []}\n'))
    assert told["event"] == "started"
    assert told["providers"] == {"openai": 1}
    assert (told["config"], told["workers"], told["plugins"]) == ("environment", 1, [])
    assert ask(told["urls"][0], "/health")[0] == 200
    ended = gateway.end()
    assert ended.status == 0
    lines = [json.loads(line) for line in ended.text.splitlines()]
    assert [line for line in lines if line["event"] == "started"] == [told]


def test_two_processes(serve: Any, ask: Any) -> None:
    key = "sk-canary-0123456789"
    gateway = serve("serve", "--port", "0", "--workers", "2", "--log", "json", OPENAI_API_KEY=key)
    told = json.loads(gateway.wait_for('"plugins": []}\n'))
    assert told["workers"] == 2
    assert ask(told["urls"][0], "/health")[0] == 200
    children = children_of(gateway.process.pid)
    assert len(children) == 2
    assert not any(key.encode() in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
    ended = gateway.end()
    assert ended.status == 0
    assert key not in ended.text
    assert [json.loads(line)["event"] for line in ended.out.splitlines()] == ["started"]


def test_the_named_file_comes_before_the_one_here(serve: Any, write: Write) -> None:
    named = write({"providers": {"ollama": {}}}, "named.json")
    gateway = serve("serve", "--port", "0", BIFROST_CONFIG=str(named), OPENAI_API_KEY="sk-1")
    gateway.wait_for_url()
    printed = gateway.end().out
    assert str(named) in printed
    assert "openai " not in printed


@pytest.mark.parametrize("ending", ["| head -n 1", ">&-", "<&- >&- 2>&-"])
def test_nobody_has_to_read_what_it_prints(tmp_path: Path, ask: Any, environment: Any, ending: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = f"{sys.executable} -m bifrost_trio serve --port {port} --log text {ending} & wait"
    # The shell's own output is a file: a pipe would stay open as long as the gateway.
    with (tmp_path / "out").open("wb") as out:
        shell = subprocess.Popen(
            ["sh", "-c", command],
            stdout=out,
            env=environment(OPENAI_API_KEY="sk-1", OPENAI_BASE_URL="http://127.0.0.1:9"),
            cwd=tmp_path,
            start_new_session=True,
        )
    try:
        status = 0
        while status != 200:
            with contextlib.suppress(OSError):
                status, _ = ask(f"http://127.0.0.1:{port}", "/health")
            assert shell.poll() is None
        # What it prints next, a line for a call and one for the reload, finds nobody, and it serves on.
        assert ask(f"http://127.0.0.1:{port}", "/v1/chat/completions", chat("of-nobody"))[0] == 404
        assert ask(f"http://127.0.0.1:{port}", "/health")[0] == 200
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait()


# --- not starting -----------------------------------------------------------------------------------------------------


def test_without_a_provider_it_says_what_to_do(run: Any, write: Write) -> None:
    ended = run("serve")
    assert (ended.status, ended.out) == (2, "")
    for words in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "--config", "serve --demo"):
        assert words in ended.err
    write({"providers": {}})
    ended = run("serve")
    assert ended.status == 2
    assert "config.json names none" in ended.err


def test_every_problem_is_printed(run: Any, write: Write) -> None:
    write('{\n "providers": {"opnai": {}},\n "servr": {}\n}')
    ended = run("serve")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("bifrost-trio: config.json: 2 problems\nline 2, column 16: providers.opnai: ")
    assert 'line 3, column 2: servr: unknown member (did you mean "server"?)' in ended.err


def test_a_file_that_is_not_there(run: Any) -> None:
    ended = run("serve", "--config", "nowhere.json")
    assert (ended.status, ended.out) == (2, "")
    assert "nowhere.json: cannot be read: No such file or directory" in ended.err


def test_a_folder_is_no_configuration(run: Any) -> None:
    ended = run("serve", "--config", ".")
    assert (ended.status, ended.err) == (2, "bifrost-trio: . is not a file, and it is read again at every reload\n")


@pytest.mark.parametrize("command", ["serve", "serve --demo", "mock"])
def test_a_port_in_use(run: Any, command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run(*command.split(), "--port", port, OPENAI_API_KEY="sk-1")
    assert (ended.status, ended.out) == (1, "")
    said = f"bifrost-trio: cannot listen on 127.0.0.1 port {port}: Address already in use (another one: --port)\n"
    assert ended.err == said


def test_an_address_that_is_not_ours(run: Any) -> None:
    flag = "--insecure-no-authentication"
    ended = run("serve", "--host", "192.0.2.1", "--port", "0", flag, OPENAI_API_KEY="sk-1")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.splitlines()[-1].startswith("bifrost-trio: cannot listen on 192.0.2.1 port 0: ")
    assert "Traceback" not in ended.err


def test_an_address_that_others_can_reach_needs_a_word(run: Any) -> None:
    ended = run("serve", "--host", "0.0.0.0", "--port", "0", OPENAI_API_KEY="sk-1")
    assert (ended.status, ended.out) == (2, "")
    assert "--insecure-no-authentication" in ended.err


def test_a_certificate_that_is_not_there(run: Any) -> None:
    ended = run("serve", "--port", "0", "--certfile", "nowhere.pem", OPENAI_API_KEY="sk-1")
    assert (ended.status, ended.out) == (2, "")
    assert "nowhere.pem cannot be used: No such file or directory" in ended.err
    assert "Traceback" not in ended.err


# --- ending -----------------------------------------------------------------------------------------------------------


def test_a_second_ctrl_c_does_not_wait_for_the_calls_in_flight(serve: Any, ask: Any) -> None:
    mock = serve("mock", "--port", "0")
    upstream = mock.wait_for("Ctrl-C").partition(" on ")[2].split(",")[0]
    gateway = serve("serve", "--port", "0", "--log", "text", OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=upstream)
    url = gateway.wait_for_url()
    client = socket.create_connection(("127.0.0.1", urlsplit(url).port))  # noqa: TID251 there is no loop to block
    body = json.dumps(chat("openai/mock-stall")).encode()
    client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    while b"\nbifrost_active_requests 1" not in ask(url, "/metrics")[1]:
        assert gateway.process.poll() is None
    gateway.process.send_signal(signal.SIGINT)
    gateway.wait_for("SIGINT")
    assert gateway.process.poll() is None
    with client:
        ended = gateway.end(signal.SIGINT)
    assert ended.status == 130
    assert "Traceback" not in ended.text
    assert mock.end(signal.SIGINT).status == 0


# --- the mock ---------------------------------------------------------------------------------------------------------


def test_the_mock_follows_its_rules(serve: Any, ask: Any) -> None:
    mock = serve("mock", "--port", "0", "--delay", "0.01", "status=429 retry-after=2 times=1", "content=twice")
    url = mock.wait_for("Ctrl-C").partition(" on ")[2].split(",")[0]
    assert ask(url, "/v1/chat/completions", chat())[0] == 429
    status, body = ask(url, "/v1/chat/completions", chat())
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "twice"
    assert mock.end().status == 0
