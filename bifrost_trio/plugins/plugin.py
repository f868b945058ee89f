"""What a plugin is."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, ClassVar

import msgspec

from bifrost_trio.errors import GatewayError
from bifrost_trio.types import Call, Format, JsonObject

__all__ = ["Answer", "Plugin"]


class Answer:
    """A whole answer, as a hook sees it: ``body`` in the client's format, ``common`` in the common shape.

    ``common`` is decoded on first use. Setting it marks the answer as changed; whoever changes it in place sets it
    again.
    """

    __slots__ = ("_body", "_common", "_format", "changed")

    def __init__(self, common: JsonObject | None = None, *, body: bytes = b"", format: Format | None = None) -> None:
        """A plugin makes one from the common shape (an OpenAI chat completion), the gateway from a provider's bytes."""
        self._common = common
        self._body = body
        self._format = format
        self.changed = common is not None

    @property
    def body(self) -> bytes:
        return self._body

    @property
    def common(self) -> JsonObject:
        if self._common is None:
            assert self._format is not None
            self._common = self._format.decode_answer(msgspec.json.decode(self._body))
        return self._common

    @common.setter
    def common(self, common: JsonObject) -> None:
        self._common = common
        self.changed = True


class Plugin:
    """A plugin defines those hooks that it needs; one that is not defined costs nothing.

    Made once, with the settings of its entry in the configuration as ``settings``; entered (`open`) when the gateway
    starts and left (`close`) when it ends. ``before`` and ``after`` run once per target, so again for each fallback.
    Hooks may be ``def`` or ``async def``, only ``chunk`` must be ``def``. What a hook raises that is no GatewayError is
    logged and counted, never the client's: the call goes on as if the hook had returned None.

    A hook may use ``call.request`` (common shape, decoded on first use), ``call.body`` (bytes as received),
    ``call.envelope`` (model, stream, limits), ``call.target`` and ``call.outcome``; what it wants to keep for a later
    hook of the same call it puts into ``call.state``, under its own name.
    """

    name: str = ""
    """As in the configuration; the class may have one of its own."""

    changes_answers: ClassVar[bool] = False
    """Whether ``after`` wants whole answers before the client gets them, as an `Answer` that it may change, or refuse
    by raising a GatewayError."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Raises ValueError with one sentence that names the setting, if the settings are of no use."""
        if settings:
            raise ValueError(f"this plugin takes no settings, but got {', '.join(sorted(settings))}")

    async def open(self) -> None:
        """Before the first call."""

    async def close(self) -> None:
        """After the last call; has a second."""

    def before(self, call: Call) -> Answer | Awaitable[Answer | None] | None:
        """May change ``call.request``, answer in the provider's place, or raise a GatewayError that the client gets."""
        return None

    def after(self, call: Call, answer: Answer | None) -> Awaitable[None] | None:
        """Runs for each ``before`` that ran, in reverse order, also after a failure or a cancel.

        ``answer`` is given only to a plugin that ``changes_answers``, for a whole answer; others see ``call.outcome``.
        """

    def chunk(self, call: Call, chunk: JsonObject) -> JsonObject | None:
        """One chunk of a stream in the common shape: returned changed or unchanged, or None to drop it."""
        return chunk

    def error(
        self, call: Call, error: GatewayError
    ) -> Answer | GatewayError | Awaitable[Answer | GatewayError | None] | None:
        """An error before anything was committed: None leaves it, another error replaces it, an `Answer` heals it."""
        return None
