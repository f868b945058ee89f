"""The table of places, on any JSON text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_trio.config.findings import Finding, dotted
from bifrost_trio.config.positions import Positions

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    if isinstance(value, dict):
        for name, member in value.items():
            found += paths(member, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += paths(item, (*path, index))
    return found


@given(values, st.sampled_from([None, 1, 4]), st.booleans())
def test_every_member_has_its_place(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    positions = Positions.of_text(text)
    assert list(positions.places) == paths(value) == list(Positions.of_value(value).places)
    rows = text.split("\n")
    for path, place in positions.places.items():
        if path and isinstance(path[-1], str):
            at_name = rows[place.line - 1][place.column - 1 :]
            assert at_name.startswith(json.dumps(path[-1], ensure_ascii=ascii_only))
    assert not positions.duplicates


def test_white_space_of_every_kind() -> None:
    positions = Positions.of_text('\r\n\t {\r\n\t"a" :\n[ 1 ,\n\n  {"b":-1.5e+3}] , "c":null }\n')
    assert {path: (place.line, place.column) for path, place in positions.places.items()} == {
        (): (2, 3),
        ("a",): (3, 2),
        ("a", 0): (4, 3),
        ("a", 1): (6, 3),
        ("a", 1, "b"): (6, 4),
        ("c",): (6, 20),
    }


def test_of_duplicates_the_last_counts() -> None:
    positions = Positions.of_text('{"a": {"b": 1},\n"a": {"b": 2}}')
    assert positions.places[("a", "b")].line == 2
    assert [path for path, _ in positions.duplicates] == [("a",), ("a", "b")]


def test_problems_come_in_the_order_of_the_text() -> None:
    positions = Positions.of_text('{"b": {"x": 1}, "a": 2}')
    found = positions.problems([Finding(("a",), "one"), Finding(("b", "y"), "two"), Finding(("b", "x"), "three")])
    assert [problem.message for problem in found] == ["two", "three", "one"]


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ((), ""),
        (("a", "b"), "a.b"),
        (("providers", "in-house", "keys", 0, "value"), "providers.in-house.keys[0].value"),
        (("aliases", "gpt 4.1"), 'aliases["gpt 4.1"]'),
        (("$schema",), "$schema"),
        (("a", ""), 'a[""]'),
    ],
)
def test_paths_as_they_are_written(path: tuple[str | int, ...], written: str) -> None:
    assert dotted(path) == written
