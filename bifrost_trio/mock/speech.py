"""What the mock says: always the same to the same request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bifrost_trio.mock.behaviour import Behaviour
from bifrost_trio.types import JsonObject

__all__ = ["DIRECTIVE", "Said", "ToolUse", "count_tokens", "last_text", "speak", "texts_of"]

DIRECTIVE = re.compile(r"\[\[mock\s+(.*?)\]\]", re.DOTALL)
"""``[[mock status=500]]`` in a prompt; what stands in it is explained in `behaviour`."""

_EXAMPLES: dict[str, Any] = {"string": "mock", "number": 1.5, "integer": 1, "boolean": True, "array": [], "object": {}}


@dataclass(frozen=True, slots=True)
class ToolUse:
    """``arguments`` is JSON."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Said:
    """``pieces`` are the text as a stream says it. A call of a tool stands in place of a text."""

    pieces: list[str]
    tool: ToolUse | None
    input_tokens: int
    output_tokens: int
    finish: str | None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def speak(wire: JsonObject, behaviour: Behaviour) -> Said:
    """The answer to a request of any of the languages."""
    told = DIRECTIVE.sub("", last_text(wire)).strip()
    tool = _tool(wire, told, behaviour)
    pieces = [] if tool else _pieces(told, behaviour)
    counted = count_tokens(tool.arguments if tool else "".join(pieces))
    return Said(
        pieces,
        tool,
        behaviour.input_tokens if behaviour.input_tokens is not None else sum(map(count_tokens, texts_of(wire))),
        behaviour.output_tokens if behaviour.output_tokens is not None else counted,
        behaviour.finish,
    )


def count_tokens(text: str) -> int:
    """Words: near enough to tokens for a mock, and easily checked."""
    return len(text.split())


# --- what was asked ---


def texts_of(wire: JsonObject) -> Iterator[str]:
    """Every text of the request: instructions, messages, prompts, inputs."""
    for member in ("system", "instructions", "messages", "prompt", "input"):
        yield from _texts(wire.get(member))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for member in ("text", "content", "output"):
            yield from _texts(value.get(member))


def last_text(wire: JsonObject) -> str:
    """What the user said last: all texts of the last message, prompt or input."""
    for member in ("messages", "prompt", "input"):
        value = wire.get(member)
        if isinstance(value, list) and value:
            return " ".join(_texts(value[-1]))
        if isinstance(value, str):
            return value
    return ""


# --- what is answered ---


def _pieces(told: str, behaviour: Behaviour) -> list[str]:
    text = behaviour.content
    wanted = behaviour.chunks
    if text is None:
        if wanted is not None:
            return [f"{number} " for number in range(1, wanted + 1)]
        text = f"You said: {told}" if told else "Hello from the mock."
    if wanted is None:
        return re.findall(r"\S+\s*|^\s+", text)
    # As even as it goes; pieces beyond the text's length are empty.
    return [text[len(text) * n // wanted : len(text) * (n + 1) // wanted] for n in range(wanted)]


def _tool(wire: JsonObject, told: str, behaviour: Behaviour) -> ToolUse | None:
    """The tool that was ordered, chosen for the mock, or named in what the user said."""
    schemas = dict(_tools(wire))
    name = behaviour.tool or _forced(wire, schemas)
    if name is None and not _answers_a_tool(wire):
        name = next((known for known in schemas if re.search(rf"\b{re.escape(known)}\b", told)), None)
    if name is None:
        return None
    return ToolUse(name, json.dumps(_example(schemas.get(name) or {})))


def _tools(wire: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for tool in wire.get("tools") or []:
        told = tool.get("function") or tool
        if "name" in told:
            yield told["name"], told.get("parameters") or told.get("input_schema") or {}


def _forced(wire: JsonObject, schemas: dict[str, JsonObject]) -> str | None:
    choice = wire.get("tool_choice")
    if choice == "required" or (isinstance(choice, dict) and choice.get("type") == "any"):
        return next(iter(schemas), None)
    if isinstance(choice, dict):
        name = choice.get("name") or (choice.get("function") or {}).get("name")
        return name if isinstance(name, str) else None
    return None


def _answers_a_tool(wire: JsonObject) -> bool:
    """Whether the last message brings a tool's result: calling the tool again would never end."""
    messages = wire.get("messages") or wire.get("input")
    last = messages[-1] if isinstance(messages, list) and messages else {}
    if not isinstance(last, dict):
        return False
    content = last.get("content")
    blocks = content if isinstance(content, list) else []
    return (
        last.get("role") == "tool"
        or last.get("type") == "function_call_output"
        or any(isinstance(block, dict) and block.get("type") == "tool_result" for block in blocks)
    )


def _example(schema: JsonObject) -> Any:
    """The smallest value that a JSON schema of the simple kind allows."""
    if "enum" in schema:
        return schema["enum"][0]
    properties = schema.get("properties")
    if isinstance(properties, dict):
        wanted = schema.get("required", [])
        return {name: _example(properties[name]) for name in wanted if name in properties}
    kind = schema.get("type", "object")
    return _EXAMPLES.get(kind if isinstance(kind, str) else kind[0], "mock")
