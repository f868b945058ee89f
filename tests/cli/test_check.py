"""``check`` and ``schema``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trustme

pytestmark = pytest.mark.real_clock

Write = Callable[..., Path]
GOOD = {
    "providers": {
        "openai": {
            "keys": [
                {"name": "one", "value": "env.OPENAI_API_KEY", "models": ["*"]},
                {"name": "two", "value": "sk-2", "models": ["*"]},
            ]
        },
        "ollama": {},
    }
}
SLIPS = """{
  "providers": {
    "opnai": {"keys": [{"value": "sk-1", "models": ["*"]}]},
    "anthropic": {"keys": [{"vlaue": "sk-2", "models": ["*"]}]}
  },
  "server": {"port": 99999}
}
"""


def test_a_good_file(run: Any, write: Write) -> None:
    write(GOOD)
    ended = run("check", "config.json", OPENAI_API_KEY="sk-1")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == ["config.json: no problems", "  openai  2 keys", "  ollama  0 keys"]


def test_every_problem_with_its_place_and_the_name_that_was_meant(run: Any, write: Write) -> None:
    write(SLIPS)
    ended = run("check", "config.json")
    assert (ended.status, ended.err) == (2, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("line 3, column 5: providers.opnai: unknown provider")
    assert lines[0].endswith('(did you mean "openai"?)')
    assert 'line 4, column 29: providers.anthropic.keys[0].vlaue: unknown member (did you mean "value"?)' in lines
    assert "line 6, column 14: server.port: expected at most 65535, got 99999" in lines
    assert lines[-1] == f"config.json: {len(lines) - 1} problems"


def test_a_variable_that_is_not_set(run: Any, write: Write) -> None:
    write(GOOD)
    ended = run("check", "config.json")
    assert ended.status == 2
    assert "providers.openai.keys[0].value: the environment variable OPENAI_API_KEY is not set" in ended.out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"providers": {"openai": {},}}', "line 1, column 28: config.json: is not JSON: a comma before '}'"),
        ("{'providers': {}}", "line 1, column 2: config.json: is not JSON: strings stand in double quotes"),
        ('{"providers"', "is not JSON"),
        ("", "the file is empty"),
        ("[]", "expected an object, got a list"),
    ],
)
def test_broken_json(run: Any, write: Write, text: str, words: str) -> None:
    write(text)
    ended = run("check", "config.json")
    assert (ended.status, ended.err) == (2, "")
    assert words in ended.out


def test_a_file_that_is_not_there(run: Any) -> None:
    ended = run("check", "nowhere.json")
    assert ended.status == 2
    assert "nowhere.json: cannot be read: No such file or directory" in ended.out


def test_without_a_file_the_environment_is_checked(run: Any) -> None:
    ended = run("check", ANTHROPIC_API_KEY="sk-1", OPENAI_API_KEY="sk-2")
    assert ended.status == 0
    assert ended.out.splitlines() == ["environment: no problems", "  openai     1 key", "  anthropic  1 key"]


def test_without_a_file_what_serve_would_use_is_checked(run: Any, write: Write) -> None:
    write(SLIPS)
    write(GOOD, "named.json")
    assert run("check").out.endswith("config.json: 3 problems\n")
    ended = run("check", BIFROST_CONFIG="named.json", OPENAI_API_KEY="sk-1")
    assert ended.out.startswith("named.json: no problems\n")


def test_nothing_at_all(run: Any) -> None:
    ended = run("check")
    assert ended.status == 2
    assert "OPENAI_API_KEY" in ended.out
    assert "--demo" in ended.out


def test_a_plugin_that_cannot_be_imported(run: Any, write: Write) -> None:
    write({**GOOD, "plugins": [{"name": "audit", "path": "nowhere_at_all:Audit"}]})
    ended = run("check", "config.json", OPENAI_API_KEY="sk-1")
    assert ended.status == 2
    assert "plugins[0].path: module 'nowhere_at_all' cannot be imported" in ended.out


def test_a_certificate_that_is_not_there(run: Any, write: Write) -> None:
    write({**GOOD, "server": {"certfile": "nowhere.pem"}})
    ended = run("check", "config.json", OPENAI_API_KEY="sk-1")
    assert ended.status == 2
    assert "server.certfile: nowhere.pem cannot be used: No such file or directory" in ended.out


def test_a_certificate_without_its_key(run: Any, write: Write, tmp_path: Path) -> None:
    trustme.CA().issue_cert("gateway.test").cert_chain_pems[0].write_to_path(tmp_path / "only.pem")
    write({**GOOD, "server": {"certfile": str(tmp_path / "only.pem")}})
    ended = run("check", "config.json", OPENAI_API_KEY="sk-1")
    assert ended.status == 2
    assert "only.pem cannot be used: it holds no private key (server.keyfile names another file)" in ended.out


def test_an_address_that_others_can_reach_is_remarked(run: Any, write: Write) -> None:
    write({**GOOD, "server": {"host": "0.0.0.0"}})
    ended = run("check", "config.json", OPENAI_API_KEY="sk-1")
    assert ended.status == 0
    assert "0.0.0.0 can be reached from other machines" in ended.out
    assert "--insecure-no-authentication" in ended.out


def test_the_schema(run: Any) -> None:
    ended = run("schema")
    assert (ended.status, ended.err) == (0, "")
    found = json.loads(ended.out)
    validator = jsonschema.validators.validator_for(found)
    validator.check_schema(found)
    assert validator(found).is_valid(GOOD)
    assert not validator(found).is_valid(json.loads(SLIPS))
