"""One process that serves: signals, reloading, what is refused at the start."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from bifrost_trio.errors import ConfigError
from bifrost_trio.serving import serve
from bifrost_trio.serving.settings import ConfigSource, needs_restart, open_listeners

pytestmark = pytest.mark.real_clock


def rewrite(path: Path, text: str) -> None:
    path.write_text(text)


async def test_sigterm_lets_a_stream_finish(
    provider: Any, config: Path, start_gateway: Any, write_config: Any, chat: Any
) -> None:
    provider.hold = True
    gateway = await start_gateway("--config", config, "--port", 0)
    async with gateway.streaming(chat(stream=True)) as stream:
        gateway.signal(signal.SIGTERM)
        await gateway.until_said("SIGTERM")
        with pytest.raises(httpx.ConnectError):
            await stream.client.get("/health")
        assert gateway.process.returncode is None
        provider.let_go.set()
        rest = await stream.rest()
    assert " two" in rest
    assert rest.endswith("data: [DONE]\n\n")
    assert await gateway.process.wait() == 0


async def test_idle_connections_do_not_hold_up_the_end(config: Path, start_gateway: Any) -> None:
    gateway = await start_gateway("--config", config, "--port", 0)
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        assert (await client.get("/health")).status_code == 200
        gateway.signal(signal.SIGINT)
        with trio.fail_after(2):
            assert await gateway.process.wait() == 0


async def test_a_stream_is_cut_when_the_drain_takes_too_long(
    provider: Any, config: Path, start_gateway: Any, write_config: Any, chat
) -> None:
    provider.hold = True
    write_config(config, provider, "openai", server={"drain_timeout_in_seconds": 0.3})
    gateway = await start_gateway("--config", config, "--port", 0)
    async with gateway.streaming(chat(stream=True)) as stream:
        gateway.signal(signal.SIGTERM)
        await stream.cut_within(3)
    assert await gateway.process.wait() == 0
    assert provider.left == 1


async def test_a_second_signal_ends_at_once(provider: Any, config: Path, start_gateway: Any, chat: Any) -> None:
    provider.hold = True
    gateway = await start_gateway("--config", config, "--port", 0)
    async with gateway.streaming(chat(stream=True)) as stream:
        gateway.signal(signal.SIGTERM)
        await gateway.until_said("SIGTERM")
        gateway.signal(signal.SIGINT)
        await stream.cut_within(2)
        assert await gateway.process.wait() == 128 + signal.SIGINT


async def test_sighup_reads_the_file_again(
    provider: Any, config: Path, start_gateway: Any, write_config: Any, chat: Any
) -> None:
    gateway = await start_gateway("--config", config, "--port", 0)
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        asked = chat("second/small")
        assert (await client.post("/v1/chat/completions", json=asked)).status_code == 404
        write_config(config, provider, "openai", "groq", server={"port": 9, "max_connections": 7})
        gateway.signal(signal.SIGHUP)
        await gateway.until_said("was reloaded")
        answer = await client.post("/v1/chat/completions", json=chat("groq/small"))
        assert answer.status_code == 200
    # The command line settled the port, so the file's is not even looked at.
    assert "server.port" not in gateway.said


async def test_a_reload_ends_where_a_cold_start_begins(
    provider: Any, config: Path, start_gateway: Any, write_config: Any, chat: Any, ask: Any
) -> None:
    reloaded = await start_gateway("--config", config, "--port", 0)
    assert (await ask(reloaded, "/v1/chat/completions", chat()))[0] == 200
    write_config(config, provider, "groq", "mistral")
    reloaded.signal(signal.SIGHUP)
    await reloaded.until_said("was reloaded")
    fresh = await start_gateway("--config", config, "--port", 0)
    for asked in (chat("openai/small"), chat("groq/small"), chat("mistral/small", stream=True), chat("small")):
        answers = [await ask(gateway, "/v1/chat/completions", asked) for gateway in (reloaded, fresh)]
        assert answers[0][0] == answers[1][0]
        assert content(answers[0][1]) == content(answers[1][1])


def content(body: str) -> list[str]:
    """Without what the moment decides: how long it took, and how a stream was cut into chunks."""
    lines = [line for line in body.splitlines() if line.startswith(("data:", "{"))]
    return [re.sub(r'"latency":[0-9.]+', "", line) for line in lines]


async def test_a_broken_file_changes_nothing(provider: Any, config: Path, start_gateway: Any, chat: Any) -> None:
    gateway = await start_gateway("--config", config, "--port", 0)
    rewrite(config, '{"providers": {"opnai": {}}, "server": {"prot": 1}}')
    gateway.signal(signal.SIGHUP)
    await gateway.until_said("server.prot")
    assert "providers.opnai" in gateway.said
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        assert (await client.post("/v1/chat/completions", json=chat())).status_code == 200


async def test_what_needs_a_restart_is_said(provider: Any, config: Path, start_gateway: Any, write_config: Any) -> None:
    gateway = await start_gateway("--config", config, "--port", 0)
    write_config(config, provider, "openai", server={"workers": 3, "backlog": 5})
    gateway.signal(signal.SIGHUP)
    await gateway.until_said("was reloaded")
    assert "server.workers has changed; that needs a restart" in gateway.said
    assert "server.backlog has changed; that needs a restart" in gateway.said


async def test_a_broken_file_at_the_start(config: Path, start_gateway: Any) -> None:
    rewrite(config, '{"providers": {"opnai": {}}}')
    gateway = await start_gateway("--config", config, ready=False)
    assert await gateway.process.wait() == 2
    await gateway.until_said("providers.opnai")


async def test_a_taken_port_is_said(config: Path) -> None:
    source = ConfigSource(config, os.environ, {"port": 0})
    (listener,) = open_listeners(source.read().server)
    with listener, pytest.raises(ConfigError, match=r"server\.port: cannot listen on 127\.0\.0\.1 port"):
        serve(config, os.environ, {"port": listener.getsockname()[1]})


async def test_only_loopback_without_authentication(config: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        serve(config, os.environ, {"host": "0.0.0.0", "port": 0})
    (problem,) = refused.value.problems
    assert problem.path == "server.host"
    assert "--insecure-no-authentication" in problem.message
    assert ConfigSource(config, os.environ, {"host": "0.0.0.0"}, True).read().server.host == "0.0.0.0"


async def test_what_a_reload_cannot_change(provider: Any, config: Path, write_config: Any) -> None:
    started = ConfigSource(config, os.environ).read().server
    write_config(config, provider, "openai", server={"port": 1, "write_timeout_in_seconds": 1, "certfile": "c.pem"})
    assert needs_restart(started, ConfigSource(config, os.environ).read().server) == ["server.port", "server.certfile"]
