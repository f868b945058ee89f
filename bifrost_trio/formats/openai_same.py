"""OpenAI's other languages. They are spoken from end to end: read and written unchanged, with OpenAI's errors.

Translation to and from the common shape is not offered for them; a request of one of them to a provider of another
format is refused before any of this is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bifrost_trio.errors import ConnectionBroken, GatewayError, MalformedAnswer, StreamFault
from bifrost_trio.formats import openai_errors
from bifrost_trio.formats.codec import DecodeError, decode
from bifrost_trio.formats.content import member
from bifrost_trio.formats.events import named_frame
from bifrost_trio.formats.openai_language import OpenAILanguage

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject, StreamDecoder, StreamEncoder

__all__ = ["openai_completions", "openai_embeddings", "openai_responses"]


class OpenAISame(OpenAILanguage):
    """A language whose requests and answers are passed on; ``member`` is the one that every answer has."""

    name: str

    def __init__(self, name: str, member: str) -> None:
        self.name = name
        self._member = member

    def decode_request(self, wire: JsonObject) -> JsonObject:
        return wire

    def encode_request(self, common: JsonObject, dropped: list[str]) -> JsonObject:
        return {name: value for name, value in common.items() if value is not None}

    def decode_answer(self, wire: JsonObject) -> JsonObject:
        """The same. Raises MalformedAnswer on another object."""
        if not isinstance(member(wire, self._member), list):
            raise MalformedAnswer(f"The provider's answer has no {self._member}.")
        return wire


class _Responses(OpenAISame):
    """The Responses API: its events have names, and its streams no ``[DONE]``."""

    def stream_decoder(self) -> StreamDecoder:
        return ResponsesDecoder()

    def stream_encoder(self, common_request: JsonObject) -> StreamEncoder:
        return ResponsesEncoder()

    def decode_stream_error(self, frame: bytes) -> StreamFault:
        wire = decode(frame)
        failed = isinstance(wire, dict) and wire.get("type") == "response.failed"
        return _failed(wire, frame) if failed else openai_errors.stream_fault(frame)

    def encode_stream_error(self, error: GatewayError) -> bytes:
        members = openai_errors.error_members(error)
        event = {"type": "error", "code": members["code"] or members["type"], "message": members["message"]}
        return named_frame("error", {**event, "param": members["param"], "sequence_number": 0})


class ResponsesDecoder:
    """Events in, the same events out (platform.openai.com, "Streaming events" of the Responses API)."""

    __slots__ = ("_complete",)

    def __init__(self) -> None:
        self._complete = False

    def decode(self, event: str, data: bytes) -> Iterable[JsonObject]:
        """Raises MalformedAnswer on data that is not an event, StreamFault on ``error`` and ``response.failed``."""
        if data.strip() == b"[DONE]":  # some compatible providers send it
            return ()
        try:
            wire = decode(data)
        except DecodeError:
            raise MalformedAnswer("The provider's stream holds an event that is not JSON.") from None
        if not isinstance(wire, dict):
            raise MalformedAnswer("The provider's stream holds an event that is not an object.")
        kind = wire.setdefault("type", event)
        if kind == "error" or wire.get("error") is not None:
            raise openai_errors.stream_fault(data)
        if kind == "response.failed":
            raise _failed(wire, data)
        if kind in ("response.completed", "response.incomplete"):
            self._complete = True
        return (wire,)

    def finish(self) -> Iterable[JsonObject]:
        """Raises ConnectionBroken if the response was neither completed nor declared incomplete."""
        if not self._complete:
            raise ConnectionBroken("The provider's stream ended before the response did.")
        return ()


def _failed(wire: JsonObject, data: bytes) -> StreamFault:
    response = wire.get("response")
    inner = response.get("error") if isinstance(response, dict) else None
    return openai_errors.stream_fault(data, inner if isinstance(inner, dict) else {"message": "The response failed."})


class ResponsesEncoder:
    __slots__ = ()

    def encode(self, chunk: JsonObject) -> bytes:
        return named_frame(str(chunk.get("type") or "message"), chunk)

    def finish(self) -> bytes:
        return b""


openai_completions = OpenAISame("openai_completions", "choices")
openai_embeddings = OpenAISame("openai_embeddings", "data")
openai_responses = _Responses("openai_responses", "output")
