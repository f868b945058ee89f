"""How much a model thinks, in OpenAI's words and in Anthropic's.

OpenAI has ``reasoning_effort``. Anthropic had a budget of tokens (``thinking``); its models from 4.6 on choose their
own depth (``thinking: adaptive``) under ``output_config.effort``, and later ones refuse a budget (platform.claude.com,
"Extended thinking", "Effort").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["DEFAULT_MAX_TOKENS", "MIN_BUDGET", "add_thinking", "effort_of"]

DEFAULT_MAX_TOKENS = 8192
"""``max_tokens`` where the client sets none. Anthropic requires one; this is the largest that its own SDK lets a whole
answer of the slowest models ask for, and every model still served grants it."""

MIN_BUDGET = 1024
"""The smallest thinking budget that Anthropic takes, in tokens."""

_BUDGETS = {"minimal": MIN_BUDGET, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}
_EFFORTS = {"minimal": "low"}
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")


def effort_of(thinking: JsonObject) -> str | None:
    """OpenAI's effort for an Anthropic budget. Never beyond ``high``, which every reasoning model knows."""
    budget = thinking.get("budget_tokens")
    if thinking.get("type") != "enabled" or not isinstance(budget, int):
        return None
    return next((word for word in ("low", "medium") if budget <= _BUDGETS[word]), "high")


def _adaptive(model: Any) -> bool:
    """Whether the model takes ``adaptive``: version 4.6 or later, or one whose name tells no version."""
    found = _VERSION.search(model) if isinstance(model, str) else None
    return found is None or (int(found[1]), int(found[2] or 0)) >= (4, 6)


def add_thinking(common: JsonObject, wire: JsonObject, dropped: list[str]) -> None:
    """Sets ``max_tokens``, ``thinking`` and ``output_config.effort``.

    An explicit ``thinking`` is sent as it is; else ``reasoning_effort`` (or ``reasoning``) asks for it. OpenAI's limit
    on tokens includes thinking as Anthropic's does, so a budget takes at most half of a limit that the client set.
    """
    limit = _limit(common, dropped)
    effort, budget = _wanted(common, dropped)
    native = common.get("client_format") == "anthropic"
    if not native and "thinking" in wire:
        effort = _check_thinking(wire, effort, dropped)
    if wire.get("thinking") is not None or native or (effort is None and budget is None):
        _set_effort(wire, effort, dropped)
        wire["max_tokens"] = limit if limit is not None else DEFAULT_MAX_TOKENS + _budget_of(wire.get("thinking"))
    elif effort == "none":
        wire["thinking"] = {"type": "disabled"}
        wire["max_tokens"] = DEFAULT_MAX_TOKENS if limit is None else limit
    elif budget is None and _adaptive(common.get("model")):
        wire["thinking"] = {"type": "adaptive"}
        _set_effort(wire, effort, dropped)
        wire["max_tokens"] = DEFAULT_MAX_TOKENS + _BUDGETS.get(str(effort), 0) if limit is None else limit
    else:
        budget = _BUDGETS.get(str(effort), _BUDGETS["medium"]) if budget is None else budget
        if not _set_budget(wire, limit, budget):
            dropped.append(next(n for n in ("reasoning_effort", "reasoning", "thinking") if common.get(n) is not None))


def _check_thinking(wire: JsonObject, effort: str | None, dropped: list[str]) -> str | None:
    """DeepSeek and Z.ai have ``thinking`` too, without a budget: Anthropic wants to know how much. The effort."""
    thinking = wire["thinking"]
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind in ("adaptive", "disabled") or (kind == "enabled" and thinking.get("budget_tokens") is not None):
        return effort
    del wire["thinking"]
    if kind == "enabled":
        return effort or "medium"
    dropped.append("thinking")
    return effort


def _limit(common: JsonObject, dropped: list[str]) -> Any:
    limit, older = common.get("max_completion_tokens"), common.get("max_tokens")
    if limit is None:
        return older
    if older is not None and older != limit:
        dropped.append("max_tokens")
    return limit


def _wanted(common: JsonObject, dropped: list[str]) -> tuple[str | None, int | None]:
    effort = common.get("reasoning_effort")
    reasoning = common.get("reasoning")
    budget = None
    if isinstance(reasoning, dict):
        effort = effort or reasoning.get("effort")
        budget = reasoning.get("max_tokens")
        names = reasoning.keys() - {"effort", "max_tokens"}
        dropped += [f"reasoning.{name}" for name in sorted(names) if reasoning[name] is not None]
    elif reasoning is not None:
        dropped.append("reasoning")
    return effort, budget if isinstance(budget, int) else None


def _budget_of(thinking: Any) -> int:
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return budget if isinstance(budget, int) else 0


def _set_effort(wire: JsonObject, effort: str | None, dropped: list[str]) -> None:
    if effort is not None and (effort == "none" or not isinstance(effort, str)):
        dropped.append("reasoning_effort")
    elif effort is not None:
        wire.setdefault("output_config", {})["effort"] = _EFFORTS.get(effort, effort)


def _set_budget(wire: JsonObject, limit: Any, budget: int) -> bool:
    """Whether there is room for thinking."""
    room = limit // 2 if isinstance(limit, int) else budget
    if (isinstance(limit, int) and limit <= MIN_BUDGET) or _lost_its_thoughts(wire["messages"]):
        wire["max_tokens"] = DEFAULT_MAX_TOKENS if limit is None else limit
        return False
    budget = max(MIN_BUDGET, min(budget, room))
    wire["thinking"] = {"type": "enabled", "budget_tokens": budget}
    wire["max_tokens"] = DEFAULT_MAX_TOKENS + budget if limit is None else limit
    return True


def _lost_its_thoughts(turns: list[JsonObject]) -> bool:
    """Whether the last turn of the assistant called tools and does not begin with its thinking.

    With a budget Anthropic refuses such a turn ("Preserving thinking blocks"); most OpenAI clients do not send thinking
    back, so that the rest of their tool loop has to do without.
    """
    last = next((turn["content"] for turn in reversed(turns) if turn["role"] == "assistant"), None)
    if not isinstance(last, list) or not any(block.get("type") == "tool_use" for block in last):
        return False
    return last[0].get("type") not in ("thinking", "redacted_thinking")
