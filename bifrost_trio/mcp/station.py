"""The mcp station's place in the path."""

from __future__ import annotations

from collections.abc import Awaitable

from bifrost_trio.types import Call, Reply, Station

__all__ = ["Mcp"]


class Mcp:
    """Hands every call on as it is."""

    def __init__(self, following: Station) -> None:
        self._following = following

    def __call__(self, call: Call, reply: Reply) -> Awaitable[None]:
        return self._following(call, reply)
