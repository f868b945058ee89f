"""HTTP/1.1 by hand: requests and answers as bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from bifrost_trio.testing import Client

__all__ = ["CHAT", "FRAMES", "GET", "PATH", "Connect", "answers", "post", "to_the_end"]

MESSAGES = [{"role": "user", "content": "Hello"}]
CHAT: dict[str, Any] = {"model": "openai/m", "messages": MESSAGES}
PATH = "/v1/chat/completions"
FRAMES = [
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"lo"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
GET = b"GET /health HTTP/1.1\r\nhost: g\r\n\r\n"

Connect = Callable[[], Awaitable[trio.SocketStream]]
"""The fixture `connect`: a further connection, as bytes."""


def post(body: dict[str, Any] | bytes, *lines: str, version: str = "1.1", path: str = PATH) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"POST {path} HTTP/{version}", "host: g", f"content-length: {len(data)}", *lines, "", ""]
    return "\r\n".join(head).encode() + data


async def answers(client: Client, number: int) -> list[tuple[int, bytes]]:
    """Status and body of so many answers, which may have come together."""
    found: list[tuple[int, bytes]] = []
    received = b""
    while len(found) < number:
        one = split(received)
        if one is None:
            piece = await client.read_raw()
            assert piece, f"the connection ended behind {len(found)} answers"
            received += piece
        else:
            status, body, received = one
            found.append((status, body))
    assert received == b""
    return found


def split(received: bytes) -> tuple[int, bytes, bytes] | None:
    """Status and body of the first answer, and what follows it; None where it is not whole."""
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        return None
    status = int(head[9:12])
    length = re.search(rb"content-length: (\d+)", head)
    if length is not None:
        size = int(length[1])
        return (status, rest[:size], rest[size:]) if len(rest) >= size else None
    body = b""
    while line := re.match(rb"([0-9a-f]+)\r\n", rest):
        size = int(line[1], 16)
        if len(rest) < line.end() + size + 2:
            return None
        body += rest[line.end() : line.end() + size]
        rest = rest[line.end() + size + 2 :]
        if size == 0:
            return status, body, rest
    return None


async def to_the_end(client: Client) -> bytes:
    received = b""
    while piece := await client.read_raw():
        received += piece
    return received
