"""The types of single members: what they accept, what they say when they refuse, how the schema shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from bifrost_trio.catalog import REQUEST_TYPES
from bifrost_trio.config.environment import origin, resolve
from bifrost_trio.config.nearest import nearest
from bifrost_trio.config.plain import expected, refuse

__all__ = [
    "NO_EFFECT",
    "Backoff",
    "Certificate",
    "HeaderName",
    "HeaderValue",
    "Label",
    "Later",
    "Name",
    "Origin",
    "ProxyUrl",
    "RequestType",
    "Seconds",
    "SendableHeaderName",
    "Strict",
    "Url",
    "is_off",
]

NO_EFFECT: Final = "Accepted for the sake of Bifrost's files; it tunes Go and has no effect here."


class Strict(BaseModel):
    """What every part of the configuration is: frozen, no member unknown, no type guessed."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Without what is off."""
        return ((name, value) for name, value in super().__repr_args__() if value is not None)


def _seconds(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise expected("a number of seconds", value)
    if not 0 < value <= 172_800:
        raise refuse(f"expected more than 0 and at most 172800 seconds, got {value}")
    return float(value)


Seconds = Annotated[float, BeforeValidator(_seconds), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
"""A time limit: more than nothing, at most two days (Bifrost's own bound)."""

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}


def _backoff(value: object) -> float:
    wanted = 'a number of milliseconds or a duration such as "500ms"'
    if isinstance(value, str):
        parts = _DURATION.findall(value)
        if not parts or "".join(number + unit for number, unit in parts) != value:
            raise refuse(f"expected {wanted}, got another string")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise expected(wanted, value)
    else:
        seconds = value / 1000
    if not 0 <= seconds <= 300:
        raise refuse("expected at least 0 and at most 5 minutes")
    return seconds


Backoff = Annotated[
    float,
    BeforeValidator(_backoff),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m))+$"}]}
    ),
]
"""In the file milliseconds or a string such as ``"500ms"`` or ``"1m30s"``; in the program seconds."""


def _url(value: str, info: ValidationInfo) -> str:
    if not value:
        return value
    text = resolve(value, info).strip()
    wrong = _wrong_with_url(text, ("http", "https"))
    if wrong:
        raise refuse(wrong + origin(value))
    return text.rstrip("/")


_PROXY_SCHEMES: Final = {"http": ("http", "https"), "socks5": ("socks5", "socks5h")}


def _proxy_url(value: str, info: ValidationInfo) -> str:
    if not value or info.data.get("type") == "none":
        return ""
    text = resolve(value, info).strip()
    wrong = _wrong_with_url(text, _PROXY_SCHEMES.get(info.data.get("type", ""), ("http", "https", "socks5", "socks5h")))
    if wrong:
        raise refuse(wrong + origin(value))
    return text


def _wrong_with_url(text: str, schemes: tuple[str, ...]) -> str | None:
    """Why ``text`` is no address to connect to, in words that do not repeat it: it may hold a password."""
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        return "has a character that cannot stand in a URL"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "is not a URL: its host or port cannot be read"
    if parts.scheme not in schemes:
        return f"expected a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if not parts.hostname or port == 0:
        return "is not a URL: it names no host, or port 0"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password, which has a place of its own"
    if "?" in text or "#" in text:
        return "has a query or fragment; only scheme, host, port and path are allowed"
    return None


Url = Annotated[str, AfterValidator(_url), WithJsonSchema({"type": "string"})]
"""An http(s) address without credentials, query and trailing slash, or ``env.NAME``; empty for "the usual one"."""

ProxyUrl = Annotated[str, AfterValidator(_proxy_url), WithJsonSchema({"type": "string"})]
"""The address of a proxy, its user and password apart, or ``env.NAME``. Dropped where the proxy is off."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "trailer"})


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise refuse("is not the name of a header (RFC 9110 section 5.1)")
    return value.lower()


def _sendable_header_name(value: str) -> str:
    name = _header_name(value)
    if name in _FRAMING:
        raise refuse(f"{name} is set by the connection itself and cannot be configured")
    return name


def _header_value(value: str, info: ValidationInfo) -> str:
    text = resolve(value, info).strip()
    if not text.isascii() or not text.isprintable():
        reason = "has a character that cannot stand in a header (not ASCII, or a control character)"
        raise refuse(reason + origin(value))
    return text


def _certificate(value: str, info: ValidationInfo) -> str:
    text = resolve(value, info)
    if text and "-----BEGIN CERTIFICATE-----" not in text:
        raise refuse("expected the text of a certificate in PEM form (-----BEGIN CERTIFICATE-----)" + origin(value))
    return text


def _origin_of_page(value: str) -> str:
    parts = urlsplit(value)
    if value != "*" and (not parts.scheme or not parts.netloc or value != f"{parts.scheme}://{parts.netloc}"):
        raise refuse('expected "*" or an origin such as "https://app.example.com", without a path')
    return value


def _request_type(value: str) -> str:
    if value not in REQUEST_TYPES:
        raise refuse("unknown request type", nearest(value, REQUEST_TYPES))
    return value


def _label(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", value) or value.startswith("__"):
        raise refuse("is not the name of a Prometheus label: letters, digits and '_', no digit first")
    return value


HeaderName = Annotated[str, AfterValidator(_header_name)]
"""In lower case, as all header names in the program."""
SendableHeaderName = Annotated[str, AfterValidator(_sendable_header_name)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
Certificate = Annotated[str, AfterValidator(_certificate)]
"""The text of one or more certificates in PEM form, or ``env.NAME``."""
Origin = Annotated[str, AfterValidator(_origin_of_page)]
RequestType = Annotated[str, AfterValidator(_request_type)]
Label = Annotated[str, AfterValidator(_label)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


def is_off(value: Any, default: Any = None) -> bool:
    """Whether ``value`` asks for nothing: null, false, empty, ``enabled: false``, ``default``, or made of such."""
    if value is None or value is False or value in ("", [], {}) or _same(value, default):
        return True
    if not isinstance(value, dict):
        return False
    if value.get("enabled") is False or value.get("is_enabled") is False:
        return True
    usual = default if isinstance(default, dict) else {}
    return all(is_off(member, usual.get(name)) for name, member in value.items())


def _same(value: Any, default: Any) -> bool:
    return default is not None and isinstance(value, bool) == isinstance(default, bool) and bool(value == default)


class Later:
    """Marks a member that Bifrost has and this version has not: only a value that turns it off is accepted.

    ``default`` is Bifrost's own, which is accepted too; ``instead`` says what to do for now. The member's value in the
    program is always None.
    """

    __slots__ = ("default", "instead")

    def __init__(self, default: Any = None, *, instead: str = "") -> None:
        self.default = default
        self.instead = f": {instead}" if instead else ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"description": "Not yet supported by this version: only a value that means off is accepted."}

    def _validate(self, value: Any) -> None:
        if not is_off(value, self.default):
            raise refuse(f"not yet supported by this version{self.instead}")
