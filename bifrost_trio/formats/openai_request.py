"""A request of the common shape that came from another client, as OpenAI's chat completions take it.

OpenAI refuses members that it does not document, so those of the common shape that it lacks are dropped and named.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from bifrost_trio.formats.anthropic.thinking import effort_of
from bifrost_trio.formats.openai_messages import translate_messages

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["translate_request"]

_SAME = frozenset(
    (
        "model",
        "stream",
        "temperature",
        "top_p",
        "stop",
        "user",
        "metadata",
        "service_tier",
        "response_format",
        "reasoning_effort",
    )
)
_TRANSLATED = frozenset(
    (
        "client_format",
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_tokens",
        "max_completion_tokens",
        "thinking",
        "output_config",
    )
)


def translate_request(common: JsonObject, accepts: Set[str], limit_member: str, dropped: list[str]) -> JsonObject:
    """Common to wire; appends to ``dropped`` the path, in the common shape, of whatever OpenAI has no member for."""
    wire: JsonObject = {}
    for name, value in common.items():
        if value is None or name in _TRANSLATED:
            continue
        if name in _SAME or name in accepts:
            wire[name] = value
        else:
            dropped.append(name)
    wire["messages"] = translate_messages(common.get("messages") or [], accepts, dropped)
    limit = common.get("max_completion_tokens") or common.get("max_tokens")
    if limit is not None:
        wire[limit_member] = limit
    if wire.get("stream"):
        # An Anthropic stream always ends with its usage; OpenAI tells it only when asked.
        wire["stream_options"] = {"include_usage": True}
    _tools(common, wire, accepts, dropped)
    _thinking(common, wire, accepts, dropped)
    config = common.get("output_config")
    if isinstance(config, dict):
        dropped += [f"output_config.{name}" for name in config]
    return wire


def _tools(common: JsonObject, wire: JsonObject, accepts: Set[str], dropped: list[str]) -> None:
    tools = []
    for n, tool in enumerate(common.get("tools") or ()):
        if not isinstance(tool.get("function"), dict):
            dropped.append(f"tools[{n}]")
            continue
        extras = tool.keys() - {"type", "function"}
        dropped += [f"tools[{n}].{name}" for name in sorted(extras - accepts) if tool[name] is not None]
        tools.append({name: value for name, value in tool.items() if name not in extras or name in accepts})
    if not tools:
        dropped += [name for name in ("tool_choice", "parallel_tool_calls") if common.get(name) not in (None, "auto")]
        return
    wire["tools"] = tools
    names = [tool["function"].get("name") for tool in tools]
    choice = common.get("tool_choice")
    if isinstance(choice, dict) and choice.get("function", {}).get("name") not in names:
        dropped.append("tool_choice")
    elif choice is not None:
        wire["tool_choice"] = choice
    if common.get("parallel_tool_calls") is not None:
        wire["parallel_tool_calls"] = common["parallel_tool_calls"]


def _thinking(common: JsonObject, wire: JsonObject, accepts: Set[str], dropped: list[str]) -> None:
    thinking = common.get("thinking")
    if not isinstance(thinking, dict):
        return
    if "thinking" in accepts:
        wire["thinking"] = thinking
        return
    if thinking.get("display") is not None:
        dropped.append("thinking.display")
    kind = thinking.get("type")
    if kind == "enabled":
        effort = effort_of(thinking)
        if effort is not None:
            wire.setdefault("reasoning_effort", effort)
        else:
            dropped.append("thinking")
    elif kind != "adaptive":
        # "adaptive" is what OpenAI's reasoning models do anyway; that others are not to think, not all of them
        # can be told: an older one refuses reasoning_effort "none".
        dropped.append("thinking")
