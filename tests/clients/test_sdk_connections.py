"""How programs reach the gateway: base URLs, many calls at once, large requests."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.clients.running import SDK_WARNINGS, Scene

pytestmark = SDK_WARNINGS


def asking(scene: Scene, content: Any, **members: Any) -> Any:
    return {"model": scene.model, "messages": [{"role": "user", "content": content}], "max_tokens": 50, **members}


@pytest.mark.parametrize("path", ["/v1", "/openai", "/openai/v1", "/openai/v1/"])
async def test_base_urls_of_openai_s(scene: Scene, path: str) -> None:
    client = scene.sdk.openai.with_options(base_url=scene.url + path)
    completion = await scene.sdk.call(client.chat.completions.create, **asking(scene, "Hello"))
    assert completion.choices[0].message.content == "You said: Hello"
    assert "mock-1" in str(await scene.sdk.collect(client.models.list))


@pytest.mark.parametrize("path", ["", "/", "/anthropic", "/anthropic/"])
async def test_base_urls_of_anthropic_s(scene: Scene, path: str) -> None:
    client = scene.sdk.anthropic.with_options(base_url=scene.url + path)
    message = await scene.sdk.call(client.messages.create, **asking(scene, "Hello"))
    assert message.content[0].text == "You said: Hello"


async def test_many_at_once(scene: Scene) -> None:
    """Each call gets its own answer, whole and streamed."""
    chat, messages = scene.sdk.openai.chat.completions.create, scene.sdk.anthropic.messages.create
    found: dict[int, str] = {}

    async def one(number: int) -> None:
        text = f"number {number}"
        if number % 3 == 0:
            found[number] = (await scene.sdk.call(chat, **asking(scene, text))).choices[0].message.content
        elif number % 3 == 1:
            found[number] = (await scene.sdk.call(messages, **asking(scene, text))).content[0].text
        else:
            chunks = await scene.sdk.collect(chat, **asking(scene, text, stream=True))
            found[number] = "".join([c.choices[0].delta.content or "" for c in chunks if c.choices])

    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(one, number)
    assert found == {number: f"You said: number {number}" for number in range(30)}


@pytest.mark.parametrize("client", ["openai", "anthropic"])
async def test_a_large_request(scene: Scene, client: str) -> None:
    """As with a few images: it comes in many pieces, and goes out the same."""
    sdk = scene.sdk
    create = sdk.openai.chat.completions.create if client == "openai" else sdk.anthropic.messages.create
    text = "ä€😀" * 200_000
    answer = await sdk.call(create, **asking(scene, [{"type": "text", "text": text}]))
    assert text in str(answer)
    assert text in str(scene.asked["messages"])
