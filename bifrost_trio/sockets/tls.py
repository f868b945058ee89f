"""TLS over a `Socket`: a bare `ssl.SSLObject` on memory BIOs (less than half of what `trio.SSLStream` costs)."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path

import trio

from bifrost_trio.sockets.channel import Take
from bifrost_trio.sockets.stream import READ_SIZE, Socket

__all__ = ["TlsSocket", "client_context", "server_context"]


def client_context(*, ca_pem: str | None = None, verify: bool = True) -> ssl.SSLContext:
    """For connections to providers: TLS 1.2 or later, the system's authorities, or the ones in ``ca_pem`` alone."""
    context = ssl.create_default_context(cadata=ca_pem)
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def server_context(certificate: Path, key: Path | None, *, http2: bool = True) -> ssl.SSLContext:
    """For clients: TLS 1.2 or later; HTTP/2 offered by ALPN (RFC 9113 section 3.2). Raises OSError, ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


class TlsSocket:
    """The surface of `Socket`, encrypted. A peer that ends without a close_notify is a broken connection: OSError."""

    __slots__ = ("_incoming", "_inner", "_object", "_outgoing", "_within_record")

    def __init__(
        self, inner: Socket, context: ssl.SSLContext, *, server_side: bool = False, host: str | None = None
    ) -> None:
        self._inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._within_record = False
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=host)

    @property
    def inner(self) -> Socket:
        return self._inner

    @property
    def ssl_object(self) -> ssl.SSLObject:
        return self._object

    @property
    def on_hangup(self) -> Callable[[], None] | None:
        return self._inner.on_hangup

    @on_hangup.setter
    def on_hangup(self, callback: Callable[[], None] | None) -> None:
        self._inner.on_hangup = callback

    @property
    def hangup(self) -> bool:
        return self._inner.hangup

    @property
    def waited(self) -> float:
        return self._inner.waited

    @property
    def came_at(self) -> float:
        return self._inner.came_at

    @property
    def blocked(self) -> float:
        return self._inner.blocked

    @property
    def stale(self) -> bool:
        """As `Socket.stale`; takes in what has come, to see whether TLS alone has a use for it."""
        if self._inner.hangup:
            return True
        if not (self._inner.ready or self._incoming.pending or self._object.pending()):
            return False
        # A TLS 1.3 server sends session tickets after the handshake: bytes, but no reason to drop the connection. What
        # can be read, however, would be taken for the answer to somebody else's request.
        try:
            while (data := self._inner.receive_now()) is not None:
                self._incoming.write(data)
                if not data:
                    return True
            self._object.read(1)
        except ssl.SSLWantReadError:
            return False
        except OSError:
            return True
        return True

    @property
    def unread(self) -> bool:
        """As `Socket.unread`; of what has come not all need be the peer's own words."""
        return bool(self._incoming.pending or self._object.pending()) or self._inner.unread

    def arm(self, on_hangup: Callable[[], None]) -> None:
        self._inner.arm(on_hangup)

    async def handshake(self, limit: float) -> None:
        """Raises ssl.SSLError (an OSError) when the peers do not agree, `trio.TooSlowError`."""
        deadline = trio.current_time() + limit
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush(limit)
                await self._fill(max(deadline - trio.current_time(), 0.0))
            except ssl.SSLError:
                with contextlib.suppress(OSError, trio.TooSlowError):
                    await self._flush(1.0)
                raise
            else:
                await self._flush(limit)
                return

    async def receive(self, limit: float) -> bytes:
        while True:
            try:
                return self._object.read(READ_SIZE)
            except ssl.SSLWantReadError:
                # What TLS itself answers (RFC 8446 section 4.6.3) waits until a record that is under way has gone out.
                if self._outgoing.pending and not self._within_record:
                    await self._flush(limit)
                await self._fill(limit)
            except ssl.SSLZeroReturnError:
                return b""

    async def pull(self, take: Take, limit: float) -> None:
        while take(await self.receive(limit)):
            pass

    def offer(self, data: bytes) -> bool:
        if self._inner.full or self._within_record:
            return False
        self._object.write(data)
        return self._inner.offer(self._outgoing.read())

    async def send(self, data: bytes, limit: float) -> None:
        if rest := self.begin_send(data):
            await self.finish_send(rest, limit)

    def begin_send(self, data: bytes) -> memoryview | None:
        if data:
            self._object.write(data)
        rest = self._inner.begin_send(self._outgoing.read())
        self._within_record = bool(rest)
        return rest

    async def finish_send(self, rest: memoryview, limit: float) -> None:
        await self._inner.finish_send(rest, limit)
        self._within_record = False

    async def drain(self, limit: float) -> None:
        await self._inner.drain(limit)

    def send_now(self, data: bytes) -> int:
        """Takes everything: what the kernel has no room for is part of a record, and goes out before all else."""
        self._object.write(data)
        encrypted = self._outgoing.read()
        self._outgoing.write(encrypted[self._inner.send_now(encrypted) :])
        return len(data)

    async def _flush(self, limit: float) -> None:
        data = self._outgoing.read()
        if data:
            await self._inner.send(data, limit)

    async def _fill(self, limit: float) -> None:
        data = await self._inner.receive(limit)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def feed(self, data: bytes) -> None:
        """Bytes that were read from the socket before TLS began."""
        self._incoming.write(data)

    def close(self) -> None:
        self.say_end()
        self._inner.close()

    def say_end(self) -> None:
        """Sends the close_notify, if the kernel takes it at once: closing never waits."""
        with contextlib.suppress(ssl.SSLError, OSError, ValueError):
            try:
                self._object.unwrap()
            except ssl.SSLWantReadError:
                pass
            self._inner.send_now(self._outgoing.read())

    def reset(self) -> None:
        self._inner.reset()
