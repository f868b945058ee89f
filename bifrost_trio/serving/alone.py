"""One process that obeys signals."""

from __future__ import annotations

import logging
import signal
import socket as stdlib_socket
from collections.abc import AsyncIterator, Callable, Sequence

import trio

from bifrost_trio.config import Config
from bifrost_trio.serving.process import ServingProcess
from bifrost_trio.serving.settings import ConfigSource
from bifrost_trio.telemetry import Telemetry

__all__ = ["SIGNALS", "serve_alone"]

log = logging.getLogger("bifrost_trio.serving")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

ENDED_BY_SIGNAL = 128
"""A shell's exit status for what a signal ended is this and the signal's number."""


async def serve_alone(
    source: ConfigSource,
    config: Config,
    listeners: Sequence[stdlib_socket.socket],
    log_mode: str,
    accepting: Callable[[], None],
) -> int:
    """Serves until a signal ends it; the exit status. Raises ConfigError."""
    process = ServingProcess(config, listeners, Telemetry())
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            obeying = Obeying(process, source, nursery.cancel_scope)
            nursery.start_soon(obeying.run, signals)
            await process.run(accepting)
            nursery.cancel_scope.cancel()
    return obeying.status


class Obeying:
    """Signals to one process. ``status`` is the exit status that they make."""

    def __init__(self, process: ServingProcess, source: ConfigSource, all_ends: trio.CancelScope) -> None:
        self.status = 0
        self._process = process
        self._source = source
        self._all_ends = all_ends

    async def run(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == signal.SIGHUP:
                await self._process.reload(self._source.read)
            elif not self._process.draining:
                log.info("%s: calls in flight may finish, no new ones are taken", signal.Signals(number).name)
                self._process.drain()
            else:
                log.info("%s again: ending at once", signal.Signals(number).name)
                self.status = ENDED_BY_SIGNAL + number
                self._all_ends.cancel()
