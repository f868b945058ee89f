"""A connection of ours with the surface that Hypercorn knows: that of Trio's streams."""

from __future__ import annotations

import contextlib
import socket as stdlib_socket

import outcome
import trio

from bifrost_trio.sockets import Channel, Socket, TlsSocket

__all__ = ["HandedStream"]

LOOK_AGAIN_SECONDS = 3600.0
"""How long a read waits is Hypercorn's business; a read without any limit is none of ours."""

LINGER_SECONDS = 1.0
LINGER_BYTES = 1024 * 1024
"""How long, and for how much, a connection that we end reads on: closing it while bytes come would reset it, and take
the last frames away from the client."""


class HandedStream:
    """``received`` are the bytes that were read before; ``limit`` is how many seconds a write may stand still.

    The socket stays in the poller's set, so that TLS goes on where it is and a write has its limit. Whatever ends it is
    one of the two errors of Trio's streams.
    """

    def __init__(self, socket: Socket, tls: TlsSocket | None, received: bytes, limit: float) -> None:
        self._socket = socket
        self._tls = tls
        self._channel: Channel = socket if tls is None else tls
        self._received = received
        self._limit = limit
        self._closing = False

    @property
    def socket(self) -> stdlib_socket.socket:
        """For its addresses."""
        return self._socket.sock

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._received:
            received, self._received = self._received, b""
            return received
        if self._closing:
            raise trio.ClosedResourceError("this connection is being closed")
        while True:
            try:
                return await self._channel.receive(LOOK_AGAIN_SECONDS)
            except trio.TooSlowError:
                continue
            except (OSError, trio.BusyResourceError) as error:
                raise trio.BrokenResourceError("the client's connection broke") from error

    async def send_all(self, data: bytes) -> None:
        """The limit, or `abort`, ends it when the client does not read."""
        if self._closing:
            raise trio.ClosedResourceError("this connection is being closed")
        try:
            await self._channel.send(data, self._limit)
        except (OSError, trio.TooSlowError, trio.BusyResourceError) as error:
            self.abort()
            raise trio.BrokenResourceError("the client's connection broke, or it took nothing") from error

    def abort(self) -> None:
        """Ends it so that the client sees an error; reads and writes that wait end, too."""
        self._closing = True
        self._socket.reset()

    def close(self) -> None:
        self._socket.close()

    async def aclose(self) -> None:
        """Says the end to the client. `linger` closes."""
        if self._closing:
            return
        self._closing = True
        self._socket.wake(outcome.Error(trio.ClosedResourceError("this connection was closed")))
        if self._tls is not None:
            self._tls.say_end()
        with contextlib.suppress(OSError):
            self._socket.end()

    async def linger(self) -> None:
        """Reads on and throws away until the client has closed its side, too."""
        size = 0
        try:
            with trio.move_on_after(LINGER_SECONDS):
                while size < LINGER_BYTES and self._socket.fd >= 0:
                    data = await self._socket.receive(LINGER_SECONDS)
                    if not data:
                        return
                    size += len(data)
        except (OSError, trio.TooSlowError, trio.ClosedResourceError, trio.BusyResourceError):
            return
        finally:
            self._socket.close()
