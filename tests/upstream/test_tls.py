"""TLS to a provider: who is believed, who is not, and how that is said."""

from __future__ import annotations

import socket as stdlib_socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing
import trustme

from bifrost_trio.errors import ConnectionBroken, ConnectTimeout, Unreachable
from bifrost_trio.sockets import Poller, Socket, client_context
from bifrost_trio.upstream import Dial, Origin, Pool, TimeLimits
from tests.upstream.peers import ask

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
AUTHORITY = trustme.CA()
FAREWELL = "with a farewell"
PEM = AUTHORITY.cert_pem.bytes().decode()


def certified(*hosts: str, by: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    """What a server with a certificate for these names has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    by.issue_cert(*hosts).configure_cert(context)
    return context


@dataclass
class TlsServer:
    """Answers every request with `OK`; ``silent`` and ``plain``: no TLS at all; ``closes``: after each answer.

    ``unasked`` follows each answer, after so many seconds.
    """

    context: ssl.SSLContext
    closes: str = ""
    silent: bool = False
    plain: bytes = b""
    unasked: tuple[float, bytes] = (0.0, b"")
    names: list[str | None] = field(default_factory=list)
    connections: int = 0

    def dial(self, nursery: trio.Nursery, poller: Poller) -> Dial:
        async def connect(host: str, port: int, limit: float) -> Socket:
            ours, theirs = stdlib_socket.socketpair()
            theirs.setblocking(False)
            nursery.start_soon(self._serve, trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
            return Socket(ours, poller)

        return connect

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.context.sni_callback = lambda _, name, __: self.names.append(name)
        with stream.socket:
            if self.silent:
                await trio.sleep_forever()
            if self.plain:
                await stream.send_all(self.plain)
                return
            tls = trio.SSLStream(stream, self.context, server_side=True, https_compatible=self.closes != FAREWELL)
            try:
                while await tls.receive_some(65536):
                    await tls.send_all(OK)
                    await trio.sleep(self.unasked[0])
                    if self.unasked[1]:
                        await tls.send_all(self.unasked[1])
                    if self.closes == FAREWELL:
                        await tls.aclose()
                    if self.closes:
                        return
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return


@asynccontextmanager
async def pool_to(server: TlsServer, context: ssl.SSLContext, host: str = "api.test") -> AsyncIterator[Pool]:
    poller = Poller()
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        pool = Pool(Origin(host, 443, True), TimeLimits(), server.dial(nursery, poller), context=context)
        yield pool
        assert pool.statistics().busy == 0
        pool.close()
        assert poller.statistics().sockets == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("after", [0.0, 0.05])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_nobody_gets_what_nobody_asked_for(
    version: ssl.TLSVersion, after: float, autojump_clock: trio.testing.MockClock
) -> None:
    """It would be the answer to the next request, which may be another client's."""
    context = certified("api.test")
    context.maximum_version = version
    server = TlsServer(context, unasked=(after, OK.replace(b"ok", b"no")))
    async with pool_to(server, client_context(ca_pem=PEM)) as pool:
        for _ in range(3):
            assert await ask(pool) == (200, b"ok")
            await trio.sleep(1)
        assert server.connections == 3


Context = Callable[[], ssl.SSLContext]
BELIEVED: dict[str, tuple[list[str], str, Context]] = {
    "its name": (["api.test"], "api.test", lambda: client_context(ca_pem=PEM)),
    "one of its names": (["x.test", "api.test"], "api.test", lambda: client_context(ca_pem=PEM)),
    "a wildcard": (["*.up.test"], "api.up.test", lambda: client_context(ca_pem=PEM)),
    "its address": (["127.0.0.1"], "127.0.0.1", lambda: client_context(ca_pem=PEM)),
    "its address (6)": (["::1"], "::1", lambda: client_context(ca_pem=PEM)),
    "anybody, if it must be": (["other.test"], "api.test", lambda: client_context(verify=False)),
}


@pytest.mark.parametrize(("names", "host", "context"), BELIEVED.values(), ids=BELIEVED)
async def test_who_is_believed(
    names: list[str], host: str, context: Context, autojump_clock: trio.testing.MockClock
) -> None:
    server = TlsServer(certified(*names))
    async with pool_to(server, context(), host) as pool:
        for _ in range(3):
            assert await ask(pool) == (200, b"ok")
        assert pool.statistics().made == server.connections == 1
        assert server.names in ([host], [None])  # no address is named (RFC 6066 section 3)


NOT_BELIEVED: dict[str, tuple[list[str], trustme.CA, str, Context]] = {
    "another name": (["other.test"], AUTHORITY, "api.test", lambda: client_context(ca_pem=PEM)),
    "another address": (["127.0.0.2"], AUTHORITY, "127.0.0.1", lambda: client_context(ca_pem=PEM)),
    "a wildcard too far": (["*.up.test"], AUTHORITY, "a.api.up.test", lambda: client_context(ca_pem=PEM)),
    "another authority": (["api.test"], trustme.CA(), "api.test", lambda: client_context(ca_pem=PEM)),
    "one of its own, without ca_cert_pem": (["api.test"], AUTHORITY, "api.test", client_context),
}


@pytest.mark.parametrize(("names", "by", "host", "context"), NOT_BELIEVED.values(), ids=NOT_BELIEVED)
async def test_who_is_not_believed(
    names: list[str], by: trustme.CA, host: str, context: Context, autojump_clock: trio.testing.MockClock
) -> None:
    server = TlsServer(certified(*names, by=by))
    async with pool_to(server, context(), host) as pool:
        with pytest.raises(Unreachable, match="TLS with the provider failed") as caught:
            await ask(pool)
        assert caught.value.status == 502
        assert "CERTIFICATE" in caught.value.message
        assert pool.statistics().made == 0


async def test_an_old_tls_is_not_spoken(autojump_clock: trio.testing.MockClock) -> None:
    context = certified("api.test")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with pool_to(TlsServer(context), client_context(ca_pem=PEM)) as pool:
        with pytest.raises(Unreachable):
            await ask(pool)


@pytest.mark.parametrize("plain", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b"\x16"])
async def test_no_tls_at_the_other_end(plain: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with pool_to(TlsServer(certified("x"), plain=plain), client_context(ca_pem=PEM)) as pool:
        with pytest.raises(Unreachable):
            await ask(pool)


async def test_the_handshake_counts_to_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    async with pool_to(TlsServer(certified("x"), silent=True), client_context(ca_pem=PEM)) as pool:
        with pytest.raises(ConnectTimeout):
            await ask(pool)
        assert 5.0 <= trio.current_time() <= 5.1


async def test_who_leaves_within_the_handshake(autojump_clock: trio.testing.MockClock) -> None:
    async with pool_to(TlsServer(certified("x"), silent=True), client_context(ca_pem=PEM)) as pool:
        with trio.move_on_after(1) as scope:
            await ask(pool)
        assert scope.cancelled_caught


@pytest.mark.parametrize("closes", [FAREWELL, "without one"])
async def test_a_connection_closed_while_idle_is_not_lent(closes: str, autojump_clock: trio.testing.MockClock) -> None:
    server = TlsServer(certified("api.test"), closes=closes)
    async with pool_to(server, client_context(ca_pem=PEM)) as pool:
        for number in (1, 2, 3):
            assert await ask(pool) == (200, b"ok")
            await trio.testing.wait_all_tasks_blocked()
            assert pool.statistics().idle == 0
            assert server.connections == number
        assert pool.statistics().stale_retries == 0


async def test_an_end_without_a_farewell_is_no_end(autojump_clock: trio.testing.MockClock) -> None:
    """A body that the close delimits: over TLS, only a close_notify says that nobody cut it (RFC 9112 section 9.8)."""

    class Cuts(TlsServer):
        async def _serve(self, stream: trio.SocketStream) -> None:
            tls = trio.SSLStream(stream, self.context, server_side=True, https_compatible=self.closes != FAREWELL)
            await tls.receive_some(65536)
            await tls.send_all(b"HTTP/1.1 200 OK\r\n\r\nhalf an ans")
            if self.closes == FAREWELL:
                await tls.aclose()
            stream.socket.close()

    async with pool_to(Cuts(certified("api.test")), client_context(ca_pem=PEM)) as pool:
        with pytest.raises(ConnectionBroken):
            await ask(pool)
    async with pool_to(Cuts(certified("api.test"), closes=FAREWELL), client_context(ca_pem=PEM)) as pool:
        assert await ask(pool) == (200, b"half an ans")
