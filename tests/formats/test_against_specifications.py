"""What is sent is what the providers document: requests against their schema, answers against their own SDKs' types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bifrost_trio.errors import MalformedAnswer, StreamFault
from bifrost_trio.formats import anthropic, openai_chat

Json = dict[str, Any]
MANY = 50
"""Far fewer than there are recordings: that the loop above it checked any is what is asserted."""

pytestmark = [pytest.mark.recordings, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def anthropic_schema(shared_data: Path) -> Any:
    """A validator of Anthropic's requests, betas included; it knows no other members than those documented."""
    jsonschema = pytest.importorskip("jsonschema")
    spec = json.loads((shared_data / "specs" / "anthropic.openapi.tryagi.yaml").read_text("utf-8"))
    root = {"$ref": "#/components/schemas/BetaCreateMessageParams", "components": spec["components"]}
    return jsonschema.Draft202012Validator(root)


def not_ours(request: Json) -> bool:
    """A request that is wrong in itself, or that no translation could make right."""
    foreign = any(tool.get("type") not in (None, "function") for tool in request.get("tools") or ())
    return foreign or not request["messages"]


def test_requests_for_anthropic_are_as_documented(recordings: Any, anthropic_schema: Any) -> None:
    checked = 0
    for recording in recordings("openai.chat"):
        if recording.request is None or recording.status >= 400 or not_ours(recording.request):
            continue
        wire = anthropic.encode_request(openai_chat.decode_request(recording.request), [])
        wrong = [(list(error.absolute_path), error.message[:200]) for error in anthropic_schema.iter_errors(wire)]
        assert wrong == [], recording.name
        checked += 1
    assert checked > 1000


def test_answers_are_what_the_sdk_of_anthropic_expects(recordings: Any) -> None:
    types = pytest.importorskip("anthropic.types")
    checked = 0
    for recording in recordings("openai.chat"):
        if recording.streaming or recording.status != 200:
            continue
        try:
            common = openai_chat.decode_answer(recording.answer)
        except MalformedAnswer:
            continue
        types.Message.model_validate(anthropic.encode_answer(common))
        checked += 1
    assert checked > MANY


def test_streams_are_what_the_sdk_of_anthropic_expects(recordings: Any, tools: Any) -> None:
    types = pytest.importorskip("anthropic.types")
    adapter = pytest.importorskip("pydantic").TypeAdapter(types.RawMessageStreamEvent)
    checked = 0
    for recording in recordings("openai.chat")[::3]:
        if not recording.streaming:
            continue
        try:
            chunks = tools.decode_stream(openai_chat, recording.body)
        except (MalformedAnswer, StreamFault):
            continue
        for _, payload in tools.events(tools.encode_stream(anthropic, chunks)):
            adapter.validate_json(payload)
            checked += 1
    assert checked > MANY


def test_answers_are_what_the_sdk_of_openai_expects(recordings: Any) -> None:
    types = pytest.importorskip("openai.types.chat")
    checked = 0
    for recording in recordings("anthropic.messages"):
        if not recording.streaming and recording.status == 200 and recording.answer.get("type") == "message":
            types.ChatCompletion.model_validate(openai_chat.encode_answer(anthropic.decode_answer(recording.answer)))
            checked += 1
    assert checked > MANY


def test_streams_are_what_the_sdk_of_openai_expects(recordings: Any, tools: Any) -> None:
    types = pytest.importorskip("openai.types.chat")
    checked = 0
    for recording in recordings("anthropic.messages"):
        if not recording.streaming or recording.body.count(b'"type":"message_start"') != 1:
            continue
        sent = tools.encode_stream(openai_chat, tools.decode_stream(anthropic, recording.body))
        for _, payload in tools.events(sent)[:-1]:
            types.ChatCompletionChunk.model_validate_json(payload)
            checked += 1
    assert checked > MANY
