"""Which name was meant."""

from __future__ import annotations

import pytest

from bifrost_trio.config.nearest import distance, nearest

NAMES = ["budgets", "providers", "base_url", "max_retries", "connect_timeout_in_seconds", "enabled", "id"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("budget", "budgets"),
        ("bugdets", "budgets"),
        ("provider", "providers"),
        ("baseUrl", "base_url"),
        ("base-url", "base_url"),
        ("BASE_URL", "base_url"),
        ("max_retry", "max_retries"),
        ("maxRetries", "max_retries"),
        ("connect_timeout", "connect_timeout_in_seconds"),
        ("enable", "enabled"),
        ("ids", "id"),
        ("url", "base_url"),
        ("weather", None),
        ("x", None),
        ("", None),
    ],
)
def test_nearest(name: str, meant: str | None) -> None:
    assert nearest(name, NAMES) == meant


def test_nothing_is_near_when_nothing_is_known() -> None:
    assert nearest("a", []) is None


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "ab", 1), ("ab", "abc", 1), ("abc", "adc", 1), ("abcd", "acbd", 1)]
    + [("valeu", "value", 1), ("kitten", "sitting", 3), ("", "abc", 3)],
)
def test_distance(left: str, right: str, edits: int) -> None:
    assert distance(left, right) == distance(right, left) == edits
