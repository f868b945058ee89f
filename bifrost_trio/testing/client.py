"""A small HTTP/1.1 client that can misbehave."""

from __future__ import annotations

import json as json_text
import socket as stdlib_socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from bifrost_trio._wire import EventReader, Response, ResponseReader
from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.testing.pairs import make_reset

__all__ = ["Client", "ClientAnswer", "ClientStream"]

READ_SIZE = 65536


@dataclass(frozen=True, slots=True)
class ClientAnswer:
    """A whole answer. Names of headers are in lower case."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes

    @property
    def json(self) -> Any:
        return json_text.loads(self.body)

    @property
    def events(self) -> list[tuple[str, bytes]]:
        """Of an event stream: (event, data)."""
        return [(event, data) for event, data, _ in EventReader().feed(self.body)]

    @property
    def text(self) -> str:
        """What a chat completion says, be it whole or a stream."""
        if self.headers.get("content-type") == "text/event-stream":
            chunks = [json_text.loads(data) for _, data in self.events if data != b"[DONE]"]
            said = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
        else:
            said = [choice["message"] for choice in self.json["choices"]]
        return "".join(message.get("content") or "" for message in said)


class ClientStream:
    """An answer that is read piece by piece: ``async for piece in stream``, or `read`, or `read_to_end`.

    A piece is what one read of the connection gave. Raises ConnectionBroken when the connection ends before the answer.
    """

    def __init__(self, client: Client, response: Response) -> None:
        self._client = client
        self._first = response.body
        self.status = response.status
        self.headers = _texts(response)

    def __aiter__(self) -> ClientStream:
        return self

    async def __anext__(self) -> bytes:
        piece = await self.read()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def read(self) -> bytes:
        """The next piece; empty at the end."""
        first, self._first = self._first, b""
        return first or await self._client._read_piece()

    async def read_to_end(self) -> bytes:
        return b"".join([piece async for piece in self])


class Client:
    """One connection to a gateway, kept alive between requests.

    ``other`` is the gateway's end of it, of which `reset` needs to know.
    """

    def __init__(self, own: stdlib_socket.socket, other: stdlib_socket.socket) -> None:
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(own))
        self._other = other
        self._reader = ResponseReader()

    async def post(self, path: str, json: Any, headers: Mapping[str, str] | None = None) -> ClientAnswer:
        """Sends ``json`` (bytes are sent as they are) and reads the whole answer."""
        return await self.request("POST", path, json, headers)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> ClientAnswer:
        return await self.request("GET", path, None, headers)

    async def request(
        self, method: str, path: str, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> ClientAnswer:
        await self.send_raw(_render(method, path, json, headers))
        return await self.read_answer(head=method == "HEAD")

    @asynccontextmanager
    async def stream(
        self, path: str, json: Any, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[ClientStream]:
        """Posts ``json``; the block begins when the head of the answer is there.

        Leaving it before the end of the answer closes the connection, as any HTTP/1.1 client has to.
        """
        await self.send_raw(_render("POST", path, json, headers))
        try:
            yield ClientStream(self, await self._read_head())
        finally:
            if not self._reader.body_complete:
                self.hang_up()

    # --- piece by piece ---

    async def send_raw(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def read_answer(self, *, head: bool = False) -> ClientAnswer:
        """The whole answer to what was sent. Raises ConnectionBroken when the connection ends before it does."""
        response = await self._read_head(head=head)
        pieces = [response.body]
        while piece := await self._read_piece():
            pieces.append(piece)
        return ClientAnswer(response.status, _texts(response), b"".join(pieces))

    async def read_raw(self) -> bytes:
        """What one read of the connection gives; empty at its end. Raises ConnectionBroken after a reset."""
        try:
            return await self._stream.receive_some(READ_SIZE)
        except trio.BrokenResourceError:
            raise ConnectionBroken("the gateway reset the connection") from None

    async def _read_head(self, *, head: bool = False) -> Response:
        self._reader.expect(head=head)
        while True:
            data = await self.read_raw()
            if not data:
                self._reader.end()
            response = self._reader.feed(data)
            if response is not None:
                return response

    async def _read_piece(self) -> bytes:
        while not self._reader.body_complete:
            data = await self.read_raw()
            if not data:
                self._reader.end()
                break
            piece = self._reader.feed_body(data)
            if piece:
                return piece
        return b""

    # --- leaving ---

    @property
    def open(self) -> bool:
        """Whether this side has not closed the connection."""
        return self._stream.socket.fileno() >= 0

    async def half_close(self) -> None:
        """Says that nothing more will be sent, and can still read."""
        await self._stream.send_eof()

    def hang_up(self) -> None:
        """Closes the connection."""
        self._stream.socket.close()

    def reset(self) -> None:
        """Closes the connection so that the gateway's next read fails."""
        if self.open:
            make_reset(self._other)
            self.hang_up()


def _texts(response: Response) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers()}


def _render(method: str, path: str, json: Any, headers: Mapping[str, str] | None) -> bytes:
    body = b"" if json is None else json if isinstance(json, bytes) else json_text.dumps(json).encode()
    lines = {"host": "gateway.test"}
    if json is not None:
        lines |= {"content-type": "application/json", "content-length": str(len(body))}
    lines |= {name.lower(): value for name, value in (headers or {}).items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body
