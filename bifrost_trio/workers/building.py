"""A provider's pool, keys and attempts from its part of the configuration."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from bifrost_trio.config import ClientConfig, KeyConfig, ProviderConfig
from bifrost_trio.types import Clock
from bifrost_trio.workers.attempts import Attempts, Provider, RetryPolicy
from bifrost_trio.workers.keys import Key, Keys
from bifrost_trio.workers.pool import WorkerPool

__all__ = ["build_attempts", "configured_models"]


def build_attempts(
    config: ProviderConfig, client: ClientConfig, provider: Provider, clock: Clock = trio.current_time
) -> Attempts:
    network = config.network_config
    size = config.concurrency_and_buffer_size
    pool = WorkerPool(config.name, size.concurrency, size.buffer_size, shed=client.drop_excess_requests)
    keys = [_key(key) for key in config.keys if key.enabled]
    if config.key_less and not keys:
        keys = [Key("none", "")]
    policy = RetryPolicy(network.max_retries, network.retry_backoff_initial, network.retry_backoff_max)
    return Attempts(pool, Keys(config.name, keys, direct=client.allow_direct_keys), provider, policy, clock=clock)


def _key(config: KeyConfig) -> Key:
    return Key(
        config.name,
        config.value.reveal(),
        id=config.id,
        weight=config.weight,
        allows=config.allows,
        resolve=config.resolve if config.aliases else None,
    )


def configured_models(providers: Mapping[str, ProviderConfig]) -> dict[str, list[str]]:
    """The names that the keys of each provider spell out: models and aliases."""
    found: dict[str, list[str]] = {}
    for name, provider in providers.items():
        named = [model for key in provider.keys if key.enabled for model in (*key.models, *key.aliases)]
        found[name] = list(dict.fromkeys(model for model in named if model != "*"))
    return found
