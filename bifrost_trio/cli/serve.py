"""``serve``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bifrost_trio.cli.options import Options
from bifrost_trio.cli.output import Style, UsageError, complain, say
from bifrost_trio.cli.screen import Facts, screen, started
from bifrost_trio.cli.source import find, no_provider, problems_in
from bifrost_trio.config import format_problems
from bifrost_trio.errors import ConfigError, Problem
from bifrost_trio.serving import Listening
from bifrost_trio.serving import serve as serve_until_told
from bifrost_trio.serving.settings import ConfigSource

__all__ = ["overrides_of", "refuse", "serve"]

OF_THE_MOMENT = ("server.port", "server.host")
"""What listening finds wrong with these (a port in use) is no mistake of the configuration: exit status 1."""


def serve(options: Options) -> int:
    """Serves until a signal ends it; the exit status."""
    path = find(options.config, os.environ)
    if path is not None and path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a file, and it is read again at every reload")
    overrides = overrides_of(options)
    source = ConfigSource(path, os.environ, overrides, options.insecure_no_authentication)
    try:
        config = source.read()
    except ConfigError as error:
        return refuse(path, error.problems)
    if not config.providers:
        complain(no_provider(path))
        return 2
    content = source.content()

    def announce(listening: Listening) -> None:
        facts = Facts(listening.urls, listening.workers, config, path, content)
        say(started(facts) if options.log == "json" else screen(facts, Style(sys.stdout, os.environ)))

    try:
        return serve_until_told(
            path,
            os.environ,
            overrides,
            log=options.log,
            insecure_no_authentication=options.insecure_no_authentication,
            announce=announce,
        )
    except ConfigError as error:
        return refuse(path, error.problems, listening=True)


def overrides_of(options: Options) -> dict[str, Any]:
    """The members of ``server`` that the command line sets."""
    return {name: getattr(options, name) for name in ("host", "port", "workers", "certfile", "keyfile")}


def refuse(path: Path | None, problems: Sequence[Problem], *, listening: bool = False) -> int:
    """Says why nothing is served; the exit status. ``listening``: it was good until it came to the sockets."""
    if listening and all(problem.path in OF_THE_MOMENT for problem in problems):
        for problem in problems:
            complain(f"{problem.message} (another one: --{problem.path.removeprefix('server.')})")
        return 1
    complain(f"{problems_in(path, len(problems))}\n{format_problems(problems)}")
    return 2
