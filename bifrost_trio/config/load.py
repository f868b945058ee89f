"""From a file to a `Config`, or to everything that is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from bifrost_trio.config.environment import from_environment
from bifrost_trio.config.models import Config, read
from bifrost_trio.config.positions import Positions
from bifrost_trio.errors import ConfigError, Problem

__all__ = ["check", "format_problems", "load"]

_TRAILING_COMMA: Final = re.compile(r",\s*([}\]])")
MAX_FILE: Final = 64 * 2**20
"""Bytes of a configuration: far beyond any, and short of filling the memory with a mistaken path."""


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration in the file at ``path``, or, without one, the providers that ``environ`` has keys for.

    Raises ConfigError with every problem in the order of the file.
    """
    if path is None:
        return Config.from_dict(from_environment(environ), environ)
    config, problems = _read_file(path, environ)
    if config is None:
        raise ConfigError(problems)
    return config


def check(path: Path, environ: Mapping[str, str]) -> list[Problem]:
    """Everything that keeps the file at ``path`` from being used, in the order of the file. Never raises."""
    return _read_file(path, environ)[1]


def format_problems(problems: Iterable[Problem]) -> str:
    """One problem a line: ``line 4, column 7: providers.opnai: unknown provider (did you mean "openai"?)``."""
    return "\n".join(_format(problem) for problem in problems)


def _format(problem: Problem) -> str:
    place = f"line {problem.line}, column {problem.column}: " if problem.line else ""
    hint = f' (did you mean "{problem.hint}"?)' if problem.hint else ""
    return f"{place}{problem.path}: {problem.message}{hint}"


def _read_file(path: Path, environ: Mapping[str, str]) -> tuple[Config | None, list[Problem]]:
    try:
        text = _text(path)
        data, repeated = _parse(text)
        return read(Config, data, environ, lambda: Positions.of_text(text), always=repeated)
    except _Broken as broken:
        return None, [Problem(broken.message, path.name, broken.line, broken.column)]
    except RecursionError:
        return None, [Problem("is not a configuration: nested too deeply", path.name)]


class _Broken(Exception):
    """The text is not JSON."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except OSError as error:
        raise _Broken(f"cannot be read: {error.strerror or error}") from None
    if len(raw) > MAX_FILE:
        raise _Broken(f"is larger than {MAX_FILE // 2**20} MB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise _Broken("is not UTF-8 text", line, column) from None


def _parse(text: str) -> tuple[Any, bool]:
    """The JSON value, and whether any object in it has a member twice."""
    repeated = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        made = dict(pairs)
        repeated = repeated or len(made) < len(pairs)
        return made

    try:
        return json.loads(text, object_pairs_hook=members, parse_constant=_not_json), repeated
    except json.JSONDecodeError as error:
        reason, at = _syntax(text, error)
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        raise _Broken(f"is not JSON: {reason}", line, column) from None
    except ValueError:
        # Python's own limit of the digits of an integer.
        raise _Broken("is not a configuration: a number has thousands of digits") from None


def _not_json(word: str) -> None:
    raise _Broken(f"is not JSON: {word} is not a number in JSON (RFC 8259 section 6)")


def _syntax(text: str, error: json.JSONDecodeError) -> tuple[str, int]:
    """What Python's reader found, in words for somebody who writes the file by hand, and the offset where it is."""
    at = error.pos
    rest = text[at:].lstrip()
    if not text.strip():
        return "the file is empty", at
    comma = _TRAILING_COMMA.search(text, max(0, text.rfind(",", 0, at + 1)), len(text))
    if comma and comma.start() <= at <= comma.end():
        return f"a comma before '{comma[1]}'", comma.start()
    if not rest:
        return "the text ends too early", at
    if rest.startswith(("//", "/*", "#")):
        return "comments are not allowed", at
    if rest[0] == "'":
        return "strings stand in double quotes", at
    return error.msg[0].lower() + error.msg[1:], at
