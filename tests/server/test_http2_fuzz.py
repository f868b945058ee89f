"""Broken HTTP/2: whatever comes, every connection and call is home in the end, and nothing is logged as an error."""

from __future__ import annotations

import json
import random
from typing import Any

import h2.connection
import pytest
import trio

from tests.server.served import Served, serving, until

pytestmark = pytest.mark.real_clock

HEADERS = [
    (":method", "POST"),
    (":path", "/v1/chat/completions"),
    (":scheme", "http"),
    (":authority", "g"),
    ("content-type", "application/json"),
]


def session(rng: random.Random, bodies: list[bytes]) -> bytearray:
    """What a client sends that begins a few requests and finishes some of them."""
    client = h2.connection.H2Connection()
    client.initiate_connection()
    for _ in range(rng.randrange(1, 5)):
        stream_id = client.get_next_available_stream_id()
        client.send_headers(stream_id, HEADERS)
        fate = rng.random()
        body = rng.choice(bodies)
        if fate < 0.6:
            client.send_data(stream_id, body, end_stream=True)
        else:
            client.send_data(stream_id, body[:10])
            if fate < 0.8:
                client.reset_stream(stream_id)
        if rng.random() < 0.3:
            client.ping(b"12345678")
        if rng.random() < 0.3:
            client.update_settings({4: rng.randrange(100_000)})
        if rng.random() < 0.05:
            client.close_connection()
            return bytearray(client.data_to_send()) or bytearray(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    return bytearray(client.data_to_send())


def damage(rng: random.Random, data: bytearray) -> None:
    """Behind the preface."""
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        if len(data) <= 24:
            return
        at = rng.randrange(24, len(data))
        kind = rng.random()
        if kind < 0.5:
            data[at] = rng.randrange(256)
        elif kind < 0.7:
            del data[at : at + rng.randrange(1, 9)]
        elif kind < 0.9:
            data[at:at] = rng.randbytes(rng.randrange(1, 20))
        else:
            del data[at:]


async def play(served: Served, rng: random.Random, data: bytes) -> None:
    cut = rng.randrange(len(data))
    async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
        try:
            await stream.send_all(data[:cut])
            await stream.send_all(data[cut:])
            with trio.move_on_after(rng.choice([0, 0.003, 0.02])):
                while await stream.receive_some():
                    pass
        except trio.BrokenResourceError:
            return


@pytest.mark.parametrize("seed", range(0, 60, 15))
async def test_everything_comes_home(provider: Any, chat: Any, seed: int) -> None:
    bodies = [json.dumps(chat()).encode(), json.dumps(chat(stream=True)).encode()]
    async with serving(provider) as served:
        for number in range(seed, seed + 15):
            rng = random.Random(number)
            data = session(rng, bodies)
            damage(rng, data)
            await play(served, rng, bytes(data))
            await until(lambda: served.server.statistics().open == served.open_calls == 0)
