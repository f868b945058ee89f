"""The published schema and the reader agree."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from bifrost_trio.config import Config, schema
from bifrost_trio.errors import ConfigError
from tests.config.samples import BENCHMARK, EVERYTHING_OFF, OWN, OWN_ENVIRONMENT, openai, with_key, with_network


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("sample", [BENCHMARK, EVERYTHING_OFF, OWN, openai(), {}])
def test_what_is_read_is_valid(validator: Any, sample: dict[str, Any]) -> None:
    Config.from_dict(sample, OWN_ENVIRONMENT)
    validator.validate(sample)


@pytest.mark.parametrize(
    "sample",
    [
        {"budget": 1},
        {"version": 3},
        {"client": {"allowed_origin": []}},
        {"client": {"header_filter_config": {"allow": []}}},
        openai(name="x"),
        openai(base_url="http://x"),
        openai(concurrency_and_buffer_size={"buffers": 1}),
        openai(concurrency_and_buffer_size={"concurrency": 0}),
        openai(proxy_config={"type": "ftp"}),
        openai(openai_config={"store": False}),
        with_key(valeu="x"),
        with_key(weight=-1),
        with_key(aliases={"a": {"model_id": "b", "x": 1}}),
        with_key(aliases={"a": ""}),
        with_network(timeout=1),
        with_network(max_retries=11),
        with_network(retry_backoff_initial="soon"),
        {"providers": {"mine": {"custom_provider_config": {"base_provider_type": "openai", "key_less": True}}}},
        {
            "providers": {
                "mine": {
                    "keys": [{"value": "x"}],
                    "custom_provider_config": {"base_provider_type": "openai", "allowed_requests": {"chat": True}},
                }
            }
        },
        {"plugins": [{"name": "a", "enable": False}]},
        {"server": {"prot": 1}},
        {"governance": {"budget": []}},
        {"governance": {"virtual_keys": [{"provider_configs": [{"allowed_model": []}]}]}},
    ],
)
def test_what_is_refused_is_invalid(validator: Any, sample: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Config.from_dict(sample)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(sample)


def test_it_is_json_and_says_what_it_is() -> None:
    made = json.loads(json.dumps(schema()))
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "no effect here" in made["$defs"]["ClientConfig"]["properties"]["initial_pool_size"]["description"]
    assert "Not yet supported" in made["properties"]["governance"]["description"]
    assert made["$defs"]["NetworkConfig"]["properties"]["retry_backoff_initial"]["default"] == "500ms"
    assert "Not yet" in made["$defs"]["ProxyConfig"]["properties"]["type"]["description"]
    assert "***" not in json.dumps(made)
