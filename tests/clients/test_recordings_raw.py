"""Every recording through the gateway as bytes: what is sent and what is received, on the drop-in and native routes."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from bifrost_trio.errors import ConnectionBroken
from bifrost_trio.testing import Client, gateway_in_memory
from tests.clients.recorded import KINDS, PATHS, SETTINGS, Player, Recording

pytestmark = [pytest.mark.recordings, pytest.mark.timeout(60)]


@pytest.mark.parametrize("kind", KINDS)
async def test_byte_for_byte(kind: str, recordings: dict[str, list[Recording]], tally: Counter[str]) -> None:
    """A drop-in route: the provider receives the recorded request, the client the recorded answer, unchanged."""
    player = Player()
    passed = exact = 0
    async with gateway_in_memory(SETTINGS, player.upstream) as gateway:
        for recording in recordings[kind]:
            player.recording = recording
            client = gateway.client()
            status, body = await ask(client, PATHS[kind], recording)
            client.hang_up()
            assert player.received.body == recording.sent, recording.name
            if recording.flaw is not None:
                assert status >= 400 or b"error" in body, f"{recording.name} {recording.flaw}, and was handed on"
                tally[f"{kind}, raw: none, the recording {recording.flaw}"] += 1
            elif recording.status in (401, 403):
                # The client's own credentials are not at fault: this is the gateway's 502.
                assert status == 502
                assert b"refused every key" in body
                tally[f"{kind}, raw: none, the provider refused the gateway's key"] += 1
            else:
                assert (status, body) == (recording.status, recording.body), recording.name
                passed += 1
                exact += recording.byte_exact
        assert player.count == len(recordings[kind])
        await gateway.quiet()
    tally[f"{kind}, raw: byte for byte"] += passed
    tally[f"{kind}, raw: of these recorded without re-encoding"] += exact
    assert passed >= 100
    assert exact >= 40


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("openai.")])
async def test_native(kind: str, recordings: dict[str, list[Recording]], tally: Counter[str]) -> None:
    """``/v1``: the recorded answer with ``extra_fields`` before its last brace; a stream unchanged."""
    player = Player()
    passed = 0
    async with gateway_in_memory(SETTINGS, player.upstream) as gateway:
        for recording in recordings[kind]:
            if recording.status != 200 or recording.flaw is not None:
                continue
            player.recording = recording
            client = gateway.client()
            status, body = await ask(client, PATHS[kind].removeprefix("/openai"), recording)
            client.hang_up()
            assert status == 200, recording.name
            if recording.streaming:
                assert body == recording.body, recording.name
            else:
                check_spliced(body, recording)
            passed += 1
        await gateway.quiet()
    tally[f"{kind}, native: the recording and extra_fields"] += passed
    assert passed >= 90


async def ask(client: Client, path: str, recording: Recording) -> tuple[int, bytes]:
    """Status and body; of an answer that was broken off what came of it, with "error" for the break."""
    named, bare = json.dumps(f"{recording.provider}/{recording.model}"), json.dumps(recording.model)
    sent = recording.sent.replace(bare.encode(), named.encode(), 1)
    headers = {"content-type": "application/json"}
    async with client.stream(path, sent, headers) as stream:
        body = b""
        try:
            async for piece in stream:
                body += piece
        except ConnectionBroken:
            body += b"error"
        return stream.status, body


def check_spliced(body: bytes, recording: Recording) -> None:
    end = recording.body.rindex(b"}")
    kept = recording.body[:end].rstrip()
    assert body.startswith(kept), recording.name
    answer = json.loads(body)
    extra = answer.pop("extra_fields")
    assert answer == recording.answer, recording.name
    assert (extra["provider"], extra["resolved_model_used"]) == (recording.provider, recording.model)
    assert extra["original_model_requested"] == f"{recording.provider}/{recording.model}"
