"""The workers station."""

from __future__ import annotations

from collections.abc import Mapping

from bifrost_trio.types import Call, Reply
from bifrost_trio.workers.attempts import Attempts

__all__ = ["Workers"]


class Workers:
    """Each provider has its own pool, keys and attempts: one that hangs costs the others nothing."""

    def __init__(self, providers: Mapping[str, Attempts]) -> None:
        self.providers = providers

    async def __call__(self, call: Call, reply: Reply) -> None:
        assert call.target is not None
        await self.providers[call.target.provider](call, reply)
