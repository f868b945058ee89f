"""No parameter is lost in silence: each one that a provider documents is carried to the other format, or named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bifrost_trio.formats import anthropic, anthropic_count_tokens, openai_chat

Json = dict[str, Any]
FUNCTION = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": FUNCTION}]
OPENAI: dict[str, Any] = {
    "model": "gpt-5",
    "messages": [{"role": "user", "content": "hi"}],
    "metadata": {"team": "a"},
    "top_logprobs": 2,
    "temperature": 0.5,
    "top_p": 0.9,
    "user": "u-1",
    "safety_identifier": "s-1",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "prompt_cache_options": {"mode": "explicit"},
    "service_tier": "default",
    "modalities": ["text", "audio"],
    "verbosity": "low",
    "reasoning_effort": "high",
    "max_completion_tokens": 20000,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "web_search_options": {"search_context_size": "low"},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    "audio": {"voice": "alloy", "format": "mp3"},
    "store": True,
    "moderation": {"model": "m"},
    "stream": True,
    "stop": ["END"],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_tokens": 300,
    "n": 2,
    "prediction": {"type": "content", "content": "x"},
    "seed": 1,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "tools": TOOLS,
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "function_call": "auto",
    "functions": [FUNCTION],
}
"""A sample of each member of CreateChatCompletionRequest that asks for something other than the default."""

WHERE = {
    "user": {"metadata": {"user_id": "u-1"}},
    "safety_identifier": {"metadata": {"user_id": "s-1"}},
    "service_tier": {"service_tier": "standard_only"},
    "stop": {"stop_sequences": ["END"]},
    "max_tokens": {"max_tokens": 300},
    "max_completion_tokens": {"max_tokens": 20000},
    "reasoning_effort": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
    "response_format": {
        "output_config": {"format": {"type": "json_schema", "schema": {"title": "x", "type": "object"}}}
    },
    "tools": {"tools": [{"name": "weather", "input_schema": FUNCTION["parameters"]}]},
    "tool_choice": {"tool_choice": {"type": "any"}},
    "parallel_tool_calls": {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    "model": {"model": "gpt-5"},
    "messages": {"messages": [{"role": "user", "content": "hi"}]},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.9},
    "stream": {"stream": True},
}
"""What of Anthropic's carries it; every other one has to be named as dropped."""

