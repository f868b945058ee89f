"""Anthropic's Messages request as the common shape (platform.claude.com, "Create a Message")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bifrost_trio.errors import InvalidField
from bifrost_trio.formats.anthropic.parts import decode_part
from bifrost_trio.formats.anthropic.turns import decode_assistant

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["decode_request"]

_TRANSLATED = frozenset(
    (
        "system",
        "messages",
        "tools",
        "tool_choice",
        "max_tokens",
        "stop_sequences",
        "metadata",
        "output_config",
        "output_format",
        "service_tier",
    )
)
_CUSTOM_TOOL = frozenset(("type", "name", "description", "input_schema", "strict"))
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def decode_request(wire: JsonObject) -> JsonObject:
    """Wire to common. Raises InvalidField where the request has not the shape that it must have."""
    common: JsonObject = {"client_format": "anthropic"}
    for name, value in wire.items():
        if name not in _TRANSLATED and value is not None:
            common[name] = value
    common["messages"] = _system(wire.get("system")) + _messages(wire.get("messages"))
    if wire.get("max_tokens") is not None:
        common["max_completion_tokens"] = wire["max_tokens"]
    if wire.get("stop_sequences") is not None:
        common["stop"] = wire["stop_sequences"]
    if wire.get("tools") is not None:
        common["tools"] = [_tool(tool) for tool in _objects(wire["tools"], "tools")]
    if wire.get("service_tier") is not None:
        common["service_tier"] = "default" if wire["service_tier"] == "standard_only" else wire["service_tier"]
    _tool_choice(wire.get("tool_choice"), common)
    _metadata(wire.get("metadata"), common)
    _output(wire, common)
    return common


def _objects(value: Any, path: str) -> list[JsonObject]:
    if not isinstance(value, list):
        raise InvalidField(f"{path} must be an array.", path)
    for n, item in enumerate(value):
        if not isinstance(item, dict):
            raise InvalidField(f"{path}[{n}] must be an object.", f"{path}[{n}]")
    return value


def _system(system: Any) -> list[JsonObject]:
    if system is None:
        return []
    if isinstance(system, str):
        return [{"role": "system", "content": system}]
    return [{"role": "system", "content": _objects(system, "system")}]


def _messages(value: Any) -> list[JsonObject]:
    messages: list[JsonObject] = []
    for n, message in enumerate(_objects(value, "messages")):
        role, content, path = message.get("role"), message.get("content"), f"messages[{n}]"
        if role not in ("user", "assistant", "system"):
            raise InvalidField(f"{path}.role must be user, assistant or system.", f"{path}.role")
        if isinstance(content, str):
            messages.append({"role": role, "content": content})
            continue
        blocks = _objects(content, f"{path}.content")
        if role == "user":
            messages += _user_turn(blocks, f"{path}.content")
        elif role == "assistant":
            messages.append(decode_assistant(blocks))
        else:
            messages.append({"role": role, "content": blocks})
    return messages


def _user_turn(blocks: list[JsonObject], path: str) -> list[JsonObject]:
    """Tool results become messages of their own, what stands between them messages of the user."""
    messages: list[JsonObject] = []
    parts: list[JsonObject] = []
    for n, block in enumerate(blocks):
        if block.get("type") != "tool_result":
            parts.append(decode_part(block))
            continue
        if parts:
            messages.append({"role": "user", "content": parts})
            parts = []
        messages.append(_tool_result(block, f"{path}[{n}]"))
    if parts or not messages:
        messages.append({"role": "user", "content": parts})
    return messages


def _tool_result(block: JsonObject, path: str) -> JsonObject:
    content = block.get("content")
    if content is None:
        content = ""
    elif not isinstance(content, str):
        content = [decode_part(part) for part in _objects(content, f"{path}.content")]
    message: JsonObject = {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": content}
    for name in ("is_error", "cache_control"):
        if block.get(name) is not None:
            message[name] = block[name]
    return message


def _tool(tool: JsonObject) -> JsonObject:
    """A tool of the client's own as a function; a server tool stays as it is."""
    if tool.get("type") not in (None, "custom"):
        return tool
    function: JsonObject = {"name": tool.get("name")}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema")
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    extras = {name: value for name, value in tool.items() if name not in _CUSTOM_TOOL and value is not None}
    return {"type": "function", "function": function, **extras}


def _tool_choice(choice: Any, common: JsonObject) -> None:
    if choice is None:
        return
    if not isinstance(choice, dict):
        raise InvalidField("tool_choice must be an object.", "tool_choice")
    kind = choice.get("type")
    if kind == "tool":
        common["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif str(kind) in _CHOICES:
        common["tool_choice"] = _CHOICES[str(kind)]
    else:
        raise InvalidField("tool_choice.type must be auto, any, tool or none.", "tool_choice.type")
    if isinstance(choice.get("disable_parallel_tool_use"), bool):
        common["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]


def _metadata(metadata: Any, common: JsonObject) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise InvalidField("metadata must be an object.", "metadata")
    if metadata.get("user_id") is not None:
        common["user"] = metadata["user_id"]
    rest = {name: value for name, value in metadata.items() if name != "user_id"}
    if rest:
        common["metadata"] = rest


def _output(wire: JsonObject, common: JsonObject) -> None:
    """``output_config`` and its older form ``output_format``."""
    config = wire.get("output_config")
    if config is None:
        config = {}
    elif not isinstance(config, dict):
        raise InvalidField("output_config must be an object.", "output_config")
    if config.get("effort") is not None:
        common["reasoning_effort"] = config["effort"]
    wanted = config.get("format") or wire.get("output_format")
    if isinstance(wanted, dict):
        common["response_format"] = _response_format(wanted)
    rest = {name: value for name, value in config.items() if name not in ("effort", "format") and value is not None}
    if rest:
        common["output_config"] = rest


def _response_format(wanted: JsonObject) -> JsonObject:
    """OpenAI wants a name for a schema; Anthropic has none, and always keeps to the schema."""
    schema = wanted.get("schema")
    title = schema.get("title") if isinstance(schema, dict) else None
    name = "".join([letter if letter.isascii() and letter.isalnum() else "_" for letter in str(title or "output")])
    return {"type": "json_schema", "json_schema": {"name": name[:64], "schema": schema, "strict": True}}
