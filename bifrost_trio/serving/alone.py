"""One process that obeys signals."""

from __future__ import annotations

import socket as stdlib_socket
from collections.abc import Callable, Sequence

import trio

from bifrost_trio.config import Config, ServerConfig
from bifrost_trio.serving.obeying import SIGNALS, Obeying
from bifrost_trio.serving.process import ServingProcess
from bifrost_trio.serving.settings import ConfigSource, tell_restart
from bifrost_trio.telemetry import LEARNED_MODELS, LogMode, Telemetry

__all__ = ["serve_alone"]


async def serve_alone(
    source: ConfigSource,
    config: Config,
    listeners: Sequence[stdlib_socket.socket],
    log_mode: LogMode,
    accepting: Callable[[], None],
) -> int:
    """Serves until a signal ends it; the exit status. Raises ConfigError, in a group."""
    process = ServingProcess(config, listeners, Telemetry(log=log_mode, learned_models=LEARNED_MODELS))
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            obeying = Obeying(_Alone(process, source, config.server), nursery.cancel_scope)
            nursery.start_soon(obeying.run, signals)
            await process.run(accepting)
            nursery.cancel_scope.cancel()
    return obeying.status


class _Alone:
    def __init__(self, process: ServingProcess, source: ConfigSource, started: ServerConfig) -> None:
        self._process = process
        self._source = source
        self._started = started

    @property
    def draining(self) -> bool:
        return self._process.draining

    def drain(self) -> None:
        self._process.drain()

    async def reload(self) -> None:
        config = await self._process.reload(self._source.read)
        if config is not None:
            tell_restart(self._started, config.server)
