"""Content blocks of an Anthropic stream, one open at a time.

OpenAI may send the pieces of parallel tool calls in any order, Anthropic's clients know one open block. So each block
has a lane; only the first lane is written, the others wait. The first one closes, and the next is written, as soon as
nothing more can come in it: text and thinking at once, a tool call when its arguments are whole JSON. Tool calls that
come one after the other, as they nearly always do, are therefore written as they arrive.

Arguments that do not begin as an object are held back to their end: Anthropic's clients parse each piece, and an input
is always an object. So "null" becomes none, and anything else a member of one, as in a whole answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bifrost_trio.errors import MalformedAnswer
from bifrost_trio.formats.anthropic.turns import RAW_ARGUMENTS
from bifrost_trio.formats.codec import DecodeError, compact, decode
from bifrost_trio.formats.events import named_frame

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["Lanes"]


MAX_HELD = 16 * 1024 * 1024
"""Characters that are kept of a stream: the arguments of its tool calls, and what waits behind them."""


class _Lane:
    __slots__ = ("arguments", "block", "key", "tool", "waiting")

    def __init__(self, key: Any, block: JsonObject, tool: bool) -> None:
        self.key = key
        self.block = block
        self.tool = tool
        self.arguments: list[str] = []
        self.waiting: list[JsonObject] = []

    @property
    def odd(self) -> bool:
        """Whether these arguments are no object."""
        return bool(self.arguments) and not self.arguments[0].lstrip().startswith("{")

    def take(self, text: str) -> bool:
        """Takes a piece of the arguments; whether it may be written."""
        if text.strip() or self.odd:
            self.arguments.append(text)
        return bool(self.arguments) and not self.odd

    def odd_input(self) -> JsonObject | None:
        """What stands for odd arguments; None for no input."""
        text = "".join(self.arguments)
        return None if text.strip() == "null" else {RAW_ARGUMENTS: text}

    def may_close(self) -> bool:
        if not self.tool:
            return True
        if self.odd:
            return self.odd_input() is None
        if not self.arguments or not self.arguments[-1].rstrip().endswith("}"):
            return False  # cheaper than to read all of it at each piece
        try:
            decode("".join(self.arguments))
        except (DecodeError, UnicodeEncodeError):
            return False
        return True


class Lanes:
    """The blocks of one stream. Each method returns the frames that may be sent now."""

    __slots__ = ("_closed", "_held", "_index", "_lanes")

    def __init__(self) -> None:
        self._lanes: list[_Lane] = []
        self._closed: set[Any] = set()
        self._held = 0
        self._index = 0

    def last(self) -> Any:
        """The key of the block begun last, if it may still go on."""
        return self._lanes[-1].key if self._lanes else None

    def seal(self, key: Any) -> None:
        """Renames the block begun last, so that nothing of its old key is added to it."""
        self._lanes[-1].key = key

    def begin(self, key: Any, block: JsonObject, tool: bool = False) -> list[bytes]:
        """Begins a block behind all others."""
        lane = _Lane(key, block, tool)
        self._lanes.append(lane)
        return [self._open(lane)] if len(self._lanes) == 1 else self._advance()

    def add(self, key: Any, delta: JsonObject) -> list[bytes]:
        """Adds a delta to a block that has begun. Raises MalformedAnswer if it was whole already."""
        lane = next((lane for lane in self._lanes if lane.key == key), None)
        text = delta.get("partial_json")
        if lane is None:
            if isinstance(text, str) and text.strip():
                raise MalformedAnswer("The provider's stream goes on with a tool call whose arguments were complete.")
            return []
        if lane.tool or lane is not self._lanes[0]:
            self._held += sum(len(value) for value in delta.values() if isinstance(value, str))
            if self._held > MAX_HELD:
                raise MalformedAnswer(f"The provider's tool calls are longer than {MAX_HELD} characters.")
        if lane.tool and isinstance(text, str) and not lane.take(text):
            frames: list[bytes] = []
        elif lane is self._lanes[0]:
            frames = [self._delta(delta)]
        else:
            lane.waiting.append(delta)
            frames = []
        return frames + self._advance() if len(self._lanes) > 1 else frames

    def close_all(self) -> list[bytes]:
        """The end: what waits is written, whether whole or not."""
        frames: list[bytes] = []
        while self._lanes:
            frames += self._next()
        return frames

    def _advance(self) -> list[bytes]:
        frames: list[bytes] = []
        while len(self._lanes) > 1 and self._lanes[0].may_close():
            frames += self._next()
        return frames

    def _next(self) -> list[bytes]:
        """Closes the first lane and opens the one behind it."""
        lane = self._lanes.pop(0)
        self._closed.add(lane.key)
        frames = self._odd_input(lane)
        frames.append(named_frame("content_block_stop", {"type": "content_block_stop", "index": self._index}))
        self._index += 1
        if self._lanes:
            lane = self._lanes[0]
            frames.append(self._open(lane))
            frames += [self._delta(delta) for delta in lane.waiting]
            lane.waiting.clear()
        return frames

    def _odd_input(self, lane: _Lane) -> list[bytes]:
        value = lane.odd_input() if lane.odd else None
        return [self._delta({"type": "input_json_delta", "partial_json": compact(value)})] if value else []

    def _open(self, lane: _Lane) -> bytes:
        event = {"type": "content_block_start", "index": self._index, "content_block": lane.block}
        return named_frame("content_block_start", event)

    def _delta(self, delta: JsonObject) -> bytes:
        event = {"type": "content_block_delta", "index": self._index, "delta": delta}
        return named_frame("content_block_delta", event)
