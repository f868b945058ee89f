"""One attempt at one provider that plays what it is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from bifrost_trio.config import Config
from bifrost_trio.providers import Provider, build_provider
from bifrost_trio.sockets import Poller
from bifrost_trio.testing import PlayedAnswer, Received, ScriptedUpstream
from bifrost_trio.types import Call, WholeAnswer
from bifrost_trio.workers import Key
from tests.workers.calls import Kept

__all__ = ["KEY", "SECRET", "Bench", "Head", "bench", "chunk", "frame"]

SECRET = "sk-canary-0123456789abcdef"
KEY = Key("main", SECRET)


class Head:
    """The head of a client's request, as far as a provider looks at it."""

    method, path, query, complete, special, plain, body = "POST", "/", "", True, True, True, b""
    content_length = 0

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = {name.lower().encode(): value.encode() for name, value in headers.items()}

    def header(self, name: bytes, /) -> bytes | None:
        return self._headers.get(name)

    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self._headers.items())


@dataclass
class Bench:
    """A provider and the upstream behind it."""

    provider: Provider
    upstream: ScriptedUpstream
    reply: Kept | None = None

    async def attempt(self, call: Call, key: Key = KEY) -> WholeAnswer | None:
        """Whole answers are returned; a stream is in ``reply``."""
        self.reply = Kept(call)
        return await self.provider(call, self.reply, key)

    @property
    def sent(self) -> Received:
        """The newest request."""
        return self.upstream.requests[-1]

    def at_home(self) -> bool:
        return all(pool.statistics().busy == 0 for pool in self.provider.pools)

    @property
    def idle(self) -> int:
        return sum(pool.statistics().idle for pool in self.provider.pools)


@asynccontextmanager
async def bench(
    *answers: PlayedAnswer, name: str = "openai", network: Mapping[str, Any] | None = None, **entry: Any
) -> AsyncIterator[Bench]:
    """The provider ``name`` as a configuration has it; ``entry`` are members of its part of the configuration."""
    entry["network_config"] = {"base_url": "http://up.test", **(network or {})}
    entry.setdefault("keys", [{"name": "main", "value": SECRET, "models": ["*"]}])
    config = Config.from_dict({"providers": {name: entry}}).providers[name]
    upstream = ScriptedUpstream(*answers)
    poller = Poller()
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        upstream.attach(nursery)
        made = Bench(build_provider(config, lambda: upstream.dial(poller)), upstream)
        yield made
        assert made.at_home()
        made.provider.close()
        assert poller.statistics().sockets == 0
        nursery.cancel_scope.cancel()


def chunk(text: str | None = None, finish: str | None = None, **members: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]} | members


def frame(event: Any) -> bytes:
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    return b"data: " + data + b"\n\n"
