"""A stream that breaks off behind its first output: told between two events, and never within one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio.testing

from bifrost_trio._wire import EventReader
from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.testing import End, Pause, ScriptedUpstream, gateway_in_memory, streamed

CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}'
LAST = b'data: {"choices":[{"index":0,"delta":{"content":"b"}}]}'
LINES = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
ENDS = {f"{a} {b}": LINES[a] + LINES[b] for a in LINES for b in LINES if (a, b) != ("cr", "lf")}
"""A CR and a LF behind it are one end of a line."""


async def received(upstream: ScriptedUpstream, path: str) -> bytes:
    found = b""
    async with gateway_in_memory(None, upstream) as gateway:
        async with gateway.client().stream(path, {**CHAT, "max_tokens": 9}) as stream:
            with pytest.raises(ConnectionBroken):
                while piece := await stream.read():
                    found += piece
        gateway.hang_up()
        await gateway.quiet()
    return found


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/openai/v1/chat/completions"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_between_two_events(path: str, end: bytes, autojump_clock: trio.testing.MockClock) -> None:
    """Wherever the provider's bytes were cut before, also within the end of the last event."""
    frame = LAST + end
    for cut in range(len(LAST) - 2, len(frame) + 1):
        pieces: list[bytes | Pause] = [
            FIRST + end,
            Pause(1),
            frame[:cut],
            Pause(1),
            *([frame[cut:]] if frame[cut:] else []),
        ]
        found = await received(ScriptedUpstream(streamed(pieces, end=End.CLOSE)), path)
        assert found.startswith(FIRST + end + frame)
        [(_, data, _)] = EventReader().feed(found[len(FIRST + end + frame) :])
        assert json.loads(data)["error"]["message"], cut


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/openai/v1/chat/completions"])
async def test_within_an_event(path: str, autojump_clock: trio.testing.MockClock) -> None:
    """What was begun cannot be ended: nothing is added to it."""
    for cut in (1, 5, 6, 20, len(LAST) - 1, len(LAST), len(LAST) + 1):
        pieces: list[bytes | Pause] = [FIRST + b"\n\n", Pause(1), (LAST + b"\n\n")[:cut]]
        found = await received(ScriptedUpstream(streamed(pieces, end=End.CLOSE)), path)
        assert found == FIRST + b"\n\n" + (LAST + b"\n\n")[:cut]


async def test_a_translated_stream_is_always_between_two(autojump_clock: trio.testing.MockClock) -> None:
    for cut in (1, 20, len(LAST)):
        pieces: list[bytes | Pause] = [FIRST + b"\n\n", Pause(1), LAST[:cut]]
        found = await received(ScriptedUpstream(streamed(pieces, end=End.CLOSE)), "/anthropic/v1/messages")
        events = [(event, json.loads(data)) for event, data, _ in EventReader().feed(found)]
        assert events[-1][0] == events[-1][1]["type"] == "error"
        assert "message_stop" not in [event for event, _ in events]
