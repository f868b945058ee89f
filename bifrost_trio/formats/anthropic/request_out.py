"""The common shape as Anthropic's Messages request (platform.claude.com, "Create a Message")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bifrost_trio.formats.anthropic.messages_out import encode_messages
from bifrost_trio.formats.anthropic.thinking import add_thinking
from bifrost_trio.formats.anthropic.tools_out import add_tools

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["encode_request"]

_SAME = frozenset(
    (
        "model",
        "stream",
        "temperature",
        "top_p",
        "top_k",
        "thinking",
        "container",
        "mcp_servers",
        "context_management",
        "inference_geo",
        "speed",
        "user_profile_id",
        "cache_control",
    )
)
_TRANSLATED = frozenset(
    (
        "client_format",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "reasoning",
        "user",
        "safety_identifier",
        "metadata",
        "service_tier",
        "output_config",
        "stream_options",
    )
)
_DEFAULTS: JsonObject = {
    "n": 1,
    "store": False,
    "logprobs": False,
    "modalities": ["text"],
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "functions": [],
}
"""Values that ask for what Anthropic does anyway: nothing is lost when they are not sent."""
_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}


def encode_request(common: JsonObject, dropped: list[str]) -> JsonObject:
    """Common to wire; whatever Anthropic cannot carry is appended to ``dropped``."""
    native = common.get("client_format") == "anthropic"
    wire: JsonObject = {}
    for name, value in common.items():
        if value is None or name in _TRANSLATED:
            continue
        if name in _SAME or native:
            wire[name] = value
        elif not (name in _DEFAULTS and _DEFAULTS[name] == value):
            dropped.append(name)
    _temperature(wire, native, dropped)
    encode_messages(common.get("messages") or [], wire, native, dropped)
    _output(common, wire, native, dropped)
    add_thinking(common, wire, dropped)
    add_tools(common, wire, native, dropped)
    _stop(common.get("stop"), wire, native, dropped)
    _user(common, wire, dropped)
    _service_tier(common.get("service_tier"), wire, dropped)
    options = common.get("stream_options")
    if isinstance(options, dict):
        dropped += [f"stream_options.{name}" for name in options if name != "include_usage"]
    return wire


def _temperature(wire: JsonObject, native: bool, dropped: list[str]) -> None:
    """OpenAI's goes up to 2, Anthropic's to 1, which is also its default."""
    value = wire.get("temperature")
    if not native and isinstance(value, int | float) and value > 1:
        del wire["temperature"]
        dropped.append("temperature")


def _stop(stop: Any, wire: JsonObject, native: bool, dropped: list[str]) -> None:
    if stop is None:
        return
    words = [stop] if isinstance(stop, str) else stop
    if not isinstance(words, list):
        dropped.append("stop")
        return
    # Anthropic refuses a stop sequence of white space alone.
    kept = [word for word in words if native or not isinstance(word, str) or word.strip()]
    if len(kept) < len(words):
        dropped += [f"stop[{n}]" for n, word in enumerate(words) if isinstance(word, str) and not word.strip()]
    if kept or native:
        wire["stop_sequences"] = kept


def _user(common: JsonObject, wire: JsonObject, dropped: list[str]) -> None:
    metadata = common.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    user = common.get("user") or common.get("safety_identifier") or metadata.get("user_id")
    if common.get("safety_identifier") not in (None, user):
        dropped.append("safety_identifier")
    kept: JsonObject = {} if user is None else {"user_id": user}
    if common.get("client_format") == "anthropic":
        kept.update(metadata)
    else:
        dropped += [f"metadata.{name}" for name, value in metadata.items() if name != "user_id" or value != user]
    if kept:
        wire["metadata"] = kept


def _service_tier(tier: Any, wire: JsonObject, dropped: list[str]) -> None:
    if str(tier) in _TIERS:
        wire["service_tier"] = _TIERS[str(tier)]
    elif tier is not None:
        dropped.append("service_tier")


def _output(common: JsonObject, wire: JsonObject, native: bool, dropped: list[str]) -> None:
    rest = common.get("output_config")
    config = dict(rest) if isinstance(rest, dict) else {}
    wanted = common.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_schema" and isinstance(wanted, dict):
        config["format"] = {"type": "json_schema", "schema": _schema(wanted.get("json_schema"), native, dropped)}
    elif wanted is not None and kind != "text":
        dropped.append("response_format")
    if config:
        wire["output_config"] = config


def _schema(named: Any, native: bool, dropped: list[str]) -> Any:
    """The schema; its name and description, for which Anthropic has no place, become its title and description."""
    named = named if isinstance(named, dict) else {}
    schema = named.get("schema")
    if native:
        return schema
    if named.get("strict") is False:
        dropped.append("response_format.json_schema.strict")
    schema = schema if isinstance(schema, dict) else {"type": "object"}
    words = {"title": named.get("name"), "description": named.get("description")}
    return {**{name: word for name, word in words.items() if word}, **schema}
