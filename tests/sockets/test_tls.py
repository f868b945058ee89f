"""TLS over a socket of the set: its records go out whole, whatever else there is to say."""

from __future__ import annotations

import contextlib
import socket as stdlib_socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing
import trustme

from bifrost_trio.sockets import Poller, Socket, TlsSocket

LIMIT = 60.0
LARGE = bytes(range(256)) * 4096
AUTHORITY = trustme.CA()


class Peer:
    """A TLS client that reads and writes only when the test says so."""

    def __init__(self, sock: stdlib_socket.socket) -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        AUTHORITY.configure_trust(context)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="g.test")
        self.received = b""

    def write_out(self) -> None:
        self.sock.send(self.outgoing.read())

    def take(self) -> int:
        """Everything that lies in the kernel; how many bytes that were."""
        size = 0
        with contextlib.suppress(BlockingIOError):
            while data := self.sock.recv(65536):
                size += len(data)
                self.incoming.write(data)
        return size

    def read(self) -> None:
        """What has come, decrypted; raises ssl.SSLError if a record was torn."""
        self.take()
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                self.received += self.tls.read(65536)

    async def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
                self.write_out()
                return
            except ssl.SSLWantReadError:
                self.write_out()
                await trio.testing.wait_all_tasks_blocked()
                self.take()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[TlsSocket, Peer]]:
    """A server's end, and its client, behind a kernel that takes little at once."""
    poller = Poller()
    ours, theirs = stdlib_socket.socketpair()
    theirs.setblocking(False)
    ours.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_SNDBUF, 16_384)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("g.test").configure_cert(context)
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        tls = TlsSocket(Socket(ours, poller), context, server_side=True)
        peer = Peer(theirs)
        async with trio.open_nursery() as hands:
            hands.start_soon(tls.handshake, LIMIT)
            await peer.shake_hands()
        try:
            yield tls, peer
        finally:
            tls.close()
            theirs.close()
            nursery.cancel_scope.cancel()


async def test_a_reader_says_nothing_within_a_record(autojump_clock: trio.testing.MockClock) -> None:
    """What TLS has to say meanwhile waits until the record is whole: between its halves nobody could read either."""
    async with connected() as (tls, peer), trio.open_nursery() as nursery:
        heard: list[bytes] = []

        async def listen() -> None:
            while True:
                heard.append(await tls.receive(LIMIT))

        rest = tls.begin_send(LARGE)
        assert rest
        tls.send_now(b" and more")  # for which the kernel has no room: it is left pending, as a key update would be
        nursery.start_soon(listen)
        await trio.testing.wait_all_tasks_blocked()
        peer.read()
        assert 0 < len(peer.received) < len(LARGE)
        await trio.testing.wait_all_tasks_blocked()
        assert peer.take() == 0

        nursery.start_soon(tls.finish_send, rest, LIMIT)
        while len(peer.received) < len(LARGE):
            await trio.testing.wait_all_tasks_blocked()
            peer.read()
        assert peer.received == LARGE

        peer.tls.write(b"go on")
        peer.write_out()
        await trio.testing.wait_all_tasks_blocked()
        peer.read()
        assert heard == [b"go on"]
        assert peer.received == LARGE + b" and more"
        nursery.cancel_scope.cancel()
