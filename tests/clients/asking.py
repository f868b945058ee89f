"""A recorded request, asked with the SDK of its kind."""

from __future__ import annotations

import inspect
from typing import Any

from tests.clients.recorded import Json, Recording
from tests.clients.running import Sdk

__all__ = ["ask", "create"]

PATIENCE = 20.0
"""Seconds. Without a limit of one's own Anthropic's SDK refuses to ask for long answers that are not streamed."""


def create(sdk: Sdk, kind: str) -> Any:
    """The method of the SDK for an operation."""
    if kind == "openai.chat":
        return sdk.openai.chat.completions.create
    if kind == "openai.responses":
        return sdk.openai.responses.create
    if kind == "openai.embeddings":
        return sdk.openai.embeddings.create
    assert kind == "anthropic.messages"
    return sdk.anthropic.messages.create


async def ask(sdk: Sdk, recording: Recording, model: str) -> Any:
    """What the SDK makes of the answer as plain JSON: one object, or a list of events. Raises the SDK's errors."""
    function = create(sdk, recording.kind)
    assert recording.request is not None
    given = _arguments(sdk.manner, recording.kind, function, {**recording.request, "model": model})
    if recording.beta is not None:
        given["extra_headers"] = {"anthropic-beta": recording.beta}
    if recording.request.get("stream"):
        return [
            event.to_dict(mode="json", warnings=False)
            for event in await sdk.collect(function, **given, timeout=PATIENCE)
        ]
    answer = await sdk.call(function, **given, timeout=PATIENCE)
    return answer.to_dict(mode="json", warnings=False)


def _arguments(manner: str, kind: str, function: Any, body: Json) -> Json:
    """Members that the method has no parameter for (other providers' own) go into ``extra_body``."""
    known = _parameters(manner, kind, function)
    given = {name: value for name, value in body.items() if name in known}
    extra = {name: value for name, value in body.items() if name not in known}
    return {**given, "extra_body": extra} if extra else given


_KNOWN: dict[tuple[str, str], frozenset[str]] = {}


def _parameters(manner: str, kind: str, function: Any) -> frozenset[str]:
    place = (manner, kind)
    if place not in _KNOWN:
        _KNOWN[place] = frozenset(inspect.signature(function).parameters)
    return _KNOWN[place]
