"""What a call leaves behind: nothing, not even for the garbage collector.

Cycles would be found in the end, but until then they hold buffers, sockets' objects and whole bodies: memory would rise
with the number of calls that fail or are left, which is when there is none to spare.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.testing import MemoryGateway, gateway_in_memory

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/anthropic/v1/messages"}
CASES = {
    "an answer": {},
    "an error": {"orders": "status=400"},
    "attempts that fail": {"orders": "status=500"},
    "a fallback": {"orders": "status=500", "fallbacks": ["anthropic/mock-1"]},
    "a stream": {"stream": True},
    "a stream that breaks": {"stream": True, "orders": "cut-chunk=2 gap=1"},
    "a stream that is left": {"stream": True, "orders": "chunks=20 gap=1", "leaves": True},
    "a bad request": {"max_tokens": "many"},
}


@pytest.fixture(autouse=True)
def collected_by_hand() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def call(gateway: MemoryGateway, path: str, model: str, case: dict[str, Any]) -> None:
    rest = {name: value for name, value in case.items() if name not in ("orders", "leaves")}
    text = f"[[mock {case['orders']}]]" if "orders" in case else "Hello"
    body = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": text}], **rest}
    client = gateway.client()
    if case.get("leaves"):
        async with client.stream(path, body) as stream:
            await stream.read()
    else:
        await client.send_raw(rendered(path, body))
        await trio.sleep(60)
    client.hang_up()
    await trio.testing.wait_all_tasks_blocked()


def rendered(path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nhost: g\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_call_leaves_no_garbage(
    case: dict[str, Any], client: str, provider: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with gateway_in_memory(None, None) as gateway:
        for _ in range(3):
            await call(gateway, PATHS[client], f"{provider}/mock-1", case)
        gc.collect()
        for _ in range(5):
            await call(gateway, PATHS[client], f"{provider}/mock-1", case)
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            left = {type(one).__name__ for one in gc.garbage if type(one).__module__.startswith("bifrost_trio")}
            left |= {one.f_code.co_qualname for one in gc.garbage if type(one).__name__ == "frame"}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        assert left == set()
