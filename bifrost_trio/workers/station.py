"""The workers station."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from bifrost_trio.types import Call, Reply
from bifrost_trio.workers.attempts import Attempts

__all__ = ["Workers"]


class Workers:
    """Each provider has its own pool, keys and attempts: one that hangs costs the others nothing."""

    def __init__(self, providers: Mapping[str, Attempts]) -> None:
        self.providers = providers

    def __call__(self, call: Call, reply: Reply) -> Awaitable[None]:
        """Not a coroutine itself: every one in the chain is passed through at each wait of the call."""
        assert call.target is not None
        return self.providers[call.target.provider](call, reply)
