"""Figures that this repository's texts quote of other libraries: why each of them is not on the hot path.

A figure is the least of several rounds. Imports are timed in processes of their own, as processor time and
resident memory beyond those of a bare Python. What is not installed is said to be absent.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import trio
import trio.testing

from benches.pieces import best, each
from bifrost_trio.sockets import Socket, TlsSocket, client_context
from bifrost_trio.sockets.inlet import READ_SIZE, note_arrivals, open_inlet

__all__ = ["show"]

IMPORTS = ("typer", "rich", "mcp", "hypercorn.trio.tcp_server")
IMPORT_ROUNDS = 5
READS = 2000
_PAGE = os.sysconf("SC_PAGE_SIZE")
_HELLO = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def show() -> None:
    """Prints a line for each."""
    for measure in (_imports, _reading, _prometheus, _trio, _tls, _hypercorn, _httpx):
        for line in measure():
            print(line, flush=True)


def _line(spent: float, unit: str, what: str) -> str:
    return f"{spent:9.2f} {unit}  {what}"


def _imports() -> Iterator[str]:
    bare = _started("")
    for name in IMPORTS:
        if importlib.util.find_spec(name.partition(".")[0]) is None:
            yield f"{'absent':>12}  import {name}"
            continue
        seconds, megabytes = (have - without for have, without in zip(_started(f"import {name}"), bare, strict=True))
        yield _line(seconds * 1000, "ms", f"import {name}: processor time, and {megabytes:.0f} MB")


def _started(code: str) -> tuple[float, float]:
    """Processor seconds and resident megabytes of a Python that ran this."""
    told = "import time; print(time.process_time(), open('/proc/self/statm').read().split()[1])"
    command = [sys.executable, "-c", f"{code}\n{told}"]
    seen = [subprocess.run(command, capture_output=True, check=True).stdout.split() for _ in range(IMPORT_ROUNDS)]
    return min(float(seconds) for seconds, _ in seen), min(int(pages) for _, pages in seen) * _PAGE / 2**20


def _reading() -> Iterator[str]:
    ways: dict[str, Callable[[socket.socket], Callable[[], Any]]] = {
        "recv": lambda end: functools.partial(end.recv, READ_SIZE),
        "recvmsg with the time, as a Python call": lambda end: functools.partial(end.recvmsg, READ_SIZE, 64),
        "recvmsg with the time, in Rust": lambda end: open_inlet(end, timed=True).receive,
    }
    for size in (1024, 102_400):
        for name, way in ways.items():
            yield _line(_least_read(size, way, timed=name != "recv"), "us", f"reading {size:,} bytes: {name}")


def _least_read(size: int, way: Callable[[socket.socket], Callable[[], Any]], *, timed: bool) -> float:
    """Microseconds of a read of so many bytes that have come over the loopback: the median, rounds differ little."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        peer = stack.enter_context(socket.socket())
        peer.connect(listener.getsockname())
        end = stack.enter_context(listener.accept()[0])
        end.setblocking(False)
        if timed:
            note_arrivals(end)
        read, spent, content = way(end), [], bytes(size)
        for _ in range(READS):
            peer.sendall(content)
            began = time.perf_counter()
            read()
            spent.append(time.perf_counter() - began)
            with contextlib.suppress(BlockingIOError):
                while end.recv(READ_SIZE):
                    """What did not come at once."""
    return statistics.median(spent) * 1e6


def _prometheus() -> Iterator[str]:
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    counter = Counter("calls", "", ["provider", "model"], registry=registry)
    histogram = Histogram("seconds", "", ["provider", "model"], registry=registry)
    one, other = counter.labels("openai", "m"), histogram.labels("openai", "m")
    yield _line(best(one.inc), "us", "prometheus-client: a counter's child, which is kept, inc()")
    yield _line(best(lambda: counter.labels("openai", "m").inc()), "us", "the same with labels()")
    yield _line(best(lambda: other.observe(0.2)), "us", "prometheus-client: a histogram's child, observe()")


def _trio() -> Iterator[str]:
    def limited() -> None:
        with trio.move_on_after(5):
            pass

    async def spent() -> float:
        return best(limited)

    yield _line(trio.run(spent), "us", "trio.move_on_after, entered and left")
    yield _line(best(client_context) / 1000, "ms", "the system's authorities read into an SSLContext")


