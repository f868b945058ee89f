"""The event stream of OpenAI's chat completions and completions: chunks, then ``[DONE]``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bifrost_trio.errors import ConnectionBroken, MalformedAnswer
from bifrost_trio.formats.codec import DecodeError, decode
from bifrost_trio.formats.events import DONE, data_frame
from bifrost_trio.formats.openai_errors import stream_fault

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["ChunkDecoder", "ChunkEncoder", "check_choice"]


def check_choice(choice: Any, member: str) -> None:
    """A choice has the structure on which translations rely. Raises MalformedAnswer."""
    message = choice.get(member) if isinstance(choice, dict) else 0
    if message is not None and not isinstance(message, dict):
        raise MalformedAnswer("The provider's answer holds a choice that is none.")
    calls = message.get("tool_calls") if message else None
    if calls is None:
        return
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise MalformedAnswer("The provider's answer holds tool calls that are none.")
    for call in calls:
        function = call.get("function")
        if function is not None and not isinstance(function, dict):
            raise MalformedAnswer("The provider's answer holds a tool call without a function.")


class ChunkDecoder:
    """A provider's events in, the same chunks out. ``finish`` knows whether the stream was whole."""

    __slots__ = ("_complete",)

    def __init__(self) -> None:
        self._complete = False

    def decode(self, event: str, data: bytes) -> Iterable[JsonObject]:
        """Raises MalformedAnswer on data that is not a chunk, StreamFault on an error frame."""
        if data == b"[DONE]":
            self._complete = True
            return ()
        try:
            chunk = decode(data)
        except DecodeError:
            if data.strip() == b"[DONE]":
                self._complete = True
                return ()
            raise MalformedAnswer("The provider's stream holds an event that is not JSON.") from None
        if not isinstance(chunk, dict):
            raise MalformedAnswer("The provider's stream holds a chunk that is not an object.")
        if event == "error" or chunk.get("error") is not None:
            raise stream_fault(data)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            if "usage" not in chunk and "object" not in chunk:
                raise MalformedAnswer("The provider's stream holds a chunk without choices.")
            chunk["choices"] = choices = []
        for choice in choices:
            check_choice(choice, "delta")
            if choice.get("finish_reason"):
                self._complete = True
        return (chunk,)

    def finish(self) -> Iterable[JsonObject]:
        """Raises ConnectionBroken if neither a finish reason nor ``[DONE]`` has come."""
        if not self._complete:
            raise ConnectionBroken("The provider's stream ended before the answer did.")
        return ()


class ChunkEncoder:
    """Chunks in, frames out. A chunk with nothing but usage is sent only to a client that asked for it."""

    __slots__ = ("_usage",)

    def __init__(self, common_request: JsonObject) -> None:
        options = common_request.get("stream_options")
        self._usage = isinstance(options, dict) and options.get("include_usage") is True

    def encode(self, chunk: JsonObject) -> bytes:
        if not self._usage and not chunk.get("choices") and chunk.get("usage") is not None:
            return b""
        if "early_usage" in chunk:
            chunk = {name: value for name, value in chunk.items() if name != "early_usage"}
        return data_frame(chunk)

    def finish(self) -> bytes:
        return DONE
