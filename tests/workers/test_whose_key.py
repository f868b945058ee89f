"""A key that the caller brought or named goes to the provider that was asked for, and to no fallback."""

from __future__ import annotations

from typing import Any

import pytest
import trio.testing

from bifrost_trio.testing import ScriptedUpstream, gateway_in_memory

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9}
SETTINGS = {"client": {"allow_direct_keys": True}, "providers": {"openai": {}, "anthropic": {}}}


@pytest.mark.parametrize("header", [{"x-bf-direct-key": "sk-the-callers-own"}, {"x-bf-api-key": "openai-key"}])
async def test_a_fallback_has_keys_of_its_own(header: dict[str, str], autojump_clock: trio.testing.MockClock) -> None:
    upstreams = {"openai": ScriptedUpstream("status=503"), "anthropic": ScriptedUpstream()}
    async with gateway_in_memory(SETTINGS, upstreams) as gateway:
        body = {**CHAT, "model": "openai/m", "fallbacks": ["anthropic/m"]}
        answer = await gateway.client().post("/v1/chat/completions", body, header)
        assert answer.status == 200
        asked = upstreams["openai"].requests[0].header("authorization")
        assert asked == f"Bearer {header.get('x-bf-direct-key', 'sk-test-openai')}"
        assert upstreams["anthropic"].requests[0].header("x-api-key") == "sk-test-anthropic"
        await gateway.quiet()
