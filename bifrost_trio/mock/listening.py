"""The mock on a port."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from bifrost_trio.mock.connection import Answerer, Connection, MockStatistics, Tally
from bifrost_trio.mock.provider import MockProvider

__all__ = ["Listening", "serve_mock"]


@dataclass(frozen=True, slots=True)
class Listening:
    """A mock that serves. ``port`` is the one that was taken where 0 was asked for."""

    port: int
    _tally: Tally

    def statistics(self) -> MockStatistics:
        return self._tally.statistics()


async def serve_mock(
    host: str = "127.0.0.1",
    port: int = 8000,
    answer: Answerer | None = None,
    *,
    task_status: trio.TaskStatus[Listening] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until it is cancelled; ``answer`` is a `MockProvider` where nothing else is said. Raises OSError.

    ``listening = await nursery.start(serve_mock, "127.0.0.1", 0)``
    """
    answerer = answer or MockProvider()
    tally = Tally()

    async def serve(stream: trio.SocketStream) -> None:
        await Connection(stream, answerer, tally).run()

    listeners = await trio.open_tcp_listeners(port, host=host)
    bound = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve, listeners)
        task_status.started(Listening(bound, tally))
