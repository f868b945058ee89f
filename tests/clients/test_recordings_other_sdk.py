"""Recorded chats of one language as the answer to a client of the other one: half of them sync, half async.

Each is the answer to a recorded request of the client's language, one after another: more than 500 of Anthropic's and
1,500 of OpenAI's are asked.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import anthropic
import openai
import pytest

from tests.clients.asking import ask
from tests.clients.meaning import Meaning, of_chat, of_chunks, of_events, of_message, stops_alike
from tests.clients.recorded import SETTINGS, Player, Recording
from tests.clients.running import SDK_WARNINGS, Manner, Sdk, sdk_before_a_gateway

pytestmark = [pytest.mark.recordings, pytest.mark.timeout(60), *SDK_WARNINGS]

OTHER = {"openai.chat": "anthropic.messages", "anthropic.messages": "openai.chat"}


@pytest.mark.parametrize("kind", OTHER)
async def test_answers(kind: str, manner: Manner, recordings: dict[str, list[Recording]], tally: Counter[str]) -> None:
    """Text, thinking, tool calls, why it stopped, and usage are those of the recording."""
    player = Player()
    passed = 0
    problems: list[str] = []
    asking = Asking(recordings[OTHER[kind]])
    client = OTHER[kind].partition(".")[0]
    async with sdk_before_a_gateway(player.upstream, SETTINGS, manner) as sdk:
        for recording in recordings[kind]:
            if recording.status != 200 or recording.number % 2 != (manner == "async"):
                continue
            player.recording = recording
            question = asking.next(recording.streaming)
            flaw = recording.flaw_in_translation
            if flaw is not None:
                with pytest.raises((openai.APIError, anthropic.APIError)):
                    await ask(sdk, question, f"{recording.provider}/some-model")
                tally[f"{kind} to {manner} {client} SDK: raises, the recording {flaw}"] += 1
                continue
            found = await compare(sdk, recording, question)
            problems += [f"{recording.name}: {found}"] if found else []
            passed += not found
    tally[f"{kind} to {manner} {client} SDK: passed"] += passed
    assert not problems, "\n".join(problems[:10])
    assert passed >= 200


class Asking:
    """Recorded requests, one after another."""

    def __init__(self, recordings: list[Recording]) -> None:
        self._whole = [one for one in recordings if one.status == 200 and not one.streaming and not one.borrowed]
        self._streamed = [one for one in recordings if one.status == 200 and one.streaming and not one.borrowed]
        self._count = 0

    def next(self, streaming: bool) -> Recording:
        self._count += 1
        among = self._streamed if streaming else self._whole
        return among[self._count % len(among)]


async def compare(sdk: Sdk, recording: Recording, question: Recording) -> str | None:
    """What was lost."""
    try:
        answer = await ask(sdk, question, f"{recording.provider}/some-model")
    except (openai.APIError, anthropic.APIError) as error:
        return f"raised {error!r} to the request of {question.name}"
    got, said = meaning(question.kind, answer), meaning(recording.kind, recorded(recording))
    stops = (said.stop, got.stop) if recording.kind == "openai.chat" else (got.stop, said.stop)
    if (got.text, got.thinking) != (said.text, said.thinking):
        return f"said {got} instead of {said}"
    if got.calls != [(name, arguments_for(recording, arguments)) for name, arguments in said.calls]:
        return f"called {got.calls} instead of {said.calls}"
    if not stops_alike(*stops, said.calls):
        return f"stopped for {got.stop} instead of {said.stop}"
    wanted = (question.request or {}).get("stream_options") or {}
    if said.usage is None or (got.usage is None and recording.streaming and not wanted.get("include_usage")):
        return None
    return None if got.usage == counted(said.usage) else f"counted {got.usage} instead of {said.usage}"


def recorded(recording: Recording) -> Any:
    return recording.events if recording.streaming else recording.answer


def meaning(kind: str, answer: Any) -> Meaning:
    if kind == "openai.chat":
        return of_chunks(answer) if isinstance(answer, list) else of_chat(answer)
    return of_events(answer) if isinstance(answer, list) else of_message(answer)


def arguments_for(recording: Recording, arguments: Any) -> Any:
    """Anthropic's input is always an object: no arguments are an empty one. Text that a limit cut is kept in one, but
    for a stream, in which it has been told as it was."""
    if recording.kind == "anthropic.messages" or isinstance(arguments, dict):
        return arguments
    if arguments is None:
        return {}
    return arguments if recording.streaming else {"raw_arguments": arguments}


def counted(usage: tuple[int, int, int]) -> tuple[int, int, int]:
    """Some providers do not count as input what they read from their cache: where that is more, it comes on top."""
    given, cached, output = usage
    return (given + cached if cached > given else given), cached, output
