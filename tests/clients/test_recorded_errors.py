"""Every recorded error as each SDK raises it: the class of its status, with the provider's sentence."""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import Any

import anthropic
import openai
import pytest

from tests.clients.asking import ask
from tests.clients.recorded import KINDS, SETTINGS, Player, Recording
from tests.clients.running import SDK_WARNINGS, Manner, sdk_before_a_gateway

pytestmark = [pytest.mark.recordings, pytest.mark.timeout(60), *SDK_WARNINGS]

CLASSES = {400: "BadRequestError", 404: "NotFoundError", 422: "UnprocessableEntityError", 429: "RateLimitError"}
REFUSED_KEY = (401, 403)
"""The client's own key is not at fault when the provider refuses the gateway's: that is a 502."""

ASKED_AS = [
    *[(kind, kind) for kind in KINDS],
    ("openai.chat", "anthropic.messages"),
    ("anthropic.messages", "openai.chat"),
]


@pytest.mark.parametrize(("kind", "asked_as"), ASKED_AS)
async def test_errors(
    kind: str, asked_as: str, manner: Manner, recordings: dict[str, list[Recording]], tally: Counter[str]
) -> None:
    player = Player()
    passed = 0
    client = asked_as.partition(".")[0]
    module: ModuleType = {"openai": openai, "anthropic": anthropic}[client]
    questions = [one for one in recordings[asked_as] if one.status == 200 and not one.borrowed]
    async with sdk_before_a_gateway(player.upstream, SETTINGS, manner) as sdk:
        for recording in recordings[kind]:
            if recording.status == 200:
                continue
            player.recording = recording
            question = recording if asked_as == kind else questions[recording.number % len(questions)]
            with pytest.raises(module.APIStatusError) as raised:
                await ask(sdk, question, f"{recording.provider}/some-model")
            check(raised.value, module, recording)
            if asked_as == kind and recording.status not in REFUSED_KEY:
                assert sdk.wire.received == recording.body, recording.name
            passed += 1
    tally[f"{kind} error to {manner} {client} SDK: passed"] += passed
    assert passed >= 15


def check(error: Any, module: ModuleType, recording: Recording) -> None:
    status = 502 if recording.status in REFUSED_KEY else recording.status
    assert error.status_code == status, recording.name
    assert type(error) is getattr(module, CLASSES.get(status, "InternalServerError")), recording.name
    # Of an error without a ``message`` OpenAI's SDK shows nothing by itself, with or without a gateway.
    shown = module is anthropic or (isinstance(error.body, dict) and "message" in error.body)
    told = str(error) if shown else repr(error.body)
    assert sentence(recording) in told, f"{recording.name}: {error}"


def sentence(recording: Recording) -> str:
    """What the provider said, wherever it said it; as it looks in the text of an SDK's error, which shows a dict."""
    said = recording.answer[0] if isinstance(recording.answer, list) else recording.answer
    error = said.get("error") or said.get("detail") or said
    found = error.get("message") if isinstance(error, dict) else error
    found = found or said.get("message")
    assert found, recording.name
    return repr(found)[1:-1] if isinstance(found, str) else str(found)
