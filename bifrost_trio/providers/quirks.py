"""What an OpenAI-compatible provider has otherwise than OpenAI: parameters of another name, or of none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bifrost_trio.types import JsonObject

__all__ = ["Quirks"]


class Quirks:
    """Whether a body needs a change is asked of its bytes: a member's name that is not in them is not in it."""

    def __init__(self, renames: Mapping[str, str], unsupported: Iterable[str]) -> None:
        self._renames = dict(renames)
        self._unsupported = frozenset(unsupported)
        self._needles = [f'"{name}"'.encode() for name in (*self._renames, *self._unsupported)]

    def concern(self, body: bytes) -> bool:
        """Whether the body may hold such a parameter. A name inside a text is a false alarm that costs a decode."""
        return any(needle in body for needle in self._needles) or b"\\u" in body

    def apply(self, wire: JsonObject, dropped: list[str]) -> JsonObject:
        """The request as this provider takes it; what it has no place for is added to ``dropped``."""
        adapted: JsonObject = {}
        for name, value in wire.items():
            if name in self._unsupported:
                dropped.append(name)
            elif name not in self._renames:
                adapted[name] = value
            elif self._renames[name] in wire:
                # The provider's own name wins where the client sent both.
                dropped.append(name)
            else:
                adapted[self._renames[name]] = value
        return adapted
