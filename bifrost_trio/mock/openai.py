"""OpenAI's chat completions, completions and embeddings (platform.openai.com, "API reference")."""

from __future__ import annotations

from typing import Any

from bifrost_trio.mock.frames import DONE, Frames, data
from bifrost_trio.mock.speech import Said, count_tokens
from bifrost_trio.types import JsonObject

__all__ = [
    "CREATED",
    "chat",
    "chat_frames",
    "completion",
    "completion_frames",
    "embeddings",
    "models",
    "usage",
]

CREATED = 1_700_000_000
"""Seconds since 1970: the same for every answer."""

DIMENSIONS = 8
MAX_DIMENSIONS = 4096
"""As many as the largest embeddings have: a mistyped number must not fill the memory."""


def usage(said: Said) -> JsonObject:
    return {
        "prompt_tokens": said.input_tokens,
        "completion_tokens": said.output_tokens,
        "total_tokens": said.input_tokens + said.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _head(kind: str, prefix: str, wire: JsonObject, number: int) -> JsonObject:
    return {"id": f"{prefix}-mock-{number}", "object": kind, "created": CREATED, "model": wire.get("model")}


# --- chat ---


def chat(wire: JsonObject, said: Said, number: int) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": None if said.tool else said.text, "refusal": None}
    if said.tool:
        message["tool_calls"] = [_call(said, said.tool.arguments, number)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(said)}
    return {**_head("chat.completion", "chatcmpl", wire, number), "choices": [choice], "usage": usage(said)}


def _finish(said: Said) -> str:
    return said.finish or ("tool_calls" if said.tool else "stop")


def _call(said: Said, arguments: str, number: int) -> JsonObject:
    assert said.tool is not None
    function = {"name": said.tool.name, "arguments": arguments}
    return {"id": f"call_mock_{number}", "type": "function", "function": function}


def chat_frames(wire: JsonObject, said: Said, number: int) -> Frames:
    head = _head("chat.completion.chunk", "chatcmpl", wire, number)

    def chunk(delta: JsonObject, finish: str | None = None) -> bytes:
        return data({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    if said.tool:
        arguments = said.tool.arguments
        calls: list[JsonObject] = [{"index": 0, **_call(said, "", number)}]
        # The arguments come in two parts, cut where no reader of JSON would cut them.
        calls += [{"index": 0, "function": {"arguments": part}} for part in (arguments[:1], arguments[1:])]
        outputs = [chunk({"tool_calls": [call]}) for call in calls]
    else:
        outputs = [chunk({"content": piece}) for piece in said.pieces]
    after = [chunk({}, _finish(said))]
    if (wire.get("stream_options") or {}).get("include_usage"):
        after.append(data({**head, "choices": [], "usage": usage(said)}))
    return Frames([chunk({"role": "assistant", "content": ""})], outputs, [*after, DONE])


# --- completions ---


def completion(wire: JsonObject, said: Said, number: int) -> JsonObject:
    choice = {"index": 0, "text": said.text, "logprobs": None, "finish_reason": said.finish or "stop"}
    return {**_head("text_completion", "cmpl", wire, number), "choices": [choice], "usage": usage(said)}


def completion_frames(wire: JsonObject, said: Said, number: int) -> Frames:
    head = _head("text_completion", "cmpl", wire, number)

    def chunk(text: str, finish: str | None = None) -> bytes:
        return data({**head, "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}]})

    after = [chunk("", said.finish or "stop")]
    if (wire.get("stream_options") or {}).get("include_usage"):
        after.append(data({**head, "choices": [], "usage": usage(said)}))
    return Frames([], [chunk(piece) for piece in said.pieces], [*after, DONE])


# --- embeddings, models ---


def embeddings(wire: JsonObject, said: Said, number: int) -> JsonObject:
    given = wire.get("input")
    texts = given if isinstance(given, list) else [given]
    size = min(wire.get("dimensions") or DIMENSIONS, MAX_DIMENSIONS)
    found = [{"object": "embedding", "index": n, "embedding": _vector(text, size)} for n, text in enumerate(texts)]
    counted = {"prompt_tokens": said.input_tokens, "total_tokens": said.input_tokens}
    return {"object": "list", "data": found, "model": wire.get("model"), "usage": counted}


def _vector(text: Any, size: int) -> list[float]:
    """The same for the same text, another for another one."""
    told = str(text).encode()
    return [((sum(told) * (n + 1) + count_tokens(str(text))) % 200 - 100) / 100 for n in range(size)]


def models(names: list[str]) -> JsonObject:
    listed = [{"id": name, "object": "model", "created": CREATED, "owned_by": "mock"} for name in names]
    return {"object": "list", "data": listed}
