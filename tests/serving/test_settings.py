"""From the ``server`` part of a configuration to what a process runs with."""

from __future__ import annotations

from bifrost_trio.config.server import ServerConfig
from bifrost_trio.serving.settings import timeouts_of

SUFFIX = "_timeout_in_seconds"


def test_every_time_limit_reaches_the_server() -> None:
    limits = {name: float(n) for n, name in enumerate(ServerConfig.model_fields, 1) if name.endswith(SUFFIX)}
    timeouts = timeouts_of(ServerConfig(**limits))
    assert {name: getattr(timeouts, name.removesuffix(SUFFIX)) for name in limits} == limits
