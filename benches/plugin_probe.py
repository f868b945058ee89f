"""A plugin as a user would begin one: what was asked for, what was used. It is what the profile *plugin* runs."""

from __future__ import annotations

from typing import Any

from bifrost_trio.plugins import Answer, Plugin
from bifrost_trio.types import Call

__all__ = ["Probe"]


class Probe(Plugin):
    """Counts calls and tokens by model."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self.calls: dict[str, int] = {}
        self.tokens: dict[str, int] = {}

    def before(self, call: Call) -> None:
        model = call.envelope.model or ""
        self.calls[model] = self.calls.get(model, 0) + 1

    def after(self, call: Call, answer: Answer | None) -> None:
        usage = call.outcome.usage
        if usage is not None:
            model = call.envelope.model or ""
            self.tokens[model] = self.tokens.get(model, 0) + (usage.output_tokens or 0)
