"""Whatever a file holds, the answer is a configuration or a list of problems, and the schema is never the stricter."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bifrost_trio.config import Config, schema
from bifrost_trio.config.load import _parse, read
from bifrost_trio.config.positions import Positions
from bifrost_trio.errors import ConfigError, Problem
from tests.config.samples import BENCHMARK, EVERYTHING_OFF, OWN, OWN_ENVIRONMENT

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["env.TEAM", "env.NONE", "http://x", "*", "500ms", "[key]", "\ud800", "name", "$schema"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
VALIDATOR = jsonschema.Draft202012Validator(schema())


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in ``value`` with each of its names or numbers."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [pair for name, member in inside for pair in ((value, name), *places(member))]


@st.composite
def spoilt(draw: st.DrawFn) -> Any:
    """A good configuration in which one or two things are something else, or stand under another name."""
    data = copy.deepcopy(draw(st.sampled_from([BENCHMARK, EVERYTHING_OFF, OWN])))
    for _ in range(draw(st.integers(1, 2))):
        container, name = draw(st.sampled_from(places(data)))
        if isinstance(container, dict) and draw(st.booleans()):
            container[draw(st.text(max_size=6) | st.sampled_from(["name", "keys", "[key]", "client"]))] = draw(anything)
        elif isinstance(container, dict) and draw(st.booleans()):
            container.pop(name, None)
        else:
            container[name] = draw(anything)
    return data


def found(data: Any) -> tuple[Config | None, list[Problem]]:
    try:
        return Config.from_dict(data, OWN_ENVIRONMENT), []
    except ConfigError as error:
        return None, list(error.problems)


@given(spoilt())
@example({"providers": {"openai": {"keys": [{"value": "x", "aliases": {"[key]": 3}}]}}})
@example({"version": True})
@example({"client": {"prometheus_labels": ["\ud800"]}, "providers": {"\ud800": {}}})
def test_a_configuration_or_problems(data: Any) -> None:
    config, problems = found(data)
    assert (config is None) == bool(problems)
    for problem in problems:
        assert problem.path
        assert problem.message
    if config is not None:
        assert VALIDATOR.is_valid(data)


@given(spoilt())
def test_a_file_and_its_content_have_the_same_problems_in_the_same_order(data: Any) -> None:
    text = json.dumps(data, indent=1)
    if "NaN" in text or "Infinity" in text:
        return
    parsed, repeated = _parse(text)
    _, in_file = read(Config, parsed, OWN_ENVIRONMENT, lambda: Positions.of_text(text), always=repeated)
    _, in_memory = found(data)
    assert [(p.path, p.message, p.hint) for p in in_file] == [(p.path, p.message, p.hint) for p in in_memory]
    assert [(p.line, p.column) for p in in_file] == sorted((p.line, p.column) for p in in_file)
    assert all(p.line for p in in_file)


@pytest.mark.parametrize("cut", range(0, len(json.dumps(BENCHMARK)), 7))
def test_a_text_that_is_cut_anywhere(cut: int) -> None:
    with pytest.raises(Exception, match=r"is not JSON"):
        _parse(json.dumps(BENCHMARK)[:cut])
