"""The supervisor of several processes, which obeys signals."""

from __future__ import annotations

__all__ = ["serve_many"]


async def serve_many(*args: object) -> int:
    raise NotImplementedError
