"""No key is ever written: providers repeat keys in their error messages, and plugins in their exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["MASK", "Redactor"]

MASK = "***"

SHORTEST = 8
"""Characters of a configured key that is looked for; a shorter one (``test``) guards nothing and is a word."""

SHAPES = re.compile(
    r"\b(?:sk|rk|pk|gsk|csk|xai|pplx|nvapi|hf|r8|ghp|github_pat)[-_][\w*.-]{8,}"
    r"|\bAIza[\w*-]{16,}|\bya29\.[\w*.-]{8,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|(?i:\bbearer\s+)[\w.~+/*=-]{8,}"
)
"""What the providers' keys look like: for those that a client brings, and those that are partly masked already."""


class Redactor:
    """Replaces keys by ``***``: the configured ones by their value, others by their shape."""

    def __init__(self) -> None:
        self._last: frozenset[str] = frozenset()
        self._known: re.Pattern[str] | None = None

    def learn(self, secrets: Iterable[str]) -> None:
        """The keys of a new configuration; those of the one before still occur in calls that are in flight."""
        new = frozenset(secret for secret in secrets if len(secret) >= SHORTEST)
        longest_first = sorted(new | self._last, key=lambda secret: (-len(secret), secret))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._last = new

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return SHAPES.sub(MASK, text)
