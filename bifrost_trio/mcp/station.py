"""The mcp station's place in the path."""

from __future__ import annotations

from bifrost_trio.types import Station

__all__ = ["tools"]


def tools(following: Station) -> Station:
    """The station that gives models their tools, or what follows it where no tool server is configured, so
    that it costs nothing: that is everywhere, as yet."""
    return following
