"""An HTTP/2 client by hand: it reads only when it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h2.connection
import h2.events
import trio

from tests.server.served import Served


class H2Client:
    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.h2 = h2.connection.H2Connection()
        self.events: list[h2.events.Event] = []

    async def begin(self) -> None:
        self.h2.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        await self.stream.send_all(self.h2.data_to_send())

    def post(self, body: bytes | None, stream_id: int | None = None, path: str = "/v1/chat/completions") -> int:
        stream_id = stream_id or self.h2.get_next_available_stream_id()
        headers = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "g")]
        self.h2.send_headers(stream_id, [*headers, ("content-type", "application/json")])
        if body is not None:
            self.h2.send_data(stream_id, body, end_stream=True)
        return stream_id

    async def until(self, kind: type, *, acknowledge: bool = True) -> Any:
        with trio.fail_after(5):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        self.events.remove(event)
                        return event
                data = await self.stream.receive_some()
                assert data, f"the connection ended before any {kind.__name__}"
                self.take(data, acknowledge)
                await self.flush()

    def take(self, data: bytes, acknowledge: bool) -> None:
        events = self.h2.receive_data(data)
        self.events += events
        for event in events:
            if acknowledge and isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)


@asynccontextmanager
async def by_hand(served: Served) -> AsyncIterator[H2Client]:
    async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
        client = H2Client(stream)
        await client.begin()
        yield client
