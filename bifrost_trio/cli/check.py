"""``check``: everything that would keep ``serve`` from starting with a configuration; ``schema``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from bifrost_trio.cli.options import Options
from bifrost_trio.cli.output import say
from bifrost_trio.cli.source import find, no_provider, problems_in, title
from bifrost_trio.config import Config, format_problems, load, schema
from bifrost_trio.errors import ConfigError

__all__ = ["check", "print_schema"]


def check(options: Options) -> int:
    """The exit status: 0 without a problem, else 2."""
    path = find(options.file, os.environ)
    try:
        config = _config(path, os.environ)
    except ConfigError as error:
        say(f"{format_problems(error.problems)}\n{problems_in(path, len(error.problems))}")
        return 2
    if not config.providers:
        say(no_provider(path))
        return 2
    say("\n".join([f"{title(path)}: no problems", *_summary(config)]))
    return 0


def _config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Raises ConfigError, also for a plugin or a certificate that cannot be had."""
    config = load(path, environ)
    if config.plugins:
        from bifrost_trio.plugins import load_plugins

        load_plugins(config.plugins)
    if config.server.certfile is not None:
        from bifrost_trio.serving.settings import tls_context

        tls_context(config.server)
    return config


def _summary(config: Config) -> list[str]:
    width = max(map(len, config.providers), default=0)
    lines = []
    for name, provider in config.providers.items():
        keys = sum(key.enabled for key in provider.keys)
        lines.append(f"  {name:{width}}  {keys} key{'' if keys == 1 else 's'}")
    if not config.server.loopback:
        host = config.server.host
        lines.append(f"  {host} can be reached from other machines: serve wants --insecure-no-authentication for that")
    return lines


def print_schema(options: Options) -> int:
    say(json.dumps(schema(), indent=2, ensure_ascii=False))
    return 0
