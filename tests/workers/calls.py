"""Calls as the stations get them, and a reply that keeps what is written to it."""

from __future__ import annotations

import json
from typing import Any

import trio

from bifrost_trio._wire import scan
from bifrost_trio.errors import GatewayError
from bifrost_trio.formats import FORMATS
from bifrost_trio.types import Call, Headers, Operation, Options, Request, Target

__all__ = ["ANSWER", "MESSAGES", "Kept", "make_call"]

MESSAGES = [{"role": "user", "content": "Hello"}]
ANSWER: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


def make_call(
    model: str | None = "p/m",
    *,
    stream: bool = False,
    body: bytes | None = None,
    format: str = "openai_chat",
    operation: Operation = Operation.CHAT_COMPLETION,
    options: Options | None = None,
    default_provider: str | None = None,
    native: bool = True,
    head: Request | None = None,
    **members: Any,
) -> Call:
    """A call for the model ``PROVIDER/MODEL``, its target already found; ``members`` are further ones of its body."""
    if body is None:
        said = {"model": model, "messages": MESSAGES, **({"stream": True} if stream else {}), **members}
        body = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
    call = Call(
        operation,
        FORMATS[format],
        head,
        body,
        scan(body),
        trio.current_time(),
        options=options,
        default_provider=default_provider,
        native=native,
    )
    if model is not None and "/" in model:
        call.target = Target(*model.split("/", 1))
    return call


class Kept:
    """A reply in memory. ``state`` is new, sent, started, finished or failed (`bifrost_trio.types.Reply`)."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.state = "new"
        self.claimed = False
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.writes: list[bytes] = []
        self.error: GatewayError | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.writes)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def claim(self) -> None:
        self.claimed = self.call.outcome.committed = True

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        self._begin("sent", status, headers)
        self.writes.append(body)

    def start(self, status: int, headers: Headers) -> None:
        self._begin("started", status, headers)

    async def write(self, data: bytes) -> None:
        assert self.state == "started"
        self.writes.append(data)

    def write_now(self, data: bytes) -> bool:
        return False

    async def finish(self, trailer: bytes = b"") -> None:
        assert self.state == "started"
        self.state = "finished"
        self.writes.append(trailer)

    async def fail(self, error: GatewayError) -> None:
        self.state = "failed"
        self.error = error

    def _begin(self, state: str, status: int, headers: Headers) -> None:
        assert self.state == "new", f"{state} after {self.state}"
        self.state, self.status, self.headers = state, status, dict(headers)
        self.call.outcome.committed = True
