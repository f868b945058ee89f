"""A provider without a network."""

from __future__ import annotations

import enum
import errno
import functools
import inspect
import socket as stdlib_socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from bifrost_trio.mock import Connection, MockProvider, MockStatistics, Received, Script, Tally
from bifrost_trio.sockets import Poller, Socket
from bifrost_trio.testing.pairs import make_reset, socket_pair
from bifrost_trio.upstream import Dial

__all__ = ["Connecting", "PlayedAnswer", "ScriptedUpstream"]

PlayedAnswer: TypeAlias = str | bytes | Script | Callable[[Received], "bytes | Script | Awaitable[bytes | Script]"]
"""Words for a `MockProvider` (``"status=500"``); a recorded answer, head and all; a script; or a function of the
request, plain or async, that gives one of the last two."""


class Connecting(enum.Enum):
    """How a new connection to the provider goes."""

    AT_ONCE = "at once"
    HANGS = "hangs"
    REFUSED = "refused"
    DEAF = "deaf"
    """It is made, but nothing is ever read from it."""


class ScriptedUpstream:
    """Plays ``answers`` one after another, one to a request, the last one for ever, and records every request.

    Without any it is a `MockProvider`.
    ``requests`` are those received, in order; ``connecting`` may be changed at any time.
    """

    def __init__(self, *answers: PlayedAnswer, connecting: Connecting = Connecting.AT_ONCE) -> None:
        self.answers = [MockProvider(one) if isinstance(one, str) else one for one in answers or ("",)]
        self.connecting = connecting
        self.requests: list[Received] = []
        self.dialled = 0
        self._tally = Tally()
        self._nursery: trio.Nursery | None = None

    def attach(self, nursery: trio.Nursery) -> None:
        """Connections made from now on are served in ``nursery``. `gateway_in_memory` does this."""
        self._nursery = nursery

    def dial(self, poller: Poller) -> Dial:
        """What `bifrost_trio.app.open_gateway` takes as ``dial``."""

        async def connect(host: str, port: int, limit: float) -> Socket:
            self.dialled += 1
            if self.connecting is Connecting.REFUSED:
                raise ConnectionRefusedError(errno.ECONNREFUSED, f"{host}:{port} refuses connections")
            if self.connecting is Connecting.HANGS:
                with trio.fail_after(limit):
                    await trio.sleep_forever()
            return self._connect(host, poller)

        return connect

    def _connect(self, host: str, poller: Poller) -> Socket:
        if self._nursery is None:
            raise RuntimeError("attach() this upstream to a nursery before anything connects to it")
        own, other = socket_pair()
        socket = Socket(other, poller)
        prepare_reset = functools.partial(make_reset, other)
        connection = Connection(own, self._answer, self._tally, host=host, prepare_reset=prepare_reset)
        self._nursery.start_soon(self._serve, connection, own)
        return socket

    async def _serve(self, connection: Connection, own: stdlib_socket.socket) -> None:
        if self.connecting is Connecting.DEAF:
            with own:
                await trio.sleep_forever()
        await connection.run()

    async def _answer(self, request: Received) -> Script:
        self.requests.append(request)
        answer: object = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if callable(answer):
            answer = answer(request)
            if inspect.isawaitable(answer):
                answer = await answer
        if isinstance(answer, bytes):
            return Script([answer])
        if isinstance(answer, Script):
            return answer
        raise TypeError(f"an upstream's answer is bytes or a Script, not {type(answer).__name__}")

    def statistics(self) -> MockStatistics:
        return self._tally.statistics()
