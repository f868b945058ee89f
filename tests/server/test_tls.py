"""The TLS listener: both protocols, and clients that do not speak it."""

from __future__ import annotations

import json
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trustme

from bifrost_trio.errors import ConfigError
from bifrost_trio.server import Timeouts
from bifrost_trio.serving.settings import ConfigSource, tls_context
from bifrost_trio.sockets import server_context
from tests.server.served import Served, serving, until

pytestmark = pytest.mark.real_clock


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> tuple[Path, Path]:
    return write_certificate(authority, tmp_path)


def write_certificate(authority: trustme.CA, folder: Path) -> tuple[Path, Path]:
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certfile, keyfile = folder / "cert.pem", folder / "key.pem"
    certfile.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    keyfile.write_bytes(certificate.private_key_pem.bytes())
    return certfile, keyfile


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def served(provider: Any, files: tuple[Path, Path]) -> AsyncIterator[Served]:
    async with serving(provider, Timeouts(handshake=0.3, drain=5), server_context(*files)) as found:
        yield found


@pytest.mark.parametrize("http2", [False, True])
async def test_chat(served: Served, trusting: ssl.SSLContext, chat: Any, http2: bool) -> None:
    url = f"https://127.0.0.1:{served.port}"
    async with httpx.AsyncClient(base_url=url, verify=trusting, http2=http2) as client:
        for _ in range(2):
            answer = await client.post("/v1/chat/completions", json=chat(user="y" * 200_000))
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            assert answer.json()["choices"][0]["message"]["content"] == "hello"
        async with client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as streamed:
            text = "".join([piece async for piece in streamed.aiter_text()])
        assert text.endswith("data: [DONE]\n\n")
        assert served.server.statistics().accepted == 1


@pytest.mark.parametrize("http2", [False, True])
async def test_a_client_that_leaves_cancels_the_upstream(
    served: Served, provider: Any, trusting: ssl.SSLContext, chat: Any, http2: bool
) -> None:
    provider.hold = True
    url = f"https://127.0.0.1:{served.port}"
    async with httpx.AsyncClient(base_url=url, verify=trusting, http2=http2) as client:

        async def ask() -> None:
            await client.post("/v1/chat/completions", json=chat(stream=True))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until(lambda: provider.open_streams == 1)
            nursery.cancel_scope.cancel()
        # httpx resets no HTTP/2 stream that it drops: it is the end of the connection that tells.
        await client.aclose()
        await until(lambda: provider.left == 1)
        await until(lambda: served.open_calls == 0)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("why", ["as asked", "drained", "idle"])
async def test_the_end_says_that_it_is_one(
    provider: Any, files: Any, trusting: ssl.SSLContext, version: ssl.TLSVersion, why: str
) -> None:
    """A client that minds takes an end without a close_notify for one that somebody else made (RFC 8446 6.1)."""
    trusting.minimum_version = trusting.maximum_version = version
    async with serving(provider, Timeouts(keep_alive=0.2 if why == "idle" else 9), server_context(*files)) as served:
        tcp = await trio.open_tcp_stream("127.0.0.1", served.port)
        stream = trio.SSLStream(tcp, trusting, server_hostname="127.0.0.1", https_compatible=False)
        line = b"connection: close\r\n" if why == "as asked" else b""
        await stream.send_all(b"GET /health HTTP/1.1\r\nhost: g\r\n%b\r\n" % line)
        answer = b""
        with trio.fail_after(5):
            while piece := await stream.receive_some():
                answer += piece
                if why == "drained" and answer.endswith(b"}"):
                    await until(lambda: served.server.statistics().idle == 1)
                    served.server.drain()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b'{"status":"ok"}')
        await stream.aclose()


async def test_http2_drains(served: Served, provider: Any, trusting: ssl.SSLContext, chat: Any) -> None:
    provider.hold = True
    url = f"https://127.0.0.1:{served.port}"
    async with (
        httpx.AsyncClient(base_url=url, verify=trusting, http2=True) as client,
        client.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as answer,
    ):
        pieces = answer.aiter_text()
        await anext(pieces)
        served.server.drain()
        provider.let_go.set()
        assert "".join([piece async for piece in pieces]).endswith("data: [DONE]\n\n")
        await until(lambda: served.server.statistics().open == 0)


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\nhost: g\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03"]
)
async def test_what_is_not_tls_is_closed_quietly(served: Served, caplog: pytest.LogCaptureFixture, said: bytes) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
        await stream.send_all(said)
        with trio.fail_after(2):
            answer = b"".join([piece async for piece in stream])
    assert b"HTTP" not in answer
    await until(lambda: served.server.statistics().open == 0)
    assert not caplog.records


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_an_old_client_is_refused(served: Served, trusting: ssl.SSLContext) -> None:
    trusting.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    trusting.set_ciphers("ALL:@SECLEVEL=0")
    tcp = await trio.open_tcp_stream("127.0.0.1", served.port)
    async with trio.SSLStream(tcp, trusting, server_hostname="127.0.0.1") as stream:
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()


async def test_a_websocket_is_refused(served: Served, trusting: ssl.SSLContext) -> None:
    tcp = await trio.open_tcp_stream("127.0.0.1", served.port)
    stream = trio.SSLStream(tcp, trusting, server_hostname="127.0.0.1", https_compatible=True)
    await stream.send_all(
        b"GET /v1/realtime HTTP/1.1\r\nhost: g\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with trio.fail_after(2):
        answer = b"".join([piece async for piece in stream])
    assert answer.startswith(b"HTTP/1.1 403")
    await stream.aclose()


async def test_reload_takes_a_new_certificate(
    provider: Any, config: Path, start_gateway: Any, files: tuple[Path, Path], write_config: Any, trusting: Any
) -> None:
    certfile, keyfile = map(str, files)
    write_config(config, provider, "openai", server={"certfile": certfile, "keyfile": keyfile})
    gateway = await start_gateway("--config", config, "--port", 0)
    assert gateway.url.startswith("https://")
    async with httpx.AsyncClient(base_url=gateway.url, verify=trusting, http2=True) as client:
        assert (await client.get("/health")).http_version == "HTTP/2"
    other = trustme.CA()
    write_certificate(other, files[0].parent)
    gateway.signal(signal.SIGHUP)
    await gateway.until_said("was reloaded")
    newly_trusting = ssl.create_default_context()
    other.configure_trust(newly_trusting)
    async with httpx.AsyncClient(base_url=gateway.url, verify=newly_trusting) as client:
        assert (await client.get("/health")).status_code == 200
    break_file(files[0])
    gateway.signal(signal.SIGHUP)
    await gateway.until_said("server.certfile")
    async with httpx.AsyncClient(base_url=gateway.url, verify=newly_trusting) as client:
        assert (await client.get("/health")).status_code == 200


def break_file(path: Path) -> None:
    path.write_text("no certificate")


@pytest.mark.parametrize("broken", ["absent", "no certificate"])
def test_a_certificate_that_cannot_be_used(tmp_path: Path, broken: str) -> None:
    certfile = tmp_path / "cert.pem"
    if broken != "absent":
        certfile.write_text(broken)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"server": {"certfile": str(certfile)}}))
    with pytest.raises(ConfigError) as refused:
        tls_context(ConfigSource(path, {}).read().server)
    (problem,) = refused.value.problems
    assert problem.path == "server.certfile"
    assert "cert.pem" in problem.message
