"""Configurations to change between, and a plugin that counts what becomes of it."""

from __future__ import annotations

from typing import Any, ClassVar

import trio

from bifrost_trio.plugins import Plugin
from bifrost_trio.types import Call

__all__ = ["CHAT", "HALF", "PATH", "REST", "STREAM", "Counting", "key", "openai", "plugins"]

CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}
PATH = "/v1/chat/completions"
HALF = b'POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 34\r\n\r\n{"model":'
REST = b'"openai/m","messages":[]}'


def key(name: str, *models: str) -> dict[str, Any]:
    return {"name": name, "value": f"sk-{name}", "models": list(models or ("*",))}


def openai(name: str, **settings: Any) -> dict[str, Any]:
    return {"providers": {"openai": {"keys": [key(name)], **settings}}}


class Counting(Plugin):
    """Counts what becomes of it; ``raises`` in `open`, ``refuses`` to be made."""

    made: ClassVar[list[Counting]] = []

    def __init__(self, settings: dict[str, Any]) -> None:
        if "refuses" in settings:
            raise ValueError("refuses is no setting")
        self.settings = settings
        self.opened = self.closed = self.calls = self.late = 0
        Counting.made.append(self)

    async def open(self) -> None:
        await trio.lowlevel.checkpoint()
        self.opened += 1
        if "raises" in self.settings:
            raise OSError("the database is not there")

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        self.closed += 1
        if "sticks" in self.settings:
            raise RuntimeError("it does not close")

    def before(self, call: Call) -> None:
        self.calls += 1

    def after(self, call: Call, answer: object) -> None:
        self.late += self.closed


def plugins(*each: dict[str, Any]) -> list[dict[str, Any]]:
    path = f"{__name__}:Counting"
    return [{"name": f"p{n}", "enabled": True, "path": path, "config": config} for n, config in enumerate(each)]
