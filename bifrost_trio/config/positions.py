"""Where each member of a JSON text stands. Made only when there is a problem to place."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

from bifrost_trio.config.findings import Finding, Path, dotted
from bifrost_trio.errors import Problem

__all__ = ["Place", "Positions"]

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SCALAR: Final = re.compile(r"[-+.\w]+")


class Place(NamedTuple):
    """``order`` counts the members from the top of the text; line and column begin with 1 (0: there is no text)."""

    order: int
    line: int
    column: int


class Positions:
    """Paths → places. A member's place is that of its name, an item's that of its first character."""

    __slots__ = ("_line_starts", "duplicates", "places")

    def __init__(self) -> None:
        self.places: dict[Path, Place] = {}
        self.duplicates: list[tuple[Path, Place]] = []
        self._line_starts: list[int] = []

    @classmethod
    def of_text(cls, text: str) -> Positions:
        """``text`` must be valid JSON. Of a duplicate member the last place counts, as its value does."""
        positions = cls()
        positions._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        start = _skip(text, 0)
        positions._note((), start)
        positions._value(text, start, ())
        return positions

    @classmethod
    def of_value(cls, value: Any) -> Positions:
        """Places without lines: the order of the members alone."""
        positions = cls()
        positions._walk(value, ())
        return positions

    def place(self, path: Path) -> Place:
        """Of a path that is not there (a missing member), the place of the nearest thing around it."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def problems(self, findings: Iterable[Finding]) -> list[Problem]:
        """The findings with their places, in the order of the text, none twice."""
        twice = [Finding(path, "is there twice") for path, _ in self.duplicates]
        placed = [(self.place(finding.path), finding) for finding in dict.fromkeys(findings)]
        placed += zip((place for _, place in self.duplicates), twice, strict=True)
        placed.sort(key=lambda pair: (pair[0].line, pair[0].column, pair[0].order))
        return [
            Problem(
                finding.message, dotted(finding.path) or "the configuration", place.line, place.column, finding.hint
            )
            for place, finding in placed
        ]

    def _note(self, path: Path, offset: int) -> None:
        line = bisect.bisect_right(self._line_starts, offset)
        place = Place(len(self.places), line, offset - self._line_starts[line - 1] + 1)
        if path in self.places:
            self.duplicates.append((path, place))
        self.places[path] = place

    def _value(self, text: str, start: int, path: Path) -> int:
        """Notes what the value at ``start`` holds; the offset after it."""
        if text[start] == "{":
            return self._object(text, start, path)
        if text[start] == "[":
            return self._array(text, start, path)
        if text[start] == '"':
            return int(scanstring(text, start + 1)[1])
        match = _SCALAR.match(text, start)
        return match.end() if match else start + 1

    def _object(self, text: str, start: int, path: Path) -> int:
        at = _skip(text, start + 1)
        while text[at] != "}":
            name, end = scanstring(text, at + 1)
            self._note((*path, name), at)
            at = _skip(text, _skip(text, end) + 1)
            at = _skip(text, self._value(text, at, (*path, name)))
            at = _skip(text, at + 1) if text[at] == "," else at
        return at + 1

    def _array(self, text: str, start: int, path: Path) -> int:
        at = _skip(text, start + 1)
        index = 0
        while text[at] != "]":
            self._note((*path, index), at)
            at = _skip(text, self._value(text, at, (*path, index)))
            at = _skip(text, at + 1) if text[at] == "," else at
            index += 1
        return at + 1

    def _walk(self, value: Any, path: Path) -> None:
        self.places[path] = Place(len(self.places), 0, 0)
        if isinstance(value, dict):
            for name, member in value.items():
                self._walk(member, (*path, name))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._walk(item, (*path, index))


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
