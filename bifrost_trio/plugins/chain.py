"""The plugins station."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import trio

from bifrost_trio.errors import GatewayError
from bifrost_trio.plugins.answers import AnswerReply, ChunkReply, rendered, write_rendered
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
        self._place = {plugin: number for number, plugin in enumerate(plugins)}
        self._errors = {plugin.name: 0 for plugin in plugins}
        self._late = 0

    async def __call__(self, call: Call, reply: Reply) -> None:
        # Only plugins whose turn had come get their later hooks: symmetry, as in Bifrost.
        reached = -1
        shown: list[Plugin] = []
        try:
            for plugin in self._before:
                reached = self._place[plugin]
                answer = self._begin(plugin, "before", call)
                if answer is None:
                    continue
                answer = await self._end(plugin, "before", answer, call)
                if isinstance(answer, GatewayError):
                    raise answer
                data = self._rendered(plugin, "before", call, answer) if answer is not None else None
                if data is not None:
                    await write_rendered(call, self._wrap(call, reply, reached, shown), data)
                    return
            reached = len(self.plugins)
            await self._following(call, self._wrap(call, reply, reached, shown))
        except GatewayError as error:
            await self._on_error(call, reply, error, reached)
        finally:
            if self._after and (unfinished := self._run_after(call, reached, shown)) is not None:
                await self._finish_after(call, *unfinished)

    def _wrap(self, call: Call, reply: Reply, reached: int, shown: list[Plugin]) -> Reply:
        """``shown`` collects the plugins whose after-hook has had the answer."""
        if call.stream:
            return ChunkReply(call, reply, partial(self._on_chunk, call, reached)) if self._chunk else reply
        if not self._changing:
            return reply

        async def change(answer: Answer) -> None:
            for plugin in self._changing:
                if self._place[plugin] <= reached:
                    shown.append(plugin)
                    await self._ask(plugin, "after", call, answer)

        return AnswerReply(call, reply, change)

    def _on_chunk(self, call: Call, reached: int, chunk: JsonObject) -> JsonObject | None:
        for plugin in self._chunk:
            if self._place[plugin] > reached:
                continue
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

    async def _on_error(self, call: Call, reply: Reply, error: GatewayError, reached: int) -> None:
        if not call.outcome.committed:
            for plugin in self._error:
                if self._place[plugin] > reached:
                    continue
                verdict = await self._ask(plugin, "error", call, error)
                if isinstance(verdict, GatewayError):
                    error = verdict
                data = self._rendered(plugin, "error", call, verdict) if isinstance(verdict, Answer) else None
                if data is not None:
                    await write_rendered(call, reply, data)
                    return
        raise error

    def _run_after(
        self, call: Call, reached: int, shown: list[Plugin]
    ) -> tuple[Plugin, object, Sequence[Plugin]] | None:
        """The after-hooks of those that have not had the answer itself, up to the first that wants to wait: that one,
        what is to be awaited for it, and those behind it."""
        plugins: Sequence[Plugin] = self._after
        if shown or reached < len(self.plugins):
            plugins = [plugin for plugin in plugins if self._place[plugin] <= reached and plugin not in shown]
        for number, plugin in enumerate(plugins):
            rest = self._begin(plugin, "after", call, None)
            if rest is not None:
                return plugin, rest, plugins[number + 1 :]
        return None

    async def _finish_after(self, call: Call, plugin: Plugin, rest: object, others: Sequence[Plugin]) -> None:
        if trio.current_effective_deadline() == -inf and inspect.isawaitable(rest):
            self._background.start_soon(self._run_late, plugin, rest)
            self._run_cancelled(call, others)
            return
        left = list(others)
        try:
            await self._end(plugin, "after", rest, call, None)
            while left:
                await self._ask(left.pop(0), "after", call, None)
        except trio.Cancelled:
            self._run_cancelled(call, left)
            raise

    def _run_cancelled(self, call: Call, plugins: Sequence[Plugin]) -> None:
        """The call is cancelled: nothing can be awaited here any more, so what would wait goes to the background."""
        for plugin in plugins:
            rest = self._begin(plugin, "after", call, None)
            if rest is not None:
                self._background.start_soon(self._run_late, plugin, rest)

    async def _run_late(self, plugin: Plugin, rest: Awaitable[None]) -> None:
        with trio.move_on_after(AFTER_SECONDS) as scope:
            try:
                await rest
            except Exception:
                self._count(plugin, "after")
        self._late += scope.cancelled_caught

    async def _ask(self, plugin: Plugin, hook: str, *arguments: object) -> Any:
        """Runs one hook. GatewayErrors are the plugin's word to the client; anything else is its own error."""
        result = self._begin(plugin, hook, *arguments)
        return await self._end(plugin, hook, result, *arguments) if result is not None else None

    def _begin(self, plugin: Plugin, hook: str, *arguments: object) -> Any:
        """A hook as far as it goes without waiting: a coroutine for each would cost more than most of them do."""
        try:
            return getattr(plugin, hook)(*arguments)
        except Exception as error:
            self._raise_or_count(plugin, hook, error, *arguments)

    async def _end(self, plugin: Plugin, hook: str, result: object, *arguments: object) -> Any:
        """What a hook gave, or what is to be awaited for it."""
        try:
            if inspect.isawaitable(result):
                result = await result
            if result is not None and not isinstance(result, Answer | GatewayError):
                raise TypeError(f"{hook} gave a {type(result).__name__}, not an Answer")
        except Exception as error:
            self._raise_or_count(plugin, hook, error, *arguments)
            return None
        return result

    def _raise_or_count(self, plugin: Plugin, hook: str, error: Exception, *arguments: object) -> None:
        """GatewayErrors are for the client, anything else is the plugin's own."""
        # Once the answer is on its way there is nobody left to refuse. (Who is shown it beforehand may refuse it.)
        too_late = hook == "after" and arguments[-1] is None
        if isinstance(error, GatewayError) and not too_late:
            raise error
        self._count(plugin, hook)

    def _rendered(self, plugin: Plugin, hook: str, call: Call, answer: Answer) -> bytes | None:
        """The plugin's answer for the client; None, counted as the plugin's own error, if it is none."""
        try:
            return rendered(call, answer)
        except Exception:
            self._count(plugin, hook)
            return None

    def _count(self, plugin: Plugin, hook: str) -> None:
        count = self._errors[plugin.name] = self._errors[plugin.name] + 1
        # A hook that fails at every chunk must not drown the log: the 1st, 2nd, 4th, 8th … time.
        if hook != "chunk" or not count & (count - 1):
            log.exception("plugin %s: %s failed; the call goes on without it", plugin.name, hook)

    def statistics(self) -> PluginStatistics:
        return PluginStatistics(dict(self._errors), self._late)


def _defining(plugins: Any, hook: str) -> tuple[Plugin, ...]:
    return tuple(p for p in plugins if getattr(type(p), hook) is not getattr(Plugin, hook))
