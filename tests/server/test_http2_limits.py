"""HTTP/2 clients that take more than their share."""

from __future__ import annotations

import json
from typing import Any

import h2.connection
import h2.events
import pytest
import trio
from h2.errors import ErrorCodes

from bifrost_trio.server import Timeouts
from bifrost_trio.server.h2_limits import Allowance
from tests.server.h2_client import H2Client, by_hand
from tests.server.served import Served, serving, until

pytestmark = pytest.mark.real_clock


async def attack(served: Served, frames: Any) -> Any:
    """Sends without ever waiting for an answer; the connection's last word."""
    async with by_hand(served) as client:
        with trio.move_on_after(9):
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    try:
                        for number in range(3000):
                            frames(client, number)
                            if number % 50 == 0:
                                await client.flush()
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        return

                nursery.start_soon(send)
                goodbye = await read_to_goodbye(client)
                nursery.cancel_scope.cancel()
                return goodbye
        raise AssertionError("nobody stopped this")


async def read_to_goodbye(client: H2Client) -> Any:
    """Reads with a connection of its own, so that the attacker's state stays as it is."""
    reader = h2.connection.H2Connection()
    reader.initiate_connection()
    received = b""
    while data := await client.stream.receive_some():
        received += data
        at = 0
        while len(received) - at >= 9:
            size = int.from_bytes(received[at : at + 3], "big")
            if len(received) - at < 9 + size:
                break
            if received[at + 3] == 7:  # GOAWAY: last stream, error code (RFC 9113 section 6.8)
                return ErrorCodes(int.from_bytes(received[at + 13 : at + 17], "big"))
            at += 9 + size
        received = received[at:]
    raise AssertionError("the connection ended without a word")


async def test_rapid_reset(provider: Any, chat: Any) -> None:
    provider.hold = True
    body = json.dumps(chat(stream=True)).encode()

    def frames(client: H2Client, number: int) -> None:
        client.h2.reset_stream(client.post(body), ErrorCodes.CANCEL)
        # The attacker does not care about windows.
        client.h2.outbound_flow_control_window = 2**20

    async with serving(provider) as served:
        assert await attack(served, frames) == ErrorCodes.ENHANCE_YOUR_CALM
        assert served.begun <= 1100
        await until(lambda: served.open_calls == 0)
        await until(lambda: provider.open_streams == 0)
        # Others are served as ever.
        provider.hold = False
        async with served.client() as client:
            assert (await client.post("/v1/chat/completions", json=chat())).status_code == 200


async def test_settings_flood(provider: Any) -> None:
    async with serving(provider) as served:
        code = await attack(served, lambda client, number: client.h2.update_settings({4: 70_000 + number}))
        assert code == ErrorCodes.ENHANCE_YOUR_CALM


async def test_ping_flood(provider: Any) -> None:
    async with serving(provider) as served:
        code = await attack(served, lambda client, number: client.h2.ping(number.to_bytes(8, "big")))
        assert code == ErrorCodes.ENHANCE_YOUR_CALM


async def test_crumbs_of_data(provider: Any) -> None:
    def frames(client: H2Client, number: int) -> None:
        if number == 0:
            client.post(None)
        client.h2.send_data(1, b"")

    async with serving(provider) as served:
        assert await attack(served, frames) == ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_client_that_takes_nothing(provider: Any, chat: Any) -> None:
    """Its window stays shut: the stream is reset, the call is over, other streams go on."""
    provider.whole = {**provider.whole, "padding": "x" * 300_000}
    async with serving(provider, Timeouts(write=0.3)) as served, by_hand(served) as client:
        client.post(json.dumps(chat()).encode())
        await client.flush()
        reset = await client.until(h2.events.StreamReset, acknowledge=False)
        assert reset.error_code == ErrorCodes.INTERNAL_ERROR
        assert served.open_calls == 0
        assert b'error_type="slow_client"' in await served.gateway.telemetry.exposition()
        client.h2.increment_flow_control_window(2**20)
        client.h2.acknowledge_received_data(65535, 1)
        provider.whole.pop("padding")
        client.post(json.dumps(chat()).encode())
        await client.flush()
        await client.until(h2.events.StreamEnded)


async def test_a_client_that_reads_nothing_does_not_outlive_its_server(provider: Any, chat: Any) -> None:
    """Its windows are wide open, its socket is full: what is sent stands still inside Hypercorn's shield."""
    provider.whole = {**provider.whole, "padding": "x" * 30_000_000}
    async with serving(provider, Timeouts(write=60, drain=0.3)) as served, by_hand(served) as client:
        client.h2.update_settings({4: 2**31 - 1})
        client.h2.increment_flow_control_window(2**31 - 1 - 65535)
        client.post(json.dumps(chat()).encode())
        await client.flush()
        await until(lambda: served.gateway.assembly.inference.statistics().open == 1)
        await trio.sleep(0.3)
        served.server.drain()
        with trio.fail_after(2):
            await until(lambda: served.server.statistics().open == 0)


async def test_allowances() -> None:
    now = 0.0
    allowance = Allowance(3, 2, lambda: now)
    assert [allowance.spend() for _ in range(4)] == [True, True, True, False]
    now = 0.6
    assert [allowance.spend() for _ in range(2)] == [True, False]
    now = 100.0
    assert [allowance.spend() for _ in range(4)] == [True, True, True, False]
