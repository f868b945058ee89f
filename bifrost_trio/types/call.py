"""One client request on its way, and the shape of the stations that it passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from bifrost_trio._wire import Envelope
from bifrost_trio.errors import BodyTooLarge, InvalidField
from bifrost_trio.types.facts import MAX_DECODED, Attempt, JsonObject, Operation, Options, Outcome, Target
from bifrost_trio.types.protocols import Format, Reply, Request

__all__ = ["Call", "Station"]


class Call:
    """One client request on its way, and who writes which field.

    | field | written by |
    |---|---|
    | operation, format, head, body, envelope, identity, options, native | transport |
    | accepted_at, id, default_provider | transport |
    | target, fallback, trail | router; workers append to the trail |
    | attempt_at | workers: when the attempt began that is at work |
    | request, changed | decoded on first use; then whoever sets ``request``: a plugin |
    | spoken_to_in, dropped_params, raw_request, raw_response | providers |
    | outcome | as facts arrive |
    """

    __slots__ = (
        "_common",
        "accepted_at",
        "attempt_at",
        "body",
        "changed",
        "default_provider",
        "dropped_params",
        "envelope",
        "fallback",
        "format",
        "head",
        "id",
        "identity",
        "native",
        "operation",
        "options",
        "outcome",
        "raw_request",
        "raw_response",
        "spoken_to_in",
        "state",
        "target",
        "trail",
    )

    def __init__(
        self,
        operation: Operation,
        format: Format,
        head: Request | None,
        body: bytes,
        envelope: Envelope,
        accepted_at: float,
        *,
        native: bool = True,
        default_provider: str | None = None,
        identity: str | None = None,
        options: Options | None = None,
    ) -> None:
        self.operation = operation
        self.format = format
        self.head = head
        self.body = body
        self.envelope = envelope
        self.accepted_at = accepted_at
        self.attempt_at = accepted_at
        self.native = native
        self.default_provider = default_provider
        self.identity = identity
        self.options = options
        self.id: str | None = None
        self.target: Target | None = None
        self.fallback = 0
        self.trail: list[Attempt] = []
        self.spoken_to_in: Format | None = None
        """The format in which the provider of the last attempt was spoken to."""
        self.dropped_params: Sequence[str] = ()
        self.raw_request: bytes | None = None
        self.raw_response: bytes | None = None
        self.outcome = Outcome()
        self.changed = False
        self._common: JsonObject | None = None
        self.state: dict[str, Any] | None = None

    @property
    def stream(self) -> bool:
        return self.envelope.stream

    @property
    def key(self) -> str:
        """The name of the key that was last used for the target that the call is about; empty where none was."""
        return next((made.key for made in reversed(self.trail) if made.fallback == self.fallback), "")

    @property
    def request(self) -> JsonObject:
        """The request in the common shape, decoded on first use. Setting it marks the call as changed.

        Whoever changes it in place sets it again (``call.request = request``), or the provider never sees the change.
        """
        if self._common is None:
            wire = _decoded(self.body)
            wire.pop("fallbacks", None)
            self._common = self.format.decode_request(wire)
        return self._common

    @request.setter
    def request(self, common: JsonObject) -> None:
        self._common = common
        self.changed = True


def _decoded(body: bytes) -> JsonObject:
    """A body that was scanned, as objects. Raises InvalidField for a number that no program can hold, BodyTooLarge."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_DECODED:
        raise BodyTooLarge(
            f"the request holds more than {MAX_DECODED} values, too many to be translated", code="too_many_values"
        )
    try:
        wire: JsonObject = msgspec.json.decode(body)
    except msgspec.DecodeError:
        for name, value in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items():
            try:
                msgspec.json.decode(value)
            except msgspec.DecodeError:
                raise InvalidField("this holds a number that is too large", name) from None
        raise
    return wire


Station: TypeAlias = Callable[[Call, Reply], Awaitable[None]]
