"""The root of every error, and the configuration's."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import ClassVar

__all__ = ["ConfigError", "GatewayError", "Problem", "Retry"]


class Retry(enum.Enum):
    """What another attempt at the same provider may do after an error."""

    NEVER = "never"
    SAME_KEY = "same_key"
    """After a back-off, with the key that was used."""
    NEXT_KEY = "next_key"
    """At once with another key; with none left, after Retry-After or a back-off."""
    WITHOUT_KEY = "without_key"
    """At once with another key; the one that was used is out for this call."""


class GatewayError(Exception):
    """The root: ``message`` is one sentence for a client, without keys, paths or tracebacks.

    ``param`` names the field of the request that is at fault, ``code`` is a stable word for programs,
    ``retry_after`` is in seconds.
    """

    status: int = 500
    type: str = "internal_error"
    kind: ClassVar[str] = "gateway_internal"
    retry: Retry = Retry.NEVER
    fallback: bool = False

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after

    def forget_frames(self) -> None:
        """For whoever keeps an error beyond its call: what remains of it is what it says.

        Its traceback holds the frames of the call, and they hold the error: a cycle with everything the call had.
        """
        self.__traceback__ = self.__context__ = self.__cause__ = None


class Problem:
    """One thing wrong in a configuration: where it stands and, where one is near, the name that was meant."""

    __slots__ = ("column", "hint", "line", "message", "path")

    def __init__(self, message: str, path: str, line: int = 0, column: int = 0, hint: str | None = None) -> None:
        self.message = message
        self.path = path
        self.line = line
        self.column = column
        self.hint = hint

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        hint = f" (did you mean {self.hint!r}?)" if self.hint else ""
        return f"{place}{self.path}: {self.message}{hint}"


class ConfigError(GatewayError):
    """The configuration cannot be used; ``problems`` holds every one that was found, in the order of the file."""

    kind = "configuration"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
