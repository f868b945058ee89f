"""``serve --demo``: the gateway and a provider of its own, in one process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import trio

from bifrost_trio.cli.options import Options
from bifrost_trio.cli.output import Style, UsageError, say
from bifrost_trio.cli.screen import Facts, screen, started
from bifrost_trio.cli.serve import overrides_of, refuse
from bifrost_trio.config import ServerConfig
from bifrost_trio.mock import MockProvider, serve_mock
from bifrost_trio.serving.alone import serve_alone
from bifrost_trio.serving.settings import ConfigSource, config_error_in, open_listeners
from bifrost_trio.sockets import PollingClock
from bifrost_trio.telemetry import configure_logging

__all__ = ["commands", "serve_demo"]

MODELS = ("gpt-4o-mini", "claude-sonnet-4-5")


def serve_demo(options: Options) -> int:
    """Serves until a signal ends it; the exit status."""
    if options.config is not None:
        raise UsageError("--demo has a configuration of its own: leave out --config, or --demo")
    if (options.workers or 1) > 1:
        raise UsageError("--demo is one process: leave out --workers, or --demo")
    configure_logging(options.log)
    try:
        return trio.run(_serve, options, clock=PollingClock())
    except BaseExceptionGroup as group:
        error = config_error_in(group)
        if error is None:
            raise
        return refuse(None, error.problems, listening=True)


async def _serve(options: Options) -> int:
    async with trio.open_nursery() as nursery:
        mock = await nursery.start(serve_mock, "127.0.0.1", 0, MockProvider("gap=0.05", models=MODELS))
        environ = _environment(mock.port)
        source = ConfigSource(None, environ, overrides_of(options), options.insecure_no_authentication)
        config = source.read()
        listeners = open_listeners(config.server)
        facts = Facts([_url(config.server, listeners[0].getsockname())], 1, config, None, None, demo=True)

        def announce() -> None:
            say(started(facts) if options.log == "json" else _page(facts, Style(sys.stdout, os.environ)))

        status = await serve_alone(source, config, listeners, options.log, announce)
        nursery.cancel_scope.cancel()
    return status


def _url(server: ServerConfig, address: tuple[Any, ...]) -> str:
    scheme = "http" if server.certfile is None else "https"
    host, port = address[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _environment(port: int) -> Mapping[str, str]:
    """What would make the mock two providers; the real environment has no say in a demo."""
    return {
        "OPENAI_API_KEY": "demo",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}",
        "ANTHROPIC_API_KEY": "demo",
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
    }


def _page(facts: Facts, style: Style) -> str:
    tried = [f"{style.quiet(f'# {about}')}\n{command}\n" for about, command in commands(facts.urls[0]).items()]
    return "\n".join([screen(facts, style), "Try, in another terminal:\n", *tried])


def commands(url: str) -> dict[str, str]:
    """Three to try, by what they show; each may be pasted into a shell as it is."""
    json = "-H 'content-type: application/json'"
    hello = '"messages": [{"role": "user", "content": "Hello"}]'
    insecure = "-k " if url.startswith("https") else ""
    return {
        "a chat": f"curl {insecure}{url}/v1/chat/completions {json} \\\n"
        f'  -d \'{{"model": "openai/{MODELS[0]}", {hello}}}\'',
        "the same, streamed": f"curl {insecure}-N {url}/v1/chat/completions {json} \\\n"
        f'  -d \'{{"model": "openai/{MODELS[0]}", "stream": true, {hello}}}\'',
        "as Anthropic's SDK would ask": f"curl {insecure}{url}/anthropic/v1/messages {json} \\\n"
        f'  -d \'{{"model": "{MODELS[1]}", "max_tokens": 100, {hello}}}\'',
    }
