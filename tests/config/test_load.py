"""Files: what is read, what is wrong with the text itself, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from bifrost_trio.config import Config, check, format_problems, load
from bifrost_trio.errors import ConfigError
from tests.config.samples import BENCHMARK, EVERYTHING_OFF, OWN, OWN_ENVIRONMENT, text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def lines(file: Path, content: str, environ: dict[str, str] | None = None) -> list[str]:
    file.write_text(content, "utf-8")
    return format_problems(check(file, environ or {})).splitlines()


def test_a_file_says_the_same_as_its_content(file: Path) -> None:
    for data, environ in ((BENCHMARK, {}), (EVERYTHING_OFF, {}), (OWN, OWN_ENVIRONMENT)):
        file.write_text(text(data), "utf-8")
        assert check(file, environ) == []
        assert load(file, environ) == Config.from_dict(data, environ)


def test_problems_have_lines_and_columns(file: Path) -> None:
    content = """{
  "version": 2,
  "providers": {
    "openai": {
      "keys": [
        {"models": [], "valeu": "sk-1"}, {"models": [], "value": "env.NONE", "weight": -1}
      ],
      "network_config": {"max_retries": 99}
    }
  },
  "budget": []
}
"""
    assert lines(file, content) == [
        'line 6, column 24: providers.openai.keys[0].valeu: unknown member (did you mean "value"?)',
        "line 6, column 57: providers.openai.keys[1].value: the environment variable NONE is not set",
        "line 6, column 78: providers.openai.keys[1].weight: expected at least 0, got -1",
        "line 8, column 26: providers.openai.network_config.max_retries: expected at most 10, got 99",
        "line 11, column 3: budget: unknown member",
    ]


def test_the_place_of_what_is_missing_is_that_of_what_lacks_it(file: Path) -> None:
    assert lines(file, '{\n "providers": {\n  "vllm": {"keys": []}}}') == [
        "line 3, column 3: providers.vllm.network_config.base_url: is missing: vLLM has no address of its own"
    ]


def test_members_that_are_there_twice(file: Path) -> None:
    content = '{"client": {},\n "client": {"allow_direct_keys": true, "allow_direct_keys": true},\n "version": 2}'
    assert lines(file, content) == [
        "line 2, column 2: client: is there twice",
        "line 2, column 40: client.allow_direct_keys: is there twice",
    ]


def test_load_raises_all_of_it(file: Path) -> None:
    file.write_text('{"a": 1, "b": 2}', "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert [problem.path for problem in caught.value.problems] == ["a", "b"]


def test_names_with_dots_stand_in_brackets(file: Path) -> None:
    assert lines(file, '{"providers": {"a.b": {}}}') == [
        'line 1, column 16: providers["a.b"]: unknown provider; one of your own needs a custom_provider_config'
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "line 1, column 1: config.json: is not JSON: the file is empty"),
        (" \n", "line 2, column 1: config.json: is not JSON: the file is empty"),
        ('{"version": 2', "line 1, column 14: config.json: is not JSON: the text ends too early"),
        ('{"version": 2,\n}', "line 1, column 14: config.json: is not JSON: a comma before '}'"),
        ('{"plugins": [1,]}', "line 1, column 15: config.json: is not JSON: a comma before ']'"),
        ("{\n  // a remark\n}", "line 2, column 3: config.json: is not JSON: comments are not allowed"),
        ("{'version': 2}", "line 1, column 2: config.json: is not JSON: strings stand in double quotes"),
        ('{"version": 2 "client": {}}', "line 1, column 15: config.json: is not JSON: expecting ',' delimiter"),
        ('{"version": NaN}', "config.json: is not JSON: NaN is not a number in JSON (RFC 8259 section 6)"),
        ('{"version": 2} {}', "line 1, column 16: config.json: is not JSON: extra data"),
        ("[" * 100_000, "config.json: is not a configuration: nested too deeply"),
        ('{"version": ' + "9" * 5000 + "}", "config.json: is not a configuration: a number has thousands of digits"),
        ('{"plugins": ' + "[" * 600 + "]" * 600 + "}", "config.json: is not a configuration: nested too deeply"),
        ('{"version": 1e999}', "line 1, column 2: version: expected 1 or 2, got a number"),
        ("[]", "line 1, column 1: the configuration: expected an object, got a list"),
    ],
)
def test_broken_text(file: Path, content: str, line: str) -> None:
    assert lines(file, content) == [line]


def test_a_byte_order_mark_is_no_problem(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + text(BENCHMARK).encode())
    assert check(file, {}) == []


def test_text_that_is_not_utf_8(file: Path) -> None:
    file.write_bytes(b'{\n  "version": "\xe9"}')
    assert format_problems(check(file, {})) == "line 2, column 15: config.json: is not UTF-8 text"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert format_problems(check(tmp_path / "none.json", {})) == "none.json: cannot be read: No such file or directory"
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.json", {})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert format_problems(check(tmp_path, {})).endswith("cannot be read: Is a directory")
