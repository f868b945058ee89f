"""``env.NAME`` in the file, and gateways without a file."""

from __future__ import annotations

import pytest

from bifrost_trio.catalog import PROVIDERS
from bifrost_trio.config import Config, ProxyConfig, load
from bifrost_trio.errors import ConfigError
from tests.config.samples import openai, with_key, with_network
from tests.config.test_problems import told


def test_where_a_variable_may_stand() -> None:
    environ = {"KEY": "sk-1\n", "URL": "https://proxy.example.com/v1", "TEAM": "blue", "PASSWORD": "pa55"}
    config = Config.from_dict(
        openai(
            keys=[{"value": "env.KEY", "models": ["*"]}],
            network_config={"base_url": "env.URL", "extra_headers": {"X-Team": "env.TEAM"}},
        ),
        environ,
    )
    provider = config.providers["openai"]
    assert provider.keys[0].value.reveal() == "sk-1"
    assert provider.base_url == "https://proxy.example.com"
    assert provider.network_config.extra_headers == {"x-team": "blue"}
    proxy = ProxyConfig.model_validate(
        {"type": "http", "url": "env.URL", "password": "env.PASSWORD"}, context={"environ": environ}
    )
    assert (proxy.url, proxy.password.reveal()) == ("https://proxy.example.com/v1", "pa55")


def test_other_strings_are_what_they_are() -> None:
    key = Config.from_dict(with_key(name="env.NAME", models=["env.MODEL"])).providers["openai"].keys[0]
    assert (key.name, key.models) == ("env.NAME", ["env.MODEL"])


@pytest.mark.parametrize(
    ("value", "environ", "message"),
    [
        ("env.NONE", {}, "the environment variable NONE is not set"),
        ("env.NONE", {"NONE": " \n"}, "the environment variable NONE is empty"),
        ("env.", {}, "after 'env.' stands the name of an environment variable: letters, digits and '_'"),
        ("env.A-B", {}, "after 'env.' stands the name of an environment variable: letters, digits and '_'"),
        ("env.A", {"A": "pa55\nx"}, "has a character that cannot stand in a header (not ASCII, or a control character)"
         " (from the environment variable A)"),
    ],
)  # fmt: skip
def test_variables_that_cannot_be_used(value: str, environ: dict[str, str], message: str) -> None:
    assert told(with_key(value=value), environ) == [f"providers.openai.keys[0].value: {message}"]


def test_a_disabled_key_needs_no_variable() -> None:
    config = Config.from_dict(openai(keys=[{"value": "env.NONE", "enabled": False}, {"value": "sk", "models": []}]))
    assert not config.providers["openai"].keys[0].value


def test_the_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REAL", "sk-real")
    assert told(with_key(value="env.REAL")) == [
        "providers.openai.keys[0].value: the environment variable REAL is not set"
    ]


def test_a_variable_is_not_looked_up_twice() -> None:
    key = Config.from_dict(with_key(value="env.A"), {"A": "env.B", "B": "secret"}).providers["openai"].keys[0]
    assert key.value.reveal() == "env.B"


# --- without a file ---------------------------------------------------------------------------------------------------


def test_the_providers_that_have_a_key() -> None:
    environ = {"OPENAI_API_KEY": "sk-1", "GROQ_API_KEY": "gsk", "MISTRAL_API_KEY": " ", "PATH": "/bin"}
    config = load(None, environ)
    assert sorted(config.providers) == ["groq", "openai"]
    key = config.providers["openai"].keys[0]
    assert (key.name, key.value.reveal()) == ("OPENAI_API_KEY", "sk-1")
    assert key.allows("anything")
    assert config.providers["groq"].base_url == "https://api.groq.com/openai"


def test_base_urls_beside_the_keys() -> None:
    environ = {
        "OPENAI_API_KEY": "sk",
        "OPENAI_BASE_URL": "https://proxy.example.com/v1/",
        "ANTHROPIC_API_KEY": "sk-ant",
        "ANTHROPIC_BASE_URL": "https://claude.example.com",
        "OLLAMA_BASE_URL": "http://127.0.0.1:11434/v1",
    }
    urls = {name: provider.base_url for name, provider in load(None, environ).providers.items()}
    assert urls == {
        "openai": "https://proxy.example.com",
        "anthropic": "https://claude.example.com",
        "ollama": "http://127.0.0.1:11434",
    }


def test_a_provider_without_an_address_needs_both() -> None:
    assert not load(None, {"AZURE_OPENAI_API_KEY": "k"}).providers
    both = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"}
    azure = load(None, both).providers["azure"]
    assert azure.base_url == "https://me.openai.azure.com"
    assert azure.path("chat_completion") == "/openai/v1/chat/completions"


def test_every_key_of_the_catalogue_is_found() -> None:
    for row in PROVIDERS.values():
        for variable in row.environment:
            environ = {variable: "key"} | dict.fromkeys(row.base_url_environment, "https://x.example.com")
            assert (row.base_url is None and not row.base_url_environment) or row.name in load(None, environ).providers


def test_a_bad_address_names_its_variable() -> None:
    with pytest.raises(ConfigError, match="environment variable OPENAI_BASE_URL"):
        load(None, {"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": "proxy.example.com"})


def test_an_empty_environment_is_an_empty_configuration() -> None:
    assert load(None, {}).providers == {}


def test_a_header_from_a_variable_that_is_not_set() -> None:
    assert told(with_network(extra_headers={"x-a": "env.NONE"})) == [
        "providers.openai.network_config.extra_headers.x-a: the environment variable NONE is not set"
    ]
