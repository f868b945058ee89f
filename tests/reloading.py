"""Configurations to change between, and a plugin that counts what becomes of it."""

from __future__ import annotations

from typing import Any, ClassVar

import trio

from bifrost_trio.plugins import Plugin
from bifrost_trio.testing import MemoryGateway
from bifrost_trio.types import Call

__all__ = ["CHAT", "HALF", "PATH", "REST", "STREAM", "Counting", "described", "key", "openai", "plugins"]

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


async def described(gateway: MemoryGateway) -> dict[str, Any]:
    """What a user would notice of a configuration, and what it keeps running."""
    running = gateway.running
    assembly = running.assembly
    client = gateway.client()
    team = {"x-team": "a"}
    models = await client.get("/v1/models", team)
    chat = await client.post(PATH, CHAT, team)
    fields = chat.json["extra_fields"]
    page = await client.get("/health", {"origin": "https://app.example"})
    client.hang_up()
    await gateway.quiet()
    return {
        "models": [model["id"] for model in models.json["data"]],
        "chat": (chat.status, sorted(fields), fields.get("routing_info")),
        "required": (await gateway.client().get("/v1/models")).status,
        "page": page.headers.get("access-control-allow-origin"),
        "keys": {name: [key.name for key in attempts.keys.keys] for name, attempts in assembly.attempts.items()},
        "policies": {name: attempts.policy for name, attempts in assembly.attempts.items()},
        "pools": {name: attempts.pool.statistics() for name, attempts in assembly.attempts.items()},
        "connections": {name: provider.statistics() for name, provider in assembly.providers.items()},
        "budget": assembly.budget.statistics(),
        "largest": assembly.budget.largest,
        "plugins": [(plugin.name, plugin.settings) for plugin in assembly.plugins if isinstance(plugin, Counting)],
        "comments": await waited(gateway),
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "sockets": running.poller.statistics().sockets,
    }


async def waited(gateway: MemoryGateway) -> int:
    """How many comments a stream gets in twenty seconds."""
    client = gateway.client()
    words = [{"role": "user", "content": "[[mock delay=19.9]]"}]
    answer = await client.post(PATH, {**STREAM, "messages": words}, {"x-team": "a"})
    client.hang_up()
    gateway.hang_up()
    await trio.sleep(15)  # whoever looks after such streams has looked once more
    await gateway.quiet()
    return answer.body.count(b": waiting")
