"""Workers, keys and attempts as the configuration says."""

from __future__ import annotations

from typing import Any

import pytest

from bifrost_trio.config import ClientConfig, Config
from bifrost_trio.errors import Forbidden
from bifrost_trio.types import Options
from bifrost_trio.workers import Attempts, build_attempts, configured_models
from tests.workers.played import OK, Played


def built(entry: dict[str, Any], *, name: str = "openai", **client: Any) -> Attempts:
    config = Config.from_dict({"providers": {name: entry}})
    return build_attempts(config.providers[name], ClientConfig(**client), Played(OK))


KEY = {"name": "main", "value": "sk-1", "models": ["*"]}


def test_everything_is_taken_from_the_file() -> None:
    network = {"max_retries": 4, "retry_backoff_initial": "250ms", "retry_backoff_max": "3s"}
    size = {"concurrency": 7, "buffer_size": 11}
    attempts = built({"keys": [KEY], "network_config": network, "concurrency_and_buffer_size": size})
    assert (attempts.pool.limit, attempts.pool.queue, attempts.pool.shed) == (7, 11, True)
    assert (attempts.policy.retries, attempts.policy.initial, attempts.policy.limit) == (4, 0.25, 3.0)
    assert [(key.name, key.value, key.weight) for key in attempts.keys.keys] == [("main", "sk-1", 1.0)]


def test_what_holds_without_a_word() -> None:
    attempts = built({"keys": [KEY]})
    assert (attempts.pool.limit, attempts.pool.queue, attempts.pool.shed) == (1000, 5000, True)
    assert (attempts.policy.retries, attempts.policy.initial, attempts.policy.limit) == (2, 0.5, 5.0)


def test_calls_may_wait_instead_of_being_dropped() -> None:
    assert not built({"keys": [KEY]}, drop_excess_requests=False).pool.shed


def test_a_disabled_key_does_not_serve() -> None:
    attempts = built({"keys": [{**KEY, "name": "old", "enabled": False}, KEY]})
    assert [key.name for key in attempts.keys.keys] == ["main"]


def test_a_provider_without_keys() -> None:
    custom = {"base_provider_type": "openai", "is_key_less": True}
    attempts = built({"custom_provider_config": custom, "network_config": {"base_url": "http://x.test"}}, name="own")
    key = attempts.keys.choose("whatever")
    assert key is not None
    assert (key.name, key.value) == ("none", "")


@pytest.mark.parametrize("allowed", [True, False])
def test_callers_keys(allowed: bool) -> None:
    options = Options()
    options.direct_key = "sk-2"
    keys = built({"keys": [KEY]}, allow_direct_keys=allowed).keys
    if allowed:
        key = keys.choose("m", options)
        assert key is not None
        assert key.value == "sk-2"
    else:
        with pytest.raises(Forbidden):
            keys.choose("m", options)


def test_an_alias_is_resolved_by_the_key_that_has_it() -> None:
    aliases = {"fast": "gpt-4o-mini", "best": {"model_id": "gpt-4o"}}
    [key] = built({"keys": [{**KEY, "aliases": aliases}]}).keys.keys
    assert key.resolve is not None
    assert [key.resolve(name) for name in ("fast", "best", "other")] == ["gpt-4o-mini", "gpt-4o", "other"]


def test_the_names_that_the_keys_spell_out() -> None:
    config = Config.from_dict(
        {
            "providers": {
                "openai": {
                    "keys": [
                        {**KEY, "models": ["gpt-4o", "gpt-4o-mini"], "aliases": {"fast": "gpt-4o-mini"}},
                        {**KEY, "name": "2", "models": ["*", "gpt-4o", "o1"]},
                        {**KEY, "name": "3", "models": ["o3"], "enabled": False},
                    ]
                },
                "anthropic": {"keys": [KEY]},
            }
        }
    )
    assert configured_models(config.providers) == {"openai": ["gpt-4o", "gpt-4o-mini", "fast", "o1"], "anthropic": []}
