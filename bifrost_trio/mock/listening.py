"""The mock on a port."""

from __future__ import annotations

import socket as stdlib_socket
from dataclasses import dataclass

import trio

from bifrost_trio.mock.connection import Answerer, Connection, MockStatistics, Tally
from bifrost_trio.mock.provider import MockProvider
from bifrost_trio.sockets import accept_from, listen

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
    listeners = listen(host, port)
    try:
        async with trio.open_nursery() as nursery:

            def accept(sock: stdlib_socket.socket) -> None:
                nursery.start_soon(Connection(sock, answerer, tally).run)

            for listener in listeners:
                nursery.start_soon(accept_from, listener, accept)
            task_status.started(Listening(listeners[0].getsockname()[1], tally))
    finally:
        for listener in listeners:
            listener.close()
