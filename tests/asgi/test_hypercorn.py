"""The gateway under Hypercorn's Trio worker, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from bifrost_trio.mock import serve_mock
from tests.asgi.in_memory import CHAT, PATH

WITHOUT_LIFESPAN = """
from bifrost_trio.app import app as gateway

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await gateway(scope, receive, send)
"""


@asynccontextmanager
async def hypercorn(
    folder: Path, config: str | None, app: str = "bifrost_trio.app:app", **environment: str
) -> AsyncIterator[int]:
    """Its port. Ends with SIGTERM and has to come to an end by itself then. What it said on stdout is in ``stdout``."""
    environ = {**os.environ, **environment} | ({"BIFROST_CONFIG": config} if config else {})
    command = [sys.executable, "-m", "hypercorn", "-k", "trio", "--bind", "127.0.0.1:0", app]
    with (folder / "stdout").open("wb") as out:
        process = await trio.lowlevel.open_process(
            command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE
        )
    said = b""
    try:
        assert process.stderr is not None
        while not (found := re.search(rb"Running on http://127\.0\.0\.1:(\d+)", said)):
            piece = await process.stderr.receive_some()
            assert piece, said.decode()
            said += piece
        yield int(found[1])
        process.terminate()
        async for piece in process.stderr:
            said += piece
        assert b"Traceback" not in said, said.decode()
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def spoken(port: int, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    """Status and body of one answer; the body as it was framed."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(rendered(path, body))
        answer = b"".join([bytes(piece) async for piece in stream])
    head, _, said = answer.partition(b"\r\n\r\n")
    return int(head[9:12]), said


def rendered(path: str, body: dict[str, Any] | None) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    head = f"{method} {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def written(folder: Path, port: int) -> str:
    network = {"base_url": f"http://127.0.0.1:{port}", "max_retries": 0}
    key = {"name": "k", "value": "sk-test", "models": ["*"]}
    path = folder / "gateway.json"
    path.write_text(json.dumps({"providers": {"openai": {"keys": [key], "network_config": network}}}))
    return str(path)


@pytest.mark.real_clock
async def test_under_hypercorn(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        mock = await nursery.start(partial(serve_mock, "127.0.0.1", 0))
        async with hypercorn(tmp_path, written(tmp_path, mock.port)) as port:
            assert await spoken(port, "/health") == (200, b'{"status":"ok"}')
            status, body = await spoken(port, PATH, CHAT)
            assert (status, json.loads(body)["extra_fields"]["provider"]) == (200, "openai")
            status, body = await spoken(port, PATH, {**CHAT, "stream": True})
            assert status == 200
            assert body.count(b"data: ") > 3
            assert body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            status, body = await spoken(port, "/anthropic/v1/messages", {"model": "nobody/x"})
            assert (status, json.loads(body)["type"]) == (404, "error")
            await one_connection(port)
            await leave_a_stream(port)
            for _ in range(500):
                if mock.statistics().abandoned:
                    break
                await trio.sleep(0.01)
            assert mock.statistics().abandoned == 1
        nursery.cancel_scope.cancel()


async def one_connection(port: int) -> None:
    """Hypercorn keeps it alive behind each of our answers."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as connection:
        for stream in (False, True, False):
            data = rendered(PATH, {**CHAT, "stream": stream}).replace(b"connection: close\r\n", b"")
            await connection.send_all(data)
            received = b""
            while not received.endswith(b"0\r\n\r\n" if stream else b"}}"):
                received += await connection.receive_some()
            assert received.startswith(b"HTTP/1.1 200")


async def leave_a_stream(port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(rendered(PATH, {**CHAT, "model": "openai/mock-stall-output", "stream": True}))
        received = b""
        while b"data: " not in received:
            received += await stream.receive_some()


@pytest.mark.real_clock
async def test_a_broken_stream_under_hypercorn(tmp_path: Path) -> None:
    """It has no end there either; Hypercorn logs what the application raised to tell it so."""
    async with trio.open_nursery() as nursery:
        mock = await nursery.start(partial(serve_mock, "127.0.0.1", 0))
        with pytest.raises(AssertionError, match="AnswerNotWhole"):
            async with hypercorn(tmp_path, written(tmp_path, mock.port)) as port:
                words = [{"role": "user", "content": "[[mock cut-chunk=2 gap=0.1]] Hello"}]
                status, body = await spoken(port, PATH, {**CHAT, "messages": words, "stream": True})
                assert status == 200
                assert b"is_bifrost_error" in body
                assert not body.endswith(b"\r\n0\r\n\r\n")
        nursery.cancel_scope.cancel()


@pytest.mark.real_clock
async def test_under_hypercorn_without_a_lifespan(tmp_path: Path) -> None:
    (tmp_path / "without.py").write_text(WITHOUT_LIFESPAN)
    async with hypercorn(tmp_path, None, "without:app") as port:
        for body in (None, CHAT):
            status, said = await spoken(port, PATH, body)
            assert (status, json.loads(said)["error"]["code"]) == (500, "no_lifespan")


@pytest.mark.real_clock
@pytest.mark.parametrize("mode", ["", "text", "json", "none"])
async def test_the_log_under_hypercorn(mode: str, tmp_path: Path) -> None:
    """A line for each call on stdout, as with ``serve``."""
    async with trio.open_nursery() as nursery:
        mock = await nursery.start(partial(serve_mock, "127.0.0.1", 0))
        environment = {"BIFROST_LOG": mode} if mode else {}
        async with hypercorn(tmp_path, written(tmp_path, mock.port), **environment) as port:
            assert (await spoken(port, PATH, CHAT))[0] == 200
        nursery.cancel_scope.cancel()
    lines = (tmp_path / "stdout").read_text().splitlines()
    assert len(lines) == (mode != "none")
    for line in lines:
        assert "openai" in line
        assert "sk-test" not in line
        assert (mode == "json") == (line[0] == "{")


@pytest.mark.real_clock
async def test_hypercorn_does_not_start_with_an_unknown_form_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="BIFROST_LOG: expected one of text, json, none"):
        async with hypercorn(tmp_path, None, BIFROST_LOG="loud"):
            pass


@pytest.mark.real_clock
async def test_hypercorn_does_not_start_with_a_bad_configuration(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"providers": {"opnai": {}}}')
    with pytest.raises(AssertionError, match="opnai"):
        async with hypercorn(tmp_path, str(path)):
            pass
