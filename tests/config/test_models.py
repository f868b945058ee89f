"""What a configuration says once it is read."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from bifrost_trio.config import Config, KeyConfig, NetworkConfig, ProviderConfig, Secret
from bifrost_trio.errors import ConfigError
from tests.config.samples import BENCHMARK, EVERYTHING_OFF, OWN, OWN_ENVIRONMENT, openai, with_key, with_network


def test_the_file_that_bifrost_is_measured_with() -> None:
    config = Config.from_dict(BENCHMARK)
    provider = config.providers["openai"]
    assert provider.name == "openai"
    assert provider.base_url == "http://127.0.0.1:18080"
    assert provider.network_config.default_request_timeout_in_seconds == 60
    assert [(key.id, key.name, key.value.reveal()) for key in provider.keys] == [("k1", "k1", "sk-bench")]
    assert not config.client.drop_excess_requests


def test_a_bifrost_file_with_everything_off() -> None:
    config = Config.from_dict(EVERYTHING_OFF)
    assert config.governance is None
    assert config.client.log_retention_days is None
    assert not config.plugins[0].enabled


def test_a_file_of_our_own() -> None:
    config = Config.from_dict(OWN, OWN_ENVIRONMENT)
    in_house = config.providers["in-house"]
    assert in_house.base_url == "https://llm.example.com"
    assert in_house.network_config.extra_headers == {"x-team": "blue"}
    assert in_house.key_less
    assert in_house.path("chat_completion") == "/llm/chat"
    assert in_house.path("chat_completion", stream=True) == "/v1/chat/completions"
    assert in_house.allows_request("chat_completion", stream=True)
    assert not in_house.allows_request("embedding")
    assert config.providers["groq"].keys[0].name == "groq-1"
    assert config.providers["ollama"].base_url == "http://localhost:11434"
    assert config.plugins[0].config == {"token": "blue\n"}
    assert (config.server.host, config.server.port, config.server.workers) == ("0.0.0.0", 9000, 4)


def test_defaults_that_differ_from_bifrost() -> None:
    config = Config.from_dict(openai())
    network = config.providers["openai"].network_config
    pool = config.providers["openai"].concurrency_and_buffer_size
    assert config.client.drop_excess_requests
    assert network.max_retries == 2
    assert network.connect_timeout_in_seconds == 5
    assert network.first_output_timeout_in_seconds == 60
    assert network.stream_idle_timeout_in_seconds == 60
    assert network.default_request_timeout_in_seconds == 300
    assert (network.retry_backoff_initial, network.retry_backoff_max) == (0.5, 5.0)
    assert (pool.concurrency, pool.buffer_size) == (1000, 5000)
    assert config.client.max_request_body_size_mb == 100


def test_nothing_can_be_changed() -> None:
    config = Config.from_dict(openai())
    with pytest.raises(pydantic.ValidationError):
        config.version = 1
    with pytest.raises(pydantic.ValidationError):
        config.providers["openai"].keys[0].weight = 3


def test_the_dictionary_that_was_read_stays_as_it_was() -> None:
    data: dict[str, Any] = {"version": 1, "providers": {"openai": {"keys": [{"value": "x"}]}}}
    Config.from_dict(data)
    assert data == {"version": 1, "providers": {"openai": {"keys": [{"value": "x"}]}}}


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "key", "model", "allowed"),
    [
        (2, {"models": ["*"]}, "gpt-5", True),
        (2, {"models": []}, "gpt-5", False),
        (2, {"models": ["gpt-5"]}, "gpt-5", True),
        (2, {"models": ["gpt-5"]}, "gpt-5-mini", False),
        (1, {"models": []}, "gpt-5", True),
        (1, {}, "gpt-5", True),
        (1, {"models": ["gpt-5"]}, "gpt-4", False),
        (1, {"blacklisted_models": ["gpt-5"]}, "gpt-5", False),
        (2, {"models": ["*"], "blacklisted_models": ["gpt-5"]}, "gpt-5", False),
        (2, {"models": ["*"], "blacklisted_models": ["gpt-5"]}, "gpt-4", True),
        (2, {"models": ["gpt-5"], "blacklisted_models": ["gpt-5"]}, "gpt-5", False),
        (2, {"models": ["*"], "blacklisted_models": ["*"]}, "gpt-5", False),
        # An alias is allowed under either name, and a ban of what it stands for holds for it as well.
        (2, {"models": ["gpt-5"], "aliases": {"best": "gpt-5"}}, "best", True),
        (2, {"models": ["best"], "aliases": {"best": "gpt-5"}}, "best", True),
        (2, {"models": ["other"], "aliases": {"best": "gpt-5"}}, "best", False),
        (2, {"models": ["*"], "blacklisted_models": ["gpt-5"], "aliases": {"best": "gpt-5"}}, "best", False),
    ],
)
def test_which_models_a_key_serves(version: int, key: dict[str, Any], model: str, allowed: bool) -> None:
    config = Config.from_dict({"version": version, "providers": {"openai": {"keys": [{"value": "sk", **key}]}}})
    assert config.providers["openai"].keys[0].allows(model) is allowed


def test_aliases_in_both_forms_and_in_a_row() -> None:
    key = (
        Config.from_dict(with_key(aliases={"a": "b", "b": {"model_id": "c"}, "same": "same"}))
        .providers["openai"]
        .keys[0]
    )
    assert [key.resolve(name) for name in ("a", "b", "c", "same", "other")] == ["c", "c", "c", "same", "other"]


def test_a_cycle_that_did_not_come_from_a_file_ends() -> None:
    assert KeyConfig(aliases={"a": "b", "b": "a"}).resolve("a") in {"a", "b"}


def test_keys_get_names_and_ids() -> None:
    config = Config.from_dict(
        {"version": 1, **openai(keys=[{"value": "1"}, {"value": "2", "name": "mine"}, {"value": "3", "id": "7"}])}
    )
    named = [(key.id, key.name) for key in config.providers["openai"].keys]
    assert named == [("openai-1", "openai-1"), ("mine", "mine"), ("7", "openai-3")]


def test_an_object_for_every_key_that_is_made_in_a_program() -> None:
    provider = ProviderConfig(name="openai", keys=[KeyConfig(value=Secret("sk"), models=["*"])])
    assert provider.keys[0].allows("gpt-5")
    assert provider.base_url == "https://api.openai.com"
    assert provider.path("embedding") == "/v1/embeddings"


# --- addresses and times ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.openai.com", "https://api.openai.com"),
        ("https://api.openai.com/", "https://api.openai.com"),
        ("https://api.openai.com/v1", "https://api.openai.com"),
        ("https://api.openai.com/v1/", "https://api.openai.com"),
        ("http://[::1]:8000/proxy/v1", "http://[::1]:8000/proxy"),
        ("https://host/openai/v2", "https://host/openai/v2"),
        (" http://localhost:1 ", "http://localhost:1"),
    ],
)
def test_base_urls(given: str, kept: str) -> None:
    assert Config.from_dict(with_network(base_url=given)).providers["openai"].base_url == kept


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(500, 0.5), (0, 0.0), ("500ms", 0.5), ("5s", 5.0), ("1.5s", 1.5), ("1m30s", 90.0), (250.5, 0.2505)],
)
def test_back_off_in_milliseconds_or_with_a_unit(given: Any, seconds: float) -> None:
    network = Config.from_dict(with_network(retry_backoff_initial=given)).providers["openai"].network_config
    assert network.retry_backoff_initial == pytest.approx(seconds)


def test_whole_numbers_serve_as_seconds() -> None:
    assert NetworkConfig(connect_timeout_in_seconds=3).connect_timeout_in_seconds == 3.0


def test_header_filter() -> None:
    client = Config.from_dict(
        {"client": {"header_filter_config": {"allowlist": ["X-A", "x-b"], "denylist": ["x-B"]}}}
    ).client
    assert [client.header_filter_config.allows(name) for name in ("x-a", "x-b", "x-c")] == [True, False, False]
    assert Config.from_dict({}).client.header_filter_config.allows("x-anything")
    starred = Config.from_dict({"client": {"header_filter_config": {"allowlist": ["anthropic-*"]}}}).client
    assert [starred.header_filter_config.allows(name) for name in ("anthropic-beta", "x-a")] == [True, False]


# --- the server -------------------------------------------------------------------------------------------------------


def test_the_command_line_wins_over_the_file() -> None:
    config = Config.from_dict({"server": {"port": 9000, "workers": 4}})
    told = config.with_server(port=9001, host=None, workers=None)
    assert (told.server.port, told.server.workers, told.server.host) == (9001, 4, "127.0.0.1")
    assert config.server.port == 9000


def test_the_command_line_is_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"server\.port: expected at most 65535, got 70000"):
        Config.from_dict({}).with_server(port=70_000)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("[::1]", True), ("localhost", True)]
    + [("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("gateway.example.com", False)],
)
def test_which_hosts_are_this_machine_alone(host: str, loopback: bool) -> None:
    assert Config.from_dict({"server": {"host": host}}).server.loopback is loopback
