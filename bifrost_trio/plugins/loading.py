"""``"module:Class"`` from the configuration to a plugin."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, Protocol

from bifrost_trio.errors import ConfigError, Problem
from bifrost_trio.plugins.plugin import Plugin

__all__ = ["BUILT_IN", "load_plugins"]

BUILT_IN = {"mocker": "bifrost_trio.plugins.mocker:Mocker"}
"""Plugins that ship with the gateway, by the name under which a configuration enables them."""

_PLACES = {"pre_builtin": 0, "builtin": 1, "post_builtin": 2}


HOOKS = ("before", "after", "chunk", "error", "open", "close")
"""Of which a plugin defines one at least: without any it was misspelled."""


class Entry(Protocol):
    """One entry of ``plugins`` in the configuration."""

    @property
    def name(self) -> str: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def path(self) -> str: ...
    @property
    def config(self) -> dict[str, Any]: ...
    @property
    def placement(self) -> str: ...
    @property
    def order(self) -> int: ...


def load_plugins(entries: Sequence[Entry]) -> list[Plugin]:
    """The enabled plugins in the order in which they run. Raises ConfigError with every one that cannot be had."""
    problems: list[Problem] = []
    placed: list[tuple[int, int, int, Plugin]] = []
    for number, entry in enumerate(entries):
        if not entry.enabled:
            continue
        place = _PLACES["builtin" if entry.name in BUILT_IN else entry.placement]
        try:
            placed.append((place, entry.order, number, _load(entry)))
        except _Unusable as error:
            problems.append(Problem(str(error), f"plugins[{number}].{error.member}"))
    if problems:
        raise ConfigError(problems)
    return [plugin for *_, plugin in sorted(placed, key=lambda one: one[:3])]


class _Unusable(Exception):
    def __init__(self, message: str, member: str) -> None:
        super().__init__(message)
        self.member = member


def _load(entry: Entry) -> Plugin:
    path = entry.path or BUILT_IN.get(entry.name, "")
    if not path:
        raise _Unusable(f'{entry.name!r} is no built-in plugin; "path" must say "module:Class"', "path")
    made = _class(path)
    try:
        plugin = made(dict(entry.config))
    except ValueError as error:
        raise _Unusable(str(error), "config") from None
    except Exception as error:
        raise _Unusable(f"{path} cannot be made: {type(error).__name__}: {error}", "config") from error
    plugin.name = entry.name
    return plugin


def _class(path: str) -> type[Plugin]:
    module_name, colon, class_name = path.partition(":")
    if not colon or not module_name or not class_name:
        raise _Unusable(f'expected "module:Class", got {path!r}', "path")
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError as error:
        raise _Unusable(f"module {module_name!r} cannot be imported: {error}", "path") from None
    except Exception as error:
        message = f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        raise _Unusable(message, "path") from error
    if not isinstance(found, type) or not issubclass(found, Plugin):
        raise _Unusable(f"{path!r} is not a class derived from bifrost_trio.plugins.Plugin", "path")
    if all(getattr(found, hook) is getattr(Plugin, hook) for hook in HOOKS):
        raise _Unusable(f"{path!r} defines none of {', '.join(HOOKS)}", "path")
    if inspect.iscoroutinefunction(found.chunk):
        raise _Unusable(f'{path!r}: "chunk" must be "def", not "async def"', "path")
    return found