class _Pipe(trio.abc.Stream):
    """An end whose bytes are there as soon as they are sent; as `Socket` and as a stream of Trio."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.peer = self

    async def send_all(self, data: Any) -> None:
        self.peer.incoming += data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while not self.incoming:
            await trio.lowlevel.checkpoint()
        data = bytes(self.incoming)
        self.incoming.clear()
        return data

    async def send(self, data: bytes, limit: float) -> None:
        await self.send_all(data)

    async def receive(self, limit: float) -> bytes:
        return await self.receive_some()

    async def wait_send_all_might_not_block(self) -> None: ...
    async def aclose(self) -> None: ...

    @classmethod
    def pair(cls) -> tuple[_Pipe, _Pipe]:
        one, other = cls(), cls()
        one.peer, other.peer = other, one
        return one, other


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    import trustme

    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("a.test").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def _tls() -> Iterator[str]:
    """One side's share of a kilobyte there and one back, with nothing but memory between the two."""
    yield _line(trio.run(_bare_tls) / 2, "us", "TLS, an exchange of 1 KB on one side: TlsSocket (a bare SSLObject)")
    yield _line(trio.run(_trio_tls) / 2, "us", "the same: trio.SSLStream")


async def _bare_tls() -> float:
    (one, other), (server, client) = _Pipe.pair(), _contexts()
    near = TlsSocket(_as_socket(one), client, host="a.test")
    far = TlsSocket(_as_socket(other), server, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.handshake, 5)
        await near.handshake(5)

    async def exchange() -> None:
        await near.send(bytes(1024), 5)
        await far.receive(5)
        await far.send(bytes(1024), 5)
        await near.receive(5)

    return await each(exchange, 1000)


def _as_socket(pipe: Any) -> Socket:
    socket: Socket = pipe
    return socket


async def _trio_tls() -> float:
    (one, other), (server, client) = _Pipe.pair(), _contexts()
    near = trio.SSLStream(one, client, server_hostname="a.test", https_compatible=True)
    far = trio.SSLStream(other, server, server_side=True, https_compatible=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.do_handshake)
        await near.do_handshake()

    async def exchange() -> None:
        await near.send_all(bytes(1024))
        await far.receive_some(65536)
        await far.send_all(bytes(1024))
        await near.receive_some(65536)

    return await each(exchange, 1000)


async def _answer(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def _hypercorn() -> Iterator[str]:
    yield _line(
        trio.run(_served_by_hypercorn), "us", "hypercorn (h11): a request of an empty ASGI application, in memory"
    )


async def _served_by_hypercorn() -> float:
    from hypercorn.app_wrappers import ASGIWrapper
    from hypercorn.config import Config
    from hypercorn.trio.tcp_server import TCPServer
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import ConnectionState

    config = Config()
    config.keep_alive_max_requests = 1_000_000
    near, far = trio.testing.memory_stream_pair()
    far.socket = _Addressed()  # type: ignore[attr-defined]
    application: Any = _answer
    server = TCPServer(ASGIWrapper(application), config, WorkerContext(None), ConnectionState({}), far)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)

        async def exchange() -> None:
            await near.send_all(_HELLO)
            received = b""
            while not received.endswith(b"\r\n\r\nok"):
                piece = await near.receive_some()
                if not piece:
                    raise ConnectionResetError("hypercorn closed the connection")
                received += piece

        spent = await each(exchange, 300)
        nursery.cancel_scope.cancel()
    return spent


class _Addressed:
    family = 2

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    getsockname = getpeername


def _httpx() -> Iterator[str]:
    yield _line(trio.run(_asked_by_httpx), "us", "httpx.AsyncClient on Trio: a request, one connection kept, both ends")


async def _asked_by_httpx() -> float:
    import httpx

    async def serve(stream: trio.SocketStream) -> None:
        async for _ in stream:
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        port = listeners[0].socket.getsockname()[1]
        async with httpx.AsyncClient(trust_env=False) as client:
            spent = await each(lambda: client.get(f"http://127.0.0.1:{port}/"), 200)
        nursery.cancel_scope.cancel()
    return spent
