"""Refusals in plain English, raised by the models' own validators."""

from __future__ import annotations

from typing import Final

from pydantic_core import PydanticCustomError

__all__ = ["PLAIN", "expected", "refuse", "what"]

PLAIN: Final = "plain"
"""The type of a pydantic error whose message is to be shown as it is."""


def refuse(message: str, hint: str | None = None) -> PydanticCustomError:
    """The error to raise from a validator. ``message`` must not hold a secret's value."""
    return PydanticCustomError(PLAIN, "{message}", {"message": message, "hint": hint})


def expected(wanted: str, value: object) -> PydanticCustomError:
    return refuse(f"expected {wanted}, got {what(value)}")


def what(value: object) -> str:
    """The JSON type of ``value`` with its article; never the value itself."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string" if value else "an empty string"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
