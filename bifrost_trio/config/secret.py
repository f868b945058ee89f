"""Values that are never shown: provider keys, passwords."""

from __future__ import annotations

from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from bifrost_trio.config.environment import origin, resolve
from bifrost_trio.config.plain import expected, refuse

__all__ = ["MASK", "Secret"]

MASK: Final = "***"


class Secret:
    """A string whose ``repr``, ``str``, format and JSON are ``***``; `reveal` gives it.

    In a file it may be ``env.NAME``. White space around it is dropped (variables filled from files often end in a new
    line); what could not stand in a header (RFC 9110 section 5.5) is refused.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "writeOnly": True}


def _validate(value: object, info: ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise expected("a string", value)
    if (info.data or {}).get("enabled") is False and value.startswith("env."):
        return Secret("")
    text = resolve(value, info).strip()
    if not text.isascii() or not text.isprintable():
        reason = "has a character that cannot stand in a header (not ASCII, or a control character)"
        raise refuse(reason + origin(value))
    return Secret(text)
