"""Signals, and what they mean to whatever serves."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator
from typing import Protocol

import trio

__all__ = ["SIGNALS", "Obeying", "Serving"]

log = logging.getLogger("bifrost_trio.serving")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

ENDED_BY_SIGNAL = 128
"""A shell's exit status for what a signal ended is this and the signal's number."""


class Serving(Protocol):
    """One process or the supervisor of several."""

    @property
    def draining(self) -> bool: ...
    def drain(self) -> None: ...
    async def reload(self) -> None: ...


class Obeying:
    """``status`` is the exit status that the signals make."""

    def __init__(self, serving: Serving, all_ends: trio.CancelScope) -> None:
        self.status = 0
        self._serving = serving
        self._all_ends = all_ends

    async def run(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == signal.SIGHUP:
                await self._serving.reload()
            elif not self._serving.draining:
                log.info("%s: calls in flight may finish, no new ones are taken", signal.Signals(number).name)
                self._serving.drain()
            else:
                log.info("%s again: ending at once", signal.Signals(number).name)
                self.status = ENDED_BY_SIGNAL + number
                self._all_ends.cancel()
