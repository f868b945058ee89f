"""What a supervisor and its workers say to each other: framed messages on a Unix socket pair, one for each worker."""

from __future__ import annotations

import math
import socket as stdlib_socket
import struct
from typing import TypeAlias

import msgspec
import trio

__all__ = [
    "Accepting",
    "Control",
    "Drain",
    "Exposition",
    "Failed",
    "Gather",
    "Kept",
    "Message",
    "Reload",
    "Scrape",
    "Snapshot",
    "Start",
]

MAX_MESSAGE = 256 * 2**20
"""Bytes of one message: a configuration file may have 64 MB."""


class Start(msgspec.Struct, tag="start"):
    """The first message to a worker: its name, and how to serve, in the words of whoever serves."""

    worker: str
    orders: bytes


class Reload(msgspec.Struct, tag="reload"):
    orders: bytes


class Drain(msgspec.Struct, tag="drain"):
    """To a worker: no new connections; end when the calls in flight are over."""


class Gather(msgspec.Struct, tag="gather"):
    """To a worker: a `Snapshot` with this number is wanted at once."""

    number: int


class Exposition(msgspec.Struct, tag="exposition"):
    """The answer to `Scrape`: the metrics of all workers."""

    number: int
    text: bytes


class Accepting(msgspec.Struct, tag="accepting"):
    """From a worker: clients may come."""


class Failed(msgspec.Struct, tag="failed"):
    """From a worker that cannot start: pairs of a place in the configuration and what is wrong there."""

    problems: list[tuple[str, str]]


class Kept(msgspec.Struct, tag="kept"):
    """From a worker that cannot do as `Reload` says: it goes on as before."""


class Snapshot(msgspec.Struct, tag="snapshot"):
    """What a worker has counted; ``number`` is that of the `Gather` which it answers, or 0."""

    number: int
    data: bytes


class Scrape(msgspec.Struct, tag="scrape"):
    """From a worker: somebody asks it for metrics."""

    number: int


Message: TypeAlias = Start | Reload | Drain | Gather | Exposition | Accepting | Failed | Kept | Snapshot | Scrape

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_LENGTH = struct.Struct(">I")


class Control:
    """One end of the channel. `say` never waits; `run`, in a task of its own, sends what was said."""

    def __init__(self, sock: stdlib_socket.socket) -> None:
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._said, self._unsent = trio.open_memory_channel[Message](math.inf)
        self._received = bytearray()

    @property
    def behind(self) -> bool:
        """Whether something that was said has not been sent."""
        return self._said.statistics().current_buffer_used > 0

    def say(self, message: Message) -> None:
        """What is said to an end that is gone is lost: whoever reads learns of it."""
        try:
            self._said.send_nowait(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def finish(self) -> None:
        """`run` returns when everything has been sent."""
        self._said.close()

    async def run(self) -> None:
        with self._unsent:
            try:
                async for message in self._unsent:
                    data = _encode(message)
                    await self._stream.send_all(_LENGTH.pack(len(data)) + data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async def receive(self) -> Message | None:
        """The next message; None when the other end is gone or what it says makes no sense."""
        try:
            head = await self._take(_LENGTH.size)
            (size,) = _LENGTH.unpack(head)
            if size > MAX_MESSAGE:
                return None
            return _decoder.decode(await self._take(size))
        except (trio.BrokenResourceError, trio.ClosedResourceError, msgspec.MsgspecError):
            return None

    async def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            data = await self._stream.receive_some()
            if not data:
                raise trio.BrokenResourceError("the other end is gone")
            self._received += data
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def close(self) -> None:
        self._said.close()
        self._unsent.close()
        self._stream.socket.close()
