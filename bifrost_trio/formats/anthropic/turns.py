"""Anthropic's content blocks and the messages of the common shape.

Read: an assistant's blocks become ``content``, ``reasoning_content``, ``thinking_blocks`` and ``tool_calls``; where
these could not give the blocks back (several texts, citations, server tools, an unusual order), the blocks themselves
stay in ``content_blocks``. Written: ``content_blocks`` is used as long as it says the same as the other members, so
that whoever changes those does not have to know of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bifrost_trio.formats.anthropic.parts import encode_part
from bifrost_trio.formats.anthropic.vocabulary import safe_id
from bifrost_trio.formats.codec import DecodeError, compact, decode
from bifrost_trio.formats.content import reasoning_of, text_of

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["RAW_ARGUMENTS", "decode_assistant", "encode_assistant", "encode_call"]

RAW_ARGUMENTS = "raw_arguments"
"""Anthropic's ``input`` is an object; arguments that are none are handed on as text under this name, not lost."""

_RANK = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}
_OPAQUE = 3
_CALL = frozenset(("type", "id", "name", "input"))
_MESSAGE = frozenset(
    ("role", "content", "content_blocks", "thinking_blocks", "reasoning_content", "reasoning", "tool_calls", "refusal")
) | {"cache_control"}


def decode_assistant(blocks: list[JsonObject]) -> JsonObject:
    """An assistant's content blocks, of a request or of an answer, as a message."""
    groups: tuple[list[JsonObject], ...] = ([], [], [], [])
    last, plain = 0, True
    for block in blocks:
        rank = _RANK.get(str(block.get("type")), _OPAQUE)
        groups[rank].append(block)
        plain = plain and last <= rank < _OPAQUE
        last = rank
    thinking, texts, calls, _ = groups
    message: JsonObject = {"role": "assistant", "content": text_of(texts) if texts else None}
    if thinking:
        message["reasoning_content"] = "".join([text for text in map(_thought, thinking) if text])
        message["thinking_blocks"] = thinking
    if calls:
        message["tool_calls"] = [_decode_call(block) for block in calls]
    if not plain or len(texts) > 1 or any(_has_more(text) for text in texts):
        message["content_blocks"] = blocks
        _add_annotations(message, texts)
    return message


def _thought(block: JsonObject) -> str | None:
    text = block.get("thinking")
    return text if isinstance(text, str) else None


def _has_more(text: JsonObject) -> bool:
    return len(text) > 2 and any(text[name] is not None for name in text if name not in ("type", "text"))


def _decode_call(block: JsonObject) -> JsonObject:
    call: JsonObject = {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": compact(block.get("input") or {})},
    }
    for name in block.keys() - _CALL:
        call[name] = block[name]
    return call


def _add_annotations(message: JsonObject, texts: list[JsonObject]) -> None:
    """Citations of web pages as OpenAI has them; every citation also stays in its block."""
    annotations, start = [], 0
    for text in texts:
        end = start + len(text_of([text]))
        citations = text.get("citations")
        for citation in citations if isinstance(citations, list) else ():
            if isinstance(citation, dict) and isinstance(citation.get("url"), str):
                where = {"start_index": start, "end_index": end}
                page = {"url": citation["url"], "title": citation.get("title") or ""}
                annotations.append({"type": "url_citation", "url_citation": page | where})
        start = end
    if annotations:
        message["annotations"] = annotations


def encode_assistant(message: JsonObject, path: str, dropped: list[str] | None) -> list[JsonObject]:
    """A message as content blocks; ``dropped`` is None for an answer, where nothing need be said twice.

    In a request, thinking without a signature is dropped: Anthropic refuses it. In an answer it is shown.
    """
    known = message.get("content_blocks")
    encoded = [encode_call(call, f"{path}.tool_calls[{n}]", dropped) for n, call in enumerate(_calls(message))]
    calls = [call for call in encoded if call is not None]
    if isinstance(known, list) and _agrees(known, message, calls):
        by_id = {call["id"]: call for call in calls}
        return [by_id[safe_id(block.get("id"))] if block.get("type") == "tool_use" else block for block in known]
    blocks = _thinking(message, path, dropped)
    content = message.get("content")
    if isinstance(content, str):
        if content:
            blocks.append({"type": "text", "text": content})
    elif isinstance(content, list):
        blocks += _parts(content, path, dropped)
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        blocks.append({"type": "text", "text": message["refusal"]})
    blocks += calls
    if dropped is not None:
        dropped += [f"{path}.{name}" for name, value in message.items() if name not in _MESSAGE and value]
    return blocks


def _calls(message: JsonObject) -> list[JsonObject]:
    calls = message.get("tool_calls")
    return calls if isinstance(calls, list) else []


def _agrees(known: list[Any], message: JsonObject, calls: list[JsonObject]) -> bool:
    if not all(isinstance(block, dict) for block in known):
        return False
    ids = [safe_id(block.get("id")) for block in known if block.get("type") == "tool_use"]
    return ids == [call["id"] for call in calls] and text_of(known) == text_of(message.get("content"))


def _thinking(message: JsonObject, path: str, dropped: list[str] | None) -> list[JsonObject]:
    blocks = message.get("thinking_blocks")
    if isinstance(blocks, list) and blocks:
        signed = [b for b in blocks if isinstance(b, dict) and (b.get("signature") or b.get("data"))]
        if dropped is None:
            return list(blocks)
        if len(signed) < len(blocks):
            dropped.append(f"{path}.thinking_blocks")
        return signed
    text = reasoning_of(message)
    if not text:
        return []
    if dropped is None:
        return [{"type": "thinking", "thinking": text, "signature": ""}]
    dropped.append(f"{path}.reasoning_content")
    return []


def _parts(content: list[Any], path: str, dropped: list[str] | None) -> list[JsonObject]:
    lost: list[str] = [] if dropped is None else dropped
    parts = [
        encode_part(part, f"{path}.content[{n}]", lost)
        for n, part in enumerate(content)
        if not (isinstance(part, dict) and part.get("type") == "thinking" and isinstance(part.get("thinking"), list))
    ]
    return [part for part in parts if part is not None]


def encode_call(call: JsonObject, path: str, dropped: list[str] | None) -> JsonObject | None:
    """A tool call as a ``tool_use`` block; None for a call of another kind than of a function."""
    function = call.get("function")
    if not isinstance(function, dict):
        if dropped is not None:
            dropped.append(path)
        return None
    block: JsonObject = {
        "type": "tool_use",
        "id": safe_id(call.get("id")),
        "name": function.get("name"),
        "input": _arguments(function.get("arguments"), f"{path}.function.arguments", dropped),
    }
    for name in call.keys() - {"id", "type", "function", "index"}:
        if name in ("caller", "cache_control"):
            block[name] = call[name]
        elif dropped is not None and call[name] is not None:
            dropped.append(f"{path}.{name}")
    return block


def _arguments(text: Any, path: str, dropped: list[str] | None) -> JsonObject:
    """An answer that reached its limit ends within them, and some models write what is not an object."""
    if isinstance(text, dict):
        return text
    if not isinstance(text, str) or text.strip() in ("", "null"):
        return {}
    try:
        value = decode(text)
    except (DecodeError, UnicodeEncodeError):
        value = None
    if isinstance(value, dict):
        return value
    if dropped is not None:
        dropped.append(path)
    return {RAW_ARGUMENTS: text}
