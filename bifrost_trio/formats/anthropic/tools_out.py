"""Tools and the choice among them, from the common shape to Anthropic's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["add_tools"]

_EXTRAS = frozenset(("cache_control", "defer_loading", "allowed_callers", "input_examples", "eager_input_streaming"))
_FUNCTION = frozenset(("name", "description", "parameters", "strict"))
_CHOICES = {"auto": "auto", "none": "none", "required": "any", "any": "any"}  # "any" is Mistral's word


def add_tools(common: JsonObject, wire: JsonObject, native: bool, dropped: list[str]) -> None:
    """Sets ``tools`` and ``tool_choice``; without tools Anthropic takes no choice."""
    given = common.get("tools") or []
    tools = [_tool(tool, f"tools[{n}]", native, dropped) for n, tool in enumerate(given)]
    kept = [tool for tool in tools if tool is not None]
    choice = _choice(common.get("tool_choice"), dropped)
    kept = _allowed(common.get("tool_choice"), kept)
    if not kept and not native:
        names = ("tool_choice", "parallel_tool_calls")
        dropped += [name for name in names if common.get(name) not in (None, "none", "auto") and name not in dropped]
        return
    if kept or common.get("tools") is not None:
        wire["tools"] = kept
    parallel = common.get("parallel_tool_calls")
    if isinstance(parallel, bool):
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = not parallel
    if choice is not None:
        wire["tool_choice"] = choice


def _tool(tool: JsonObject, path: str, native: bool, dropped: list[str]) -> JsonObject | None:
    function = tool.get("function")
    if isinstance(function, dict):
        return _function(tool, function, path, native, dropped)
    if native or "name" in tool or tool.get("type") == "mcp_toolset":
        return tool
    dropped.append(path)
    return None


def _function(tool: JsonObject, function: JsonObject, path: str, native: bool, dropped: list[str]) -> JsonObject:
    wire: JsonObject = {"name": function.get("name")}
    if function.get("description") is not None:
        wire["description"] = function["description"]
    wire["input_schema"] = function.get("parameters") if native else _schema(function.get("parameters"))
    if function.get("strict") is not None:
        wire["strict"] = function["strict"]
    dropped += [f"{path}.function.{name}" for name, value in function.items() if value and name not in _FUNCTION]
    for name, value in tool.items():
        if name in ("type", "function") or value is None:
            continue
        if native or name in _EXTRAS:
            wire[name] = value
        else:
            dropped.append(f"{path}.{name}")
    return wire


def _schema(parameters: Any) -> JsonObject:
    """A function without parameters has no schema at OpenAI; Anthropic requires one, of type object."""
    if not isinstance(parameters, dict) or not parameters:
        return {"type": "object", "properties": {}}
    return parameters if "type" in parameters else {"type": "object", **parameters}


def _choice(choice: Any, dropped: list[str]) -> JsonObject | None:
    if choice is None:
        return None
    if isinstance(choice, str) and choice in _CHOICES:
        return {"type": _CHOICES[choice]}
    if isinstance(choice, dict):
        function = choice.get("function")
        if isinstance(function, dict):
            return {"type": "tool", "name": function.get("name")}
        allowed = choice.get("allowed_tools")
        if isinstance(allowed, dict):
            return {"type": "any" if allowed.get("mode") == "required" else "auto"}
    dropped.append("tool_choice")
    return None


def _allowed(choice: Any, tools: list[JsonObject]) -> list[JsonObject]:
    """OpenAI's ``allowed_tools`` narrows the choice; Anthropic can only be offered fewer tools."""
    allowed = choice.get("allowed_tools") if isinstance(choice, dict) else None
    if not isinstance(allowed, dict) or not isinstance(allowed.get("tools"), list):
        return tools
    functions = [tool.get("function") for tool in allowed["tools"] if isinstance(tool, dict)]
    names = [function.get("name") for function in functions if isinstance(function, dict)]
    return [tool for tool in tools if tool.get("name") in names]