ANTHROPIC: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 100,
    "cache_control": {"type": "ephemeral"},
    "container": "c-1",
    "context_management": {"edits": []},
    "inference_geo": "eu",
    "mcp_servers": [{"type": "url", "url": "https://example.com", "name": "m"}],
    "metadata": {"user_id": "u-1"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"title": "T"}}, "task_budget": {}},
    "output_format": {"type": "json_schema", "schema": {"title": "T"}},
    "service_tier": "standard_only",
    "speed": "fast",
    "stop_sequences": ["END"],
    "stream": True,
    "system": "Be brief.",
    "temperature": 0.5,
    "thinking": {"type": "enabled", "budget_tokens": 4000, "display": "omitted"},
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
    "top_k": 5,
    "top_p": 0.9,
    "user_profile_id": "p-1",
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "T", "schema": {"title": "T"}, "strict": True}}
AT_OPENAI: dict[str, tuple[Json, list[str]]] = {
    "model": ({"model": "claude-sonnet-5"}, []),
    "messages": ({"messages": [{"role": "user", "content": "hi"}]}, []),
    "max_tokens": ({"max_completion_tokens": 100}, []),
    "metadata": ({"user": "u-1"}, []),
    "output_config": ({"reasoning_effort": "low", "response_format": SCHEMA}, ["output_config.task_budget"]),
    "output_format": ({"response_format": SCHEMA}, []),
    "service_tier": ({"service_tier": "default"}, []),
    "stop_sequences": ({"stop": ["END"]}, []),
    "stream": ({"stream": True, "stream_options": {"include_usage": True}}, []),
    "system": ({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]}, []),
    "temperature": ({"temperature": 0.5}, []),
    "thinking": ({"reasoning_effort": "medium"}, ["thinking.display"]),
    "tools": ({"tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]}, []),
    "tool_choice": ({}, ["tool_choice", "parallel_tool_calls"]),
    "top_p": ({"top_p": 0.9}, []),
}
"""What carries it at OpenAI, and what of it is named; every other one has to be named itself."""


def yaml_properties(file: Path, schema: str) -> Iterator[str]:
    """Names of the properties of a schema, read by indentation: a YAML library would be needed for this alone."""
    lines = iter(file.read_text("utf-8").splitlines())
    for line in lines:
        if line == f"    {schema}:":
            break
    level = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent <= 4:
            return
        if line.startswith("        - $ref:"):  # of the schema's own ``allOf``
            yield from yaml_properties(file, line.rpartition("/")[2].strip("'\" "))
        if line.strip() == "properties:" and level is None:
            level = indent
        elif level is not None and line.strip() and indent == level + 2 and line.rstrip().endswith(":"):
            yield line.strip().rstrip(":")
        elif level is not None and line.strip() and indent <= level:
            level = None


@pytest.mark.recordings
def test_every_documented_parameter_of_openai_has_a_sample(shared_data: Path) -> None:
    names = set(yaml_properties(shared_data / "specs" / "openai.openapi.yaml", "CreateChatCompletionRequest"))
    assert {"messages", "temperature", "n", "functions"} <= names
    assert names <= OPENAI.keys()


@pytest.mark.recordings
@pytest.mark.parametrize("schema", ["CreateMessageParams", "BetaCreateMessageParams"])
def test_every_documented_parameter_of_anthropic_has_a_sample(shared_data: Path, schema: str) -> None:
    spec = json.loads((shared_data / "specs" / "anthropic.openapi.tryagi.yaml").read_text("utf-8"))
    names = set(spec["components"]["schemas"][schema]["properties"])
    assert {"messages", "system", "top_k"} <= names
    assert names <= ANTHROPIC.keys()


@pytest.mark.recordings
def test_what_is_counted_is_what_the_provider_documents(shared_data: Path) -> None:
    spec = json.loads((shared_data / "specs" / "anthropic.openapi.tryagi.yaml").read_text("utf-8"))
    names = set(spec["components"]["schemas"]["BetaCountMessageTokensParams"]["properties"])
    common = anthropic_count_tokens.decode_request({**ANTHROPIC, "tool_choice": {"type": "auto"}})
    wire = anthropic_count_tokens.encode_request(common, [])
    assert wire.keys() == names - {"output_format"}


@pytest.mark.parametrize("name", OPENAI)
def test_openai_to_anthropic(name: str) -> None:
    request = {"model": "gpt-5", "messages": OPENAI["messages"], name: OPENAI[name]}
    if name in ("tool_choice", "parallel_tool_calls"):
        request["tools"] = TOOLS
    dropped: list[str] = []
    wire = anthropic.encode_request(openai_chat.decode_request(request), dropped)
    for member, value in WHERE.get(name, {}).items():
        assert wire[member] == value
    named = [path for path in dropped if path == name or path.startswith((f"{name}.", f"{name}["))]
    assert bool(named) != (name in WHERE)
    assert dropped == named


@pytest.mark.parametrize("name", ANTHROPIC)
def test_anthropic_to_openai(name: str) -> None:
    request = {"model": "claude-sonnet-5", "messages": ANTHROPIC["messages"], "max_tokens": 9, name: ANTHROPIC[name]}
    dropped: list[str] = []
    wire = openai_chat.encode_request(anthropic.decode_request(request), dropped)
    carried, named = AT_OPENAI.get(name, ({}, [name]))
    for member, value in carried.items():
        assert wire[member] == value
    assert dropped == named
    assert None not in wire.values()


@pytest.mark.parametrize("name", ANTHROPIC)
def test_anthropic_to_anthropic(name: str) -> None:
    request = {"model": "claude-sonnet-5", "messages": ANTHROPIC["messages"], "max_tokens": 9, name: ANTHROPIC[name]}
    wanted = dict(request)
    if name == "output_format":
        wanted["output_config"] = {"format": wanted.pop(name)}
    dropped: list[str] = []
    assert anthropic.encode_request(anthropic.decode_request(request), dropped) == wanted
    assert dropped == []


@pytest.mark.parametrize("name", sorted(ANTHROPIC.keys() - {"system", "max_tokens"} - OPENAI.keys()))
def test_an_openai_client_may_send_what_only_anthropic_has(name: str) -> None:
    request = {"model": "claude-sonnet-5", "messages": OPENAI["messages"], name: ANTHROPIC[name]}
    dropped: list[str] = []
    wire = anthropic.encode_request(openai_chat.decode_request(request), dropped)
    if name in ("output_format", "stop_sequences"):  # these have a name in the common shape
        assert dropped == [name]
    elif name == "output_config":
        assert wire[name]
    else:
        assert wire[name] == ANTHROPIC[name]
        assert dropped == []


def test_unknown_members_go_on_where_formats_agree_and_are_named_where_not() -> None:
    ours = {"model": "m", "messages": [], "min_p": 0.1, "nothing": None}
    dropped: list[str] = []
    assert openai_chat.encode_request(openai_chat.decode_request(ours), dropped) == {
        "model": "m",
        "messages": [],
        "min_p": 0.1,
    }
    assert dropped == []
    anthropic.encode_request(openai_chat.decode_request(ours), dropped)
    assert dropped == ["min_p"]
    theirs = {"model": "m", "messages": [], "max_tokens": 1, "new_beta": {"a": 1}}
    assert anthropic.encode_request(anthropic.decode_request(theirs), [])["new_beta"] == {"a": 1}
    dropped = []
    assert "new_beta" not in openai_chat.encode_request(anthropic.decode_request(theirs), dropped)
    assert dropped == ["new_beta"]
