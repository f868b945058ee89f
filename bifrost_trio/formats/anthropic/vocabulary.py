"""Words and numbers that Anthropic and OpenAI have for the same thing.

Sources: platform.claude.com "Handling stop reasons", "Messages", "Prompt caching"; platform.openai.com
"The chat completion object".
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["common_usage", "finish_reason", "new_id", "safe_id", "stop_reason", "wire_usage"]

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_TIERS = {"standard": "default"}
_TIERS_BACK = {"default": "standard", "standard": "standard", "priority": "priority", "batch": "batch"}
_COUNTED = frozenset(("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"))
_KEPT = ("cache_creation", "server_tool_use", "inference_geo", "iterations", "output_tokens_details")


def finish_reason(stop: str | None) -> str | None:
    """OpenAI's word for Anthropic's ``stop_reason``; an unknown one counts as ``stop``."""
    return None if stop is None else _FINISH.get(str(stop), "stop")


def stop_reason(choice: JsonObject, has_tools: bool) -> tuple[str | None, str | None]:
    """Anthropic's ``stop_reason`` and ``stop_sequence`` for a choice (or the last chunk of one).

    ``native_finish_reason`` is believed only as long as it says the same as ``finish_reason``, which a plugin may have
    changed. A model that called tools and says ``stop`` is read as ``tool_use``: some compatible providers do that, and
    an Anthropic client would not run the tools otherwise.
    """
    finish = choice.get("finish_reason")
    sequence = _stop_sequence(choice)
    if finish is None:
        return None, sequence
    native = choice.get("native_finish_reason")
    if isinstance(native, str) and native in _FINISH and _FINISH[native] == finish:
        return native, sequence
    if finish == "stop" and sequence is not None:
        return "stop_sequence", sequence
    if finish == "stop" and has_tools:
        return "tool_use", None
    return _STOP.get(str(finish), "end_turn"), sequence


def _stop_sequence(choice: JsonObject) -> str | None:
    for name in ("stop_sequence", "stop_reason"):  # vLLM puts the matched string into ``stop_reason``
        value = choice.get(name)
        if isinstance(value, str):
            return value
    return None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def common_usage(wire: JsonObject) -> JsonObject:
    """Anthropic's usage as OpenAI counts: ``prompt_tokens`` includes what was read from and written to the cache.

    What OpenAI does not count (``cache_creation``, ``server_tool_use`` …) is kept under Anthropic's name.
    """
    cached = _count(wire.get("cache_read_input_tokens"))
    written = _count(wire.get("cache_creation_input_tokens"))
    prompt = _count(wire.get("input_tokens")) + cached + written
    output = _count(wire.get("output_tokens"))
    usage: JsonObject = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
    }
    details = wire.get("output_tokens_details")
    if isinstance(details, dict) and "thinking_tokens" in details:
        usage["completion_tokens_details"] = {"reasoning_tokens": _count(details["thinking_tokens"])}
    for name, value in wire.items():
        if name not in _COUNTED and value is not None:
            usage[name] = _TIERS.get(str(value), value) if name == "service_tier" else value
    return usage


def wire_usage(usage: JsonObject | None) -> JsonObject:
    """OpenAI's usage as Anthropic counts: ``input_tokens`` is what was neither read from nor written to the cache."""
    if not isinstance(usage, dict):
        return {"input_tokens": 0, "output_tokens": 0}
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    cached = _count(details.get("cached_tokens")) or _count(usage.get("prompt_cache_hit_tokens"))
    written = _count(details.get("cache_write_tokens"))
    prompt = _count(usage.get("prompt_tokens"))
    if cached <= prompt:
        written = min(written, prompt - cached)  # OpenRouter has been seen to count the same tokens as read and written
        prompt -= cached + written
    # Else the prompt is counted without the cache, as xAI does on Azure.
    wire: JsonObject = {
        "input_tokens": prompt,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": _count(usage.get("completion_tokens")),
    }
    for name in _KEPT:
        if usage.get(name) is not None:
            wire[name] = usage[name]
    tier = _TIERS_BACK.get(str(usage.get("service_tier")))
    if tier is not None:
        wire["service_tier"] = tier
    _add_thinking_tokens(wire, usage)
    return wire


def _add_thinking_tokens(wire: JsonObject, usage: JsonObject) -> None:
    details = usage.get("completion_tokens_details")
    if isinstance(details, dict) and "output_tokens_details" not in wire and _count(details.get("reasoning_tokens")):
        wire["output_tokens_details"] = {"thinking_tokens": details["reasoning_tokens"]}


def new_id() -> str:
    """A message's id where the provider gave none."""
    return f"msg_{uuid.uuid4().hex}"


def safe_id(tool_id: Any) -> str:
    """A tool call's id as Anthropic takes it (``^[a-zA-Z0-9_-]+$``); what is already so is returned unchanged.

    Other providers use dots and colons (``functions.search:0``). The same id always becomes the same one, so that calls
    and results still match.
    """
    text = tool_id if isinstance(tool_id, str) else str(tool_id)
    if text.isascii() and text.replace("_", "a").replace("-", "a").isalnum():
        return text
    letters = [letter if letter == "-" or (letter.isascii() and letter.isalnum()) else "_" for letter in text]
    return "".join(letters) or "_"
