"""Every recording through the SDK of its own format: half of them sync, the other half async."""

from __future__ import annotations

import base64
import json
import struct
from collections import Counter
from typing import Any

import anthropic
import openai
import pytest

from tests.clients.asking import ask
from tests.clients.recorded import KINDS, SETTINGS, Json, Player, Recording, same_as_sent
from tests.clients.running import SDK_WARNINGS, Manner, Sdk, sdk_before_a_gateway

pytestmark = [pytest.mark.recordings, pytest.mark.timeout(60), *SDK_WARNINGS]


@pytest.mark.parametrize("kind", KINDS)
async def test_answers(kind: str, manner: Manner, recordings: dict[str, list[Recording]], tally: Counter[str]) -> None:
    """The provider receives what the SDK sent, the SDK what was recorded, and it reads all of it."""
    player = Player()
    passed = 0
    problems: list[str] = []
    async with sdk_before_a_gateway(player.upstream, SETTINGS, manner) as sdk:
        for recording in recordings[kind]:
            if recording.status != 200 or recording.number % 2 != (manner == "async"):
                continue
            player.recording = recording
            if recording.flaw is not None:
                with pytest.raises((openai.APIError, anthropic.APIError)):
                    await ask(sdk, recording, f"{recording.provider}/{recording.model}")
                tally[f"{kind}, {manner} SDK: raises, the recording {recording.flaw}"] += 1
                continue
            found = await compare(sdk, player, recording)
            problems += [f"{recording.name}: {found}"] if found else []
            passed += not found
            if kind == "anthropic.messages" and recording.streaming and b"event: " not in recording.body:
                tally[f"{kind}, {manner} SDK: of these without event names, of which it reads nothing"] += 1
    tally[f"{kind}, {manner} SDK: passed"] += passed
    assert not problems, "\n".join(problems[:10])
    assert passed >= 40


async def compare(sdk: Sdk, player: Player, recording: Recording) -> str | None:
    """What is not as it should be."""
    asked = f"{recording.provider}/{recording.model}"
    try:
        got = await ask(sdk, recording, asked)
    except (openai.APIError, anthropic.APIError) as error:
        return f"raised {error!r}"
    received = player.received
    if not same_as_sent(received.body, sdk.wire.sent, asked, recording.model):
        return "the provider received something else than the SDK sent"
    if without_encoding(json.loads(received.body)) != without_encoding(recording.request):
        return f"the provider received another request than the recorded one: {received.body!r}"
    if recording.beta is not None and received.header("anthropic-beta") != recording.beta:
        return "anthropic-beta did not reach the provider"
    if sdk.wire.received != recording.body:
        return "the SDK received other bytes than those recorded"
    if not alike(got, readable(recording)):
        return f"the SDK read {str(got)[:2000]}"
    return None


def without_encoding(request: Json | None) -> Json:
    """OpenAI's SDK asks for embeddings in base64 where its caller does not say how."""
    return {name: value for name, value in (request or {}).items() if name != "encoding_format"}


def readable(recording: Recording) -> Any:
    """What the SDK makes of the recording itself.

    Anthropic's skips pings and events without a name (some recorders lost the names); OpenAI's decodes embeddings of
    which its caller did not say how they are to be encoded.
    """
    if recording.kind == "openai.embeddings" and "encoding_format" not in (recording.request or {}):
        answer = recording.answer
        for one in answer.get("data", ()):
            if isinstance(one["embedding"], str):
                one["embedding"] = decoded(one["embedding"])
        return answer
    if not recording.streaming:
        return recording.answer
    if recording.kind == "anthropic.messages":
        named = b"event: " in recording.body
        return [event for event in recording.events if named and event["type"] != "ping"]
    return recording.events


def decoded(embedding: str) -> list[float]:
    data = base64.b64decode(embedding)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def alike(one: Any, other: Any) -> bool:
    """Equal; as text too, because Perplexity's bytes, read as floats as the SDK does, are sometimes not a number."""
    return one == other or json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
