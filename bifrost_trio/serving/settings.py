"""The configuration as a serving process needs it: read, checked for what serving needs, compared with the last one."""

from __future__ import annotations

import errno
import json
import logging
import socket as stdlib_socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bifrost_trio.config import Config, ServerConfig, load
from bifrost_trio.errors import ConfigError, Problem
from bifrost_trio.server import Timeouts
from bifrost_trio.sockets import listen, server_context

__all__ = [
    "ConfigSource",
    "Listening",
    "config_error_in",
    "needs_restart",
    "open_listeners",
    "timeouts_of",
    "tls_context",
]

log = logging.getLogger("bifrost_trio.serving")

INSECURE_FLAG = "--insecure-no-authentication"
OPEN_TO_ALL = (
    "{host} can be reached from other machines, and nobody is asked for a key: whoever reaches it spends your"
    f" providers' money. Listen on 127.0.0.1, or say {INSECURE_FLAG} if something in front of it lets in only whom it"
    " should"
)

OF_THE_SOCKETS = ("host", "port", "workers", "backlog")
"""Members of ``server`` that are settled when the sockets are opened and the processes started."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Told when every process accepts: the addresses as URLs, and how many processes."""

    urls: tuple[str, ...]
    workers: int


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where the configuration is read from, again at every reload; ``overrides`` are the command line's words."""

    path: Path | None
    environ: Mapping[str, str]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    insecure_no_authentication: bool = False

    def read(self) -> Config:
        """Raises ConfigError with every problem."""
        return self._checked(load(self.path, self.environ))

    def content(self) -> dict[str, Any] | None:
        """The file as it stands, for `from_content` in another process; None: the environment alone decides."""
        if self.path is None:
            return None
        content: dict[str, Any] = json.loads(self.path.read_bytes().decode("utf-8-sig"))
        return content

    def from_content(self, content: Mapping[str, Any] | None) -> Config:
        """What `read` gave in the process that read the file. Raises ConfigError."""
        if content is None:
            return self._checked(load(None, self.environ))
        return self._checked(Config.from_dict(content, self.environ))

    def _checked(self, config: Config) -> Config:
        if self.overrides:
            config = config.with_server(**self.overrides)
        host = config.server.host
        if not (config.server.loopback or self.insecure_no_authentication):
            raise ConfigError([Problem(OPEN_TO_ALL.format(host=host), "server.host")])
        return config


def open_listeners(server: ServerConfig) -> list[stdlib_socket.socket]:
    """Listening sockets, not yet accepted from. Raises ConfigError."""
    try:
        listeners = listen(server.host, server.port)
    except OSError as error:
        of_the_host = error.errno not in (errno.EADDRINUSE, errno.EACCES)
        problem = f"cannot listen on {server.host} port {server.port}: {error.strerror or error}"
        raise ConfigError([Problem(problem, "server.host" if of_the_host else "server.port")]) from None
    for listener in listeners:
        listener.listen(server.backlog)
    return listeners


def tls_context(server: ServerConfig) -> ssl.SSLContext | None:
    """None: the gateway speaks without TLS. Raises ConfigError where certificate or key cannot be used."""
    if server.certfile is None:
        return None
    keyfile = Path(server.keyfile) if server.keyfile is not None else None
    try:
        return server_context(Path(server.certfile), keyfile, http2=server.http2)
    except (OSError, ValueError) as error:
        files = f"{server.certfile} and {keyfile}" if keyfile is not None else server.certfile
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, ssl.SSLError) and keyfile is None and b"PRIVATE KEY" not in _content(server.certfile):
            reason = "it holds no private key (server.keyfile names another file)"
        raise ConfigError([Problem(f"{files} cannot be used: {reason}", "server.certfile")]) from None


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def timeouts_of(server: ServerConfig) -> Timeouts:
    return Timeouts(
        head=server.head_timeout_in_seconds,
        body=server.body_timeout_in_seconds,
        keep_alive=server.keep_alive_timeout_in_seconds,
        write=server.write_timeout_in_seconds,
        drain=server.drain_timeout_in_seconds,
        handshake=server.handshake_timeout_in_seconds,
    )


def needs_restart(started: ServerConfig, wanted: ServerConfig) -> list[str]:
    """The members in which ``wanted`` differs from what this process was started with and a reload cannot change."""
    changed = [f"server.{name}" for name in OF_THE_SOCKETS if getattr(started, name) != getattr(wanted, name)]
    if (started.certfile is None) != (wanted.certfile is None):
        changed.append("server.certfile")
    return changed


def tell_restart(started: ServerConfig, wanted: ServerConfig) -> None:
    for member in needs_restart(started, wanted):
        log.warning("%s has changed; that needs a restart", member)


def config_error_in(group: BaseExceptionGroup[BaseException]) -> ConfigError | None:
    """The ConfigError that came out through nurseries, if that is what happened."""
    for error in group.exceptions:
        found = config_error_in(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, ConfigError):
            return found
    return None
