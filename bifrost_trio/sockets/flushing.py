"""What the poller needs where Trio waits itself: a moment before that."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from bifrost_trio.sockets.poller import Poller

__all__ = ["Flushing", "remove"]


class Flushing(trio.abc.Instrument):
    """What was written goes out before Trio waits."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._token = trio.lowlevel.current_trio_token()

    def before_io_wait(self, timeout: float) -> None:
        poller = self._poller
        poller.woke = False
        try:
            poller.flush()
            poller.asked_at = poller.clock()
        except Exception as error:
            poller.fail(error)
            raise
        finally:
            if poller.woke:
                # Trio has made up its mind for how long to sleep.
                self._token.run_sync_soon(_nothing)


def _nothing() -> None:
    """Wakes Trio."""


def remove(instrument: trio.abc.Instrument) -> None:
    with suppress(KeyError):  # Trio itself drops one that raised
        trio.lowlevel.remove_instrument(instrument)
