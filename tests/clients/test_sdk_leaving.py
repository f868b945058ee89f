"""A program that stops waiting: the provider is left at once, and nothing of the call stays behind in the gateway."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import openai
import pytest
import trio
import trio.testing

from bifrost_trio.testing import End, Pause, Script
from tests.clients.answers import answer
from tests.clients.running import SDK_WARNINGS, Scene

pytestmark = SDK_WARNINGS

ENDLESS = "[[mock chunks=1000 gap=0.01]] Count."
SILENT = "[[mock delay=1000]] Hello"
BETWEEN = "[[mock chunks=2 gap=1000]] Count."


@pytest.fixture(params=["openai", "anthropic"])
def client(request: pytest.FixtureRequest, scene: Scene) -> Any:
    """The client, and with it what its requests have in common."""
    return getattr(scene.sdk, request.param)


def create_of(client: Any) -> Any:
    return client.messages.create if hasattr(client, "messages") else client.chat.completions.create


def arguments(scene: Scene, prompt: str, **members: Any) -> Any:
    messages = [{"role": "user", "content": prompt}]
    return {"model": scene.model, "messages": messages, "max_tokens": 50, **members}


async def assert_left(scene: Scene) -> None:
    """The provider sees its connection closed, and the gateway has everything back but the client's connection."""
    with trio.fail_after(5):
        while scene.upstream.statistics().abandoned != 1:  # noqa: ASYNC110 - what happens on sockets has no event
            await trio.sleep(0.005)
    await trio.testing.wait_all_tasks_blocked()
    inference = scene.memory.running.assembly.inference.statistics()
    assert (inference.open, inference.settled) == (0, 1)
    for attempts in scene.memory.running.assembly.attempts.values():
        assert attempts.pool.statistics().busy == 0


@pytest.mark.parametrize(("prompt", "stream"), [(SILENT, False), (SILENT, True), (BETWEEN, True)])
async def test_timeout(scene: Scene, client: Any, prompt: str, stream: bool) -> None:
    """``with_options(timeout=...)``: the SDK's own class, whether nothing came or the stream stands still."""
    hasty = create_of(client.with_options(timeout=0.15))
    given = arguments(scene, prompt, stream=stream)
    # Anthropic's SDK raises what is below it once a stream has begun.
    timeouts = (openai.APITimeoutError, anthropic.APITimeoutError, httpx2.ReadTimeout)
    if stream:
        pieces, error = await scene.sdk.pieces_until_it_breaks(hasty, **given)
        assert isinstance(error, timeouts)
        assert bool(pieces) == (prompt == BETWEEN)
    else:
        with pytest.raises(timeouts):
            await scene.sdk.call(hasty, **given)
    await assert_left(scene)


async def test_closing_a_stream(scene: Scene, client: Any) -> None:
    given = arguments(scene, ENDLESS, stream=True)
    pieces = await scene.sdk.first_pieces(3, create_of(client), **given)
    assert len(pieces) == 3
    await assert_left(scene)


@pytest.mark.parametrize("manner", ["async"], indirect=True)
@pytest.mark.parametrize(("prompt", "stream"), [(SILENT, False), (SILENT, True), (ENDLESS, True)])
async def test_cancelling(scene: Scene, client: Any, prompt: str, stream: bool) -> None:
    """The program's own cancel scope reaches the provider."""
    create, given = create_of(client), arguments(scene, prompt, stream=stream)
    with trio.move_on_after(0.1) as scope:
        if stream:
            await scene.sdk.collect(create, **given)
        else:
            await scene.sdk.call(create, **given)
    assert scope.cancelled_caught
    await assert_left(scene)


async def test_connections_are_kept(scene: Scene, client: Any) -> None:
    """Whole answers and streams that were read to their end leave the client's and the provider's connection in use."""
    create = create_of(client)
    for _ in range(3):
        await scene.sdk.call(create, **arguments(scene, "Hello"))
        await scene.sdk.collect(create, **arguments(scene, "Hello", stream=True))
    # OpenAI's sync SDK closes its own at the end of each stream: it stops reading at "[DONE]".
    leaves = scene.sdk.manner == "sync" and client is scene.sdk.openai
    assert scene.memory.server.statistics().accepted == (3 if leaves else 1)
    assert scene.upstream.statistics().accepted == 1


@pytest.mark.parametrize("provider", ["openai"], indirect=True)
async def test_leaving_at_the_last_event(scene: Scene) -> None:
    """OpenAI's sync SDK closes at "[DONE]", when the end of the provider's body may be on its way still: no cancel."""
    frames = [step for step in answer("openai", text="Hello.", stream=True).steps if isinstance(step, bytes)]
    scene.answers(Script([*frames[:-1], Pause(0.03), frames[-1]]))
    for _ in range(3):
        await scene.sdk.collect(create_of(scene.sdk.openai), **arguments(scene, "Hello", stream=True))
    await trio.testing.wait_all_tasks_blocked()
    upstream = scene.upstream.statistics()
    assert (upstream.accepted, upstream.abandoned) == (1, 0)


@pytest.mark.parametrize("provider", ["openai"], indirect=True)
async def test_a_last_event_without_an_end(scene: Scene) -> None:
    """A provider that leaves its body open behind "[DONE]" has still said everything."""
    frames = [step for step in answer("openai", text="Hello.", stream=True).steps if isinstance(step, bytes)]
    scene.answers(Script(frames[:-1], End.STALL))
    given = arguments(scene, "Hello", stream=True)
    pieces, error = await scene.sdk.pieces_until_it_breaks(create_of(scene.sdk.openai), **given)
    assert error is None
    assert "".join([choice.delta.content or "" for piece in pieces for choice in piece.choices]) == "Hello."
