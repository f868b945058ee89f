"""The plugins station."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from bifrost_trio.errors import GatewayError
from bifrost_trio.plugins.answers import AnswerReply, ChunkReply, write_answer
from bifrost_trio.plugins.plugin import Answer, Plugin
from bifrost_trio.types import Call, JsonObject, Reply, Station

__all__ = ["AFTER_SECONDS", "PluginStatistics", "Plugins"]

AFTER_SECONDS = 5.0
"""What the asynchronous after-hooks of a cancelled call may take, in the gateway's nursery."""

log = logging.getLogger("bifrost_trio.plugins")


@dataclass(frozen=True, slots=True)
class PluginStatistics:
    """``errors`` counts, by plugin, the hooks that raised something of their own; ``late`` after-hooks cut short."""

    errors: dict[str, int]
    late: int


class Plugins:
    """The chain, compiled once: for each hook the plugins that define it. Own errors are logged and counted."""

    def __init__(self, plugins: Sequence[Plugin], following: Station, background: trio.Nursery) -> None:
        self.plugins = tuple(plugins)
        self._following = following
        self._background = background
        self._before = _defining(plugins, "before")
        self._after = _defining(reversed(plugins), "after")
        self._chunk = _defining(reversed(plugins), "chunk")
        self._error = _defining(reversed(plugins), "error")
        self._changing = tuple(p for p in self._after if p.changes_answers)
        self._watching = tuple(p for p in self._after if not p.changes_answers)
        self._errors = {plugin.name: 0 for plugin in plugins}
        self._late = 0

    async def __call__(self, call: Call, reply: Reply) -> None:
        reached: set[Plugin] | None = None
        try:
            for plugin in self._before:
                answer = await self._ask(plugin, plugin.before, call)
                if answer is not None:
                    reached = self._up_to(plugin)
                    await write_answer(call, self._wrap(call, reply, reached), answer)
                    return
            await self._following(call, self._wrap(call, reply, None))
        except GatewayError as error:
            await self._on_error(call, reply, error)
        finally:
            if self._watching:
                await self._run_after(call, reached)

    def _up_to(self, plugin: Plugin) -> set[Plugin]:
        """Only plugins whose turn had come get their after-hook: symmetry, as in Bifrost."""
        return set(self.plugins[: self.plugins.index(plugin) + 1])

    def _wrap(self, call: Call, reply: Reply, reached: set[Plugin] | None) -> Reply:
        if call.stream:
            return ChunkReply(call, reply, lambda chunk: self._on_chunk(call, chunk)) if self._chunk else reply
        if not self._changing:
            return reply

        async def change(answer: Answer) -> None:
            for plugin in self._changing:
                if reached is None or plugin in reached:
                    await self._ask(plugin, plugin.after, call, answer)

        return AnswerReply(call, reply, change)

    def _on_chunk(self, call: Call, chunk: JsonObject) -> JsonObject | None:
        for plugin in self._chunk:
            try:
                changed = plugin.chunk(call, chunk)
            except GatewayError:
                raise
            except Exception:
                self._count(plugin, "chunk")
                continue
            if changed is None:
                return None
            chunk = changed
        return chunk

    async def _on_error(self, call: Call, reply: Reply, error: GatewayError) -> None:
        if not call.outcome.committed:
            for plugin in self._error:
                verdict = await self._ask(plugin, plugin.error, call, error)
                if isinstance(verdict, Answer):
                    await write_answer(call, reply, verdict)
                    return
                if isinstance(verdict, GatewayError):
                    error = verdict
        raise error

    async def _run_after(self, call: Call, reached: set[Plugin] | None) -> None:
        for plugin in self._watching:
            if reached is not None and plugin not in reached:
                continue
            if inspect.iscoroutinefunction(plugin.after) and trio.current_effective_deadline() == -float("inf"):
                # The call is cancelled: nothing can be awaited here any more.
                self._background.start_soon(self._run_late, plugin, call)
            else:
                await self._ask(plugin, plugin.after, call, None)

    async def _run_late(self, plugin: Plugin, call: Call) -> None:
        with trio.move_on_after(AFTER_SECONDS) as scope:
            await self._ask(plugin, plugin.after, call, None)
        self._late += scope.cancelled_caught

    async def _ask(self, plugin: Plugin, hook: Callable[..., Any], *arguments: object) -> Any:
        """Runs one hook. GatewayErrors are the plugin's word to the client; anything else is its own error."""
        try:
            result = hook(*arguments)
            if result is None or not inspect.isawaitable(result):
                return result
            return await result
        except GatewayError:
            if hook.__name__ == "after":
                # The answer is on its way: there is nobody left to refuse.
                self._count(plugin, "after")
                return None
            raise
        except Exception:
            self._count(plugin, hook.__name__)
            return None

    def _count(self, plugin: Plugin, hook: str) -> None:
        self._errors[plugin.name] += 1
        log.exception("plugin %s: %s failed; the call goes on without it", plugin.name, hook)

    def statistics(self) -> PluginStatistics:
        return PluginStatistics(dict(self._errors), self._late)


def _defining(plugins: Any, hook: str) -> tuple[Plugin, ...]:
    return tuple(p for p in plugins if getattr(type(p), hook) is not getattr(Plugin, hook))
