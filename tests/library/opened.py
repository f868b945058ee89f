"""A gateway inside a program, with a provider that plays what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from bifrost_trio.library import Gateway
from bifrost_trio.plugins import Plugin
from bifrost_trio.testing import ScriptedUpstream, config_for_tests

__all__ = ["CHAT", "FRAME", "MESSAGES", "assert_home", "opened", "said"]

MESSAGES = [{"role": "user", "content": "Hello"}]
CHAT: dict[str, Any] = {"model": "openai/m", "messages": MESSAGES}


@asynccontextmanager
async def opened(
    upstream: ScriptedUpstream | None = None, settings: dict[str, Any] | None = None, *plugins: Plugin
) -> AsyncIterator[Gateway]:
    upstream = upstream or ScriptedUpstream()
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        upstream.attach(nursery)
        try:
            config = config_for_tests(settings)
            async with Gateway(config, dial=upstream.dial, make_plugins=lambda entries: [*plugins]) as gateway:
                yield gateway
                assert_home(gateway)
        except Exception as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def assert_home(gateway: Gateway) -> None:
    assembly = gateway.running.assembly
    assert assembly.inference.statistics().open == 0
    for name, attempts in assembly.attempts.items():
        assert attempts.pool.statistics().busy == 0, name
        assert sum(pool.statistics().busy for pool in assembly.providers[name].pools) == 0, name


async def said(gateway: Gateway, **more: Any) -> str:
    pieces = []
    async with gateway.stream(**{**CHAT, **more}) as chunks:
        async for chunk in chunks:
            pieces += [choice["delta"].get("content") or "" for choice in chunk["choices"]]
    return "".join(pieces)


FRAME = b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
