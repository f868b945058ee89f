"""The settings of `bifrost_trio.plugins.mocker`: Bifrost's names, read strictly."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

__all__ = [
    "PLACEHOLDERS",
    "Conditions",
    "Content",
    "Failure",
    "Latency",
    "Response",
    "Rule",
    "Settings",
    "SizeRange",
    "UsageSettings",
    "read_settings",
]

PLACEHOLDERS: Final = ("model", "provider", "timestamp", "uuid")
"""What may stand between ``{{`` and ``}}`` in a ``message_template``."""

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([\w.:,]*)\s*\}\}")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
MAX_LATENCY: Final = 3600.0
"""Seconds: beyond it somebody has mistaken the unit."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
Weight: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A record in which nothing unknown is passed over."""


class Latency(Strict, frozen=True):
    """A time is a string with its unit (``"250ms"``, ``"2s"``), or, as in Bifrost, a whole number of nanoseconds."""

    type: Literal["fixed", "uniform"]
    min: str | int = 0
    max: str | int = 0

    def __post_init__(self) -> None:
        low, high = self.seconds
        if self.type == "uniform" and high < low:
            raise ValueError("max must not be less than min")

    @property
    def seconds(self) -> tuple[float, float]:
        """From and to."""
        low = _seconds("min", self.min)
        return low, low if self.type == "fixed" else _seconds("max", self.max)


def _seconds(name: str, value: str | int) -> float:
    seconds = -1.0
    if isinstance(value, int):
        seconds = value * 1e-9
    elif found := _DURATION.fullmatch(value):
        seconds = float(found[1]) * _UNITS[found[2]]
    if not 0 <= seconds <= MAX_LATENCY:
        raise ValueError(f'{name} must be a time with its unit up to one hour, such as "250ms", not {value!r}')
    return seconds


class SizeRange(Strict, frozen=True, kw_only=True):
    """Bytes of the request's body."""

    min: Count = 0
    max: Count

    def __post_init__(self) -> None:
        if self.max < self.min:
            raise ValueError("max must not be less than min")


class Conditions(Strict, frozen=True):
    """All that are given must hold."""

    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """As the provider knows them, or ``provider/model``."""
    message_regex: str | None = None
    """Searched for in the texts of the messages (Python's `re`). It runs on what clients send: one that backtracks
    without bound holds up the whole process."""
    request_size: SizeRange | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.message_regex or "")
        except re.error as error:
            raise ValueError(f"message_regex is not a regular expression: {error}") from None


class UsageSettings(Strict, frozen=True):
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    total_tokens: Count | None = None
    """The sum, where nothing is said."""


class Content(Strict, frozen=True):
    """An answer. ``message_template`` wins over ``message``."""

    message: str = ""
    message_template: str | None = None
    model: str | None = None
    finish_reason: str = "stop"
    usage: UsageSettings | None = None
    custom_fields: dict[str, Any] | None = None
    """Shown as ``extra_fields.raw_response``."""

    def __post_init__(self) -> None:
        if not self.message and not self.message_template:
            raise ValueError("message or message_template is needed")
        for name in _PLACEHOLDER.findall(self.message_template or ""):
            if name not in PLACEHOLDERS:
                known = ", ".join(f"{{{{{known}}}}}" for known in PLACEHOLDERS)
                raise ValueError(f"message_template has an unknown placeholder {{{{{name}}}}}; there are {known}")

    def text(self, facts: dict[str, str]) -> str:
        """``facts`` has a value for each of `PLACEHOLDERS`; what they hold is not looked at again."""
        if not self.message_template:
            return self.message
        return _PLACEHOLDER.sub(lambda found: facts[found[1]], self.message_template)


class Failure(Strict, frozen=True):
    """An error as a provider would give it."""

    message: str
    type: str | None = None
    code: str | None = None
    status_code: Annotated[int, msgspec.Meta(ge=400, le=599)] = 500


class Response(Strict, frozen=True):
    type: Literal["success", "error"]
    weight: Weight = 1.0
    content: Content | None = None
    error: Failure | None = None
    allow_fallbacks: bool = True

    def __post_init__(self) -> None:
        if self.type == "success" and (self.content is None or self.error is not None):
            raise ValueError("a response of type success has content, and no error")
        if self.type == "error" and (self.error is None or self.content is not None):
            raise ValueError("a response of type error has error, and no content")


class Rule(Strict, frozen=True, kw_only=True):
    """Tried by ``priority``, the highest first; of equals the one that is written first."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    enabled: bool = True
    priority: Annotated[int, msgspec.Meta(ge=-1000, le=1000)] = 0
    probability: Share = 1.0
    conditions: Conditions = Conditions()
    responses: Annotated[tuple[Response, ...], msgspec.Meta(min_length=1)]
    latency: Latency | None = None

    def __post_init__(self) -> None:
        if not sum(response.weight for response in self.responses):
            raise ValueError("one response at least must have a weight above 0")


class Settings(Strict, frozen=True):
    enabled: bool = True
    default_behavior: Literal["passthrough", "success", "error"] | None = None
    """For calls that no rule takes. Not said: ``passthrough``, or ``success`` where there are no rules at all."""
    global_latency: Latency | None = None
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"rules: the name {name!r} is given twice")


def read_settings(settings: dict[str, Any]) -> Settings:
    """Raises ValueError with one sentence that begins with the setting's path: ``rules[0].priority: …``."""
    try:
        return msgspec.convert(settings, Settings)
    except msgspec.ValidationError as error:
        raise ValueError(_sentence(str(error))) from None


_WORDS: Final = {
    "Object contains unknown field ": "there is no setting ",
    "Object missing required field ": "there must be a setting ",
}


def _sentence(told: str) -> str:
    """msgspec's ``Message - at `$.path` `` as ``path: message``."""
    message, at, place = told.rpartition(" - at ")
    if not at:
        message, place = told, ""
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    message = message[0].lower() + message[1:].replace("`", "'")
    path = place.strip("`").removeprefix("$").removeprefix(".")
    return f"{path}: {message}" if path else message
