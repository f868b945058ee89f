"""From a configuration to an exit status."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import resource
import socket as stdlib_socket
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import trio

from bifrost_trio.config import ServerConfig
from bifrost_trio.server import WorkersFailed
from bifrost_trio.serving.alone import serve_alone
from bifrost_trio.serving.many import serve_many
from bifrost_trio.serving.settings import ConfigSource, Listening, config_error_in, open_listeners, tls_context
from bifrost_trio.sockets import PollingClock
from bifrost_trio.telemetry import LogMode, configure_logging

__all__ = ["serve"]

logger = logging.getLogger("bifrost_trio.serving")


def _tell(listening: Listening) -> None:
    processes = "1 process" if listening.workers == 1 else f"{listening.workers} processes"
    sys.stdout.write(f"listening on {', '.join(listening.urls)} ({processes})\n")
    sys.stdout.flush()


def _raise_file_limit() -> None:
    """Every call takes two descriptors, and the usual soft limit is 1,024: what the system allows is taken.

    (The limit is soft for the sake of programs that use select(2); worker processes inherit it.)
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve(
    config_path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
    *,
    log: LogMode = "text",
    insecure_no_authentication: bool = False,
    announce: Callable[[Listening], None] = _tell,
) -> int:
    """Serves until a signal ends it; the exit status. To be called in the main thread, outside Trio.

    Without ``config_path`` the configuration comes from ``environ`` alone. ``overrides`` are members of ``server`` that
    the command line sets (None: it does not). ``log``: the form of the log's lines. ``announce`` is called once, when
    every process accepts. Raises ConfigError before anything listens, or when no process can start.
    """
    configure_logging(log)
    _raise_file_limit()
    said = {name: value for name, value in (overrides or {}).items() if value is not None}
    source = ConfigSource(config_path, environ, said, insecure_no_authentication)
    config = source.read()
    server = config.server
    tls_context(server)
    if not server.loopback:
        _warn(server.host)
    listeners = open_listeners(server)
    try:
        listening = Listening(_urls(server, listeners), server.workers)
        if server.workers == 1:
            tell = partial(announce, listening)
            return trio.run(serve_alone, source, config, listeners, log, tell, clock=PollingClock())
        return trio.run(serve_many, source, config, listeners, log, lambda: announce(listening))
    except BaseExceptionGroup as group:
        if group.subgroup(WorkersFailed) is None:
            raise config_error_in(group) or group from None
        logger.error("not every worker could be started; see above")
        return 1
    finally:
        for listener in listeners:
            listener.close()


def _warn(host: str) -> None:
    logger.warning("insecure: %s can be reached from other machines and no authentication is asked for", host)


def _urls(server: ServerConfig, listeners: Sequence[stdlib_socket.socket]) -> tuple[str, ...]:
    scheme = "http" if server.certfile is None else "https"
    return tuple(f"{scheme}://{_authority(listener.getsockname())}" for listener in listeners)


def _authority(address: tuple[Any, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ipaddress.ip_address(host).version == 6 else f"{host}:{port}"
