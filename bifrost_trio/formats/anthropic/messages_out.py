"""Messages of the common shape as Anthropic's ``system`` and ``messages``: turns of user and assistant, by turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bifrost_trio.formats.anthropic.parts import encode_parts
from bifrost_trio.formats.anthropic.turns import encode_assistant
from bifrost_trio.formats.anthropic.vocabulary import safe_id

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["encode_messages"]

_KNOWN = {
    "system": frozenset(("role", "content", "cache_control")),
    "user": frozenset(("role", "content", "cache_control")),
    "tool": frozenset(("role", "content", "cache_control", "tool_call_id", "is_error")),
}


def encode_messages(messages: list[JsonObject], wire: JsonObject, native: bool, dropped: list[str]) -> None:
    """Sets ``system`` and ``messages``.

    Every system and developer message of an OpenAI client moves into ``system``, in order; of an Anthropic client
    only those before the first turn, for it may send others where they belong. Messages of one role that follow each
    other, and tool results, become one turn. A message without content is left out.
    """
    system: list[Any] = []
    turns: list[JsonObject] = []
    for n, message in enumerate(messages):
        path = f"messages[{n}]"
        role = "system" if message.get("role") == "developer" else message.get("role")
        if role == "assistant":
            content: Any = _assistant(message, path, dropped)
        elif isinstance(role, str) and role in _KNOWN:
            dropped += [f"{path}.{name}" for name, value in message.items() if value and name not in _KNOWN[role]]
            content = _tool_result(message, path, dropped) if role == "tool" else _content(message, path, dropped)
        else:
            dropped.append(path)
            continue
        if role == "system" and not (native and turns):
            system.append(content)
        elif content:
            _add_turn(turns, "user" if role == "tool" else str(role), content)
    if system:
        wire["system"] = system[0] if len(system) == 1 else [block for text in system for block in _blocks(text)]
        if not wire["system"] and not native:
            del wire["system"]
    wire["messages"] = turns


def _blocks(content: Any) -> list[JsonObject]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content)


def _add_turn(turns: list[JsonObject], role: str, content: Any) -> None:
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] = _blocks(turns[-1]["content"]) + _blocks(content)
    else:
        turns.append({"role": role, "content": content})


def _content(message: JsonObject, path: str, dropped: list[str]) -> Any:
    content = message.get("content")
    if isinstance(content, list):
        content = encode_parts(content, f"{path}.content", dropped)
    elif not isinstance(content, str):
        content = ""
    return _marked(content, message)


def _marked(content: Any, message: JsonObject) -> Any:
    """A cache marker of the message as the marker of its last block."""
    if message.get("cache_control") is None or not content:
        return content
    blocks = _blocks(content)
    blocks[-1] = {**blocks[-1], "cache_control": message["cache_control"]}
    return blocks


def _assistant(message: JsonObject, path: str, dropped: list[str]) -> Any:
    if len(message) == 2 and isinstance(message.get("content"), str):
        return message["content"]
    return _marked(encode_assistant(message, path, dropped), message)


def _tool_result(message: JsonObject, path: str, dropped: list[str]) -> list[JsonObject]:
    content = message.get("content")
    if isinstance(content, list):
        content = encode_parts(content, f"{path}.content", dropped)
    elif not isinstance(content, str):
        content = ""
    block: JsonObject = {"type": "tool_result", "tool_use_id": safe_id(message.get("tool_call_id")), "content": content}
    for name in ("is_error", "cache_control"):
        if message.get(name) is not None:
            block[name] = message[name]
    return [block]
