"""The supervisor of several processes, which obeys signals."""

from __future__ import annotations

import logging
import socket as stdlib_socket
from collections.abc import Callable, Sequence

import trio

from bifrost_trio.config import Config, ServerConfig, format_problems
from bifrost_trio.errors import ConfigError
from bifrost_trio.server import Supervisor
from bifrost_trio.serving.obeying import SIGNALS, Obeying
from bifrost_trio.serving.orders import Orders
from bifrost_trio.serving.settings import ConfigSource, tell_restart, tls_context
from bifrost_trio.telemetry import Ledger, LogMode

__all__ = ["serve_many"]

log = logging.getLogger("bifrost_trio.serving")

WORKER = "bifrost_trio.serving.worker"


async def serve_many(
    source: ConfigSource,
    config: Config,
    listeners: Sequence[stdlib_socket.socket],
    log_mode: LogMode,
    accepting: Callable[[], None],
) -> int:
    """Serves until a signal ends it; the exit status. Raises ConfigError or WorkersFailed, in a group."""
    many = _Many(source, config.server, listeners, log_mode)
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            obeying = Obeying(many, nursery.cancel_scope)
            nursery.start_soon(obeying.run, signals)
            await many.supervisor.run(accepting)
            nursery.cancel_scope.cancel()
    return obeying.status


class _Many:
    def __init__(
        self,
        source: ConfigSource,
        started: ServerConfig,
        listeners: Sequence[stdlib_socket.socket],
        log_mode: LogMode,
    ) -> None:
        self._source = source
        self._started = started
        self._listeners = listeners
        self._log_mode = log_mode
        self.supervisor = Supervisor(
            WORKER,
            listeners,
            source.environ,
            started.workers,
            Ledger(),
            orders=self._orders(),
            drain_seconds=started.drain_timeout_in_seconds,
        )

    def _orders(self) -> bytes:
        source = self._source
        said = Orders(source.content(), dict(source.overrides), self._log_mode, source.insecure_no_authentication)
        return said.encode()

    @property
    def draining(self) -> bool:
        return self.supervisor.draining

    def drain(self) -> None:
        self.supervisor.drain()
        # The workers close theirs; the port is free when all have.
        for listener in self._listeners:
            listener.close()

    async def reload(self) -> None:
        """The workers are told only of what this process could read, so that they do not differ."""
        if self.draining:
            return
        try:
            server = self._source.read().server
            tls_context(server)
        except ConfigError as error:
            problems = format_problems(error.problems)
            log.error("the configuration was not reloaded, the old one stays in use:\n%s", problems)
            return
        tell_restart(self._started, server)
        self.supervisor.drain_seconds = server.drain_timeout_in_seconds
        self.supervisor.reload(self._orders())
