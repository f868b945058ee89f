"""What must not be seen is not seen."""

from __future__ import annotations

import json
import pickle

import pydantic
import pytest

from bifrost_trio.config import Config, KeyConfig, ProxyConfig, Secret
from bifrost_trio.errors import ConfigError
from tests.config.samples import openai

SECRET = "sk-do-not-show"


def everywhere() -> Config:
    return Config.from_dict(
        openai(
            keys=[{"value": SECRET, "models": ["*"]}],
            network_config={"extra_headers": {"authorization": f"Basic {SECRET}"}},
        )
        | {"plugins": [{"name": "audit", "path": "a:A", "config": {"token": SECRET}}]}
    )


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret(SECRET)
    assert secret.reveal() == SECRET
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>10}", repr([secret])):
        assert SECRET not in shown
        assert "***" in shown


def test_secrets_compare_hash_and_travel_to_a_worker_process() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")
    assert pickle.loads(pickle.dumps(Secret("a"))).reveal() == "a"  # noqa: S301
    assert pickle.loads(pickle.dumps(everywhere())) == everywhere()  # noqa: S301


def test_a_proxy_shows_none() -> None:
    proxy = ProxyConfig.model_validate({"type": "http", "username": SECRET, "password": SECRET})
    assert proxy.password.reveal() == SECRET
    assert SECRET not in repr(proxy)
    assert SECRET not in proxy.model_dump_json()


def test_a_configuration_shows_none() -> None:
    config = everywhere()
    assert SECRET not in repr(config)
    assert SECRET not in str(config)
    providers = config.model_dump_json(include={"providers"})
    assert SECRET not in providers
    assert json.loads(providers)["providers"]["openai"]["keys"][0]["value"] == "***"


@pytest.mark.parametrize(
    "members",
    [
        {"keys": [{"value": f"{SECRET}\n\n{SECRET}"}]},
        {"keys": [{"value": [SECRET]}]},
        {"keys": [{"value": {"a": SECRET}}]},
        {"keys": [SECRET]},
        {"keys": SECRET},
        {"keys": [{"value": "x", "weight": SECRET, "models": SECRET, "enabled": SECRET}]},
        {"network_config": {"base_url": f"https://user:{SECRET}@host"}},
        {"network_config": {"extra_headers": {"x": f"{SECRET}\n"  f"{SECRET}"}}},
        {"network_config": {"extra_headers": SECRET}},
        {"proxy_config": {"type": SECRET, "url": SECRET, "password": 3}},
    ],
)  # fmt: skip
def test_problems_show_none(members: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(openai(**members))
    assert SECRET not in str(caught.value)


def test_errors_of_the_models_show_none() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        KeyConfig.model_validate({"value": f"{SECRET}\n\n{SECRET}", "weight": SECRET})
    assert SECRET not in str(caught.value)
