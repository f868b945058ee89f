"""Placeholder surface of the telemetry: settle, watch, run, exposition."""

from __future__ import annotations

import trio

from bifrost_trio.types import Call

__all__ = ["Telemetry"]


class Telemetry:
    def settle(self, call: Call) -> None: ...

    def watch(self, source: object) -> None: ...

    async def run(self) -> None:
        await trio.sleep_forever()

    async def exposition(self) -> bytes:
        return b""
