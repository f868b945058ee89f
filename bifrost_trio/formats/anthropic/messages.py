"""The two languages of Anthropic's as formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bifrost_trio.errors import GatewayError, MalformedAnswer, StreamFault
from bifrost_trio.formats.anthropic import answer, errors
from bifrost_trio.formats.anthropic.request_in import decode_request
from bifrost_trio.formats.anthropic.request_out import encode_request
from bifrost_trio.formats.anthropic.stream_in import AnthropicDecoder
from bifrost_trio.formats.anthropic.stream_out import AnthropicEncoder
from bifrost_trio.formats.content import member
from bifrost_trio.formats.events import EVENT_STREAM

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject, StreamDecoder, StreamEncoder

__all__ = ["anthropic", "anthropic_count_tokens"]

_COUNTED = frozenset(
    (
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
        "context_management",
        "mcp_servers",
        "speed",
    )
)
"""What ``count_tokens`` takes of a Messages request; the rest does not change the count."""


class Anthropic:
    """The Messages API."""

    name: str = "anthropic"
    stream_type: bytes = EVENT_STREAM
    framing: str = "sse"

    def decode_request(self, wire: JsonObject) -> JsonObject:
        return decode_request(wire)

    def encode_request(self, common: JsonObject, dropped: list[str]) -> JsonObject:
        """``common["model"]`` should be the provider's own name by then: how to ask for thinking depends on it."""
        return encode_request(common, dropped)

    def decode_answer(self, wire: JsonObject) -> JsonObject:
        return answer.decode_answer(wire)

    def encode_answer(self, common: JsonObject) -> JsonObject:
        return answer.encode_answer(common)

    def stream_decoder(self) -> StreamDecoder:
        return AnthropicDecoder()

    def stream_encoder(self, common_request: JsonObject) -> StreamEncoder:
        return AnthropicEncoder(common_request)

    def decode_error(self, status: int, body: bytes) -> tuple[str, str | None, str | None, str | None]:
        return errors.decode_error(status, body)

    def decode_stream_error(self, frame: bytes) -> StreamFault:
        return errors.stream_fault(frame)

    def encode_error(self, error: GatewayError) -> bytes:
        return errors.encode_error(error)

    def encode_stream_error(self, error: GatewayError) -> bytes:
        return errors.encode_stream_error(error)


class AnthropicCountTokens(Anthropic):
    """A Messages request without ``max_tokens``; the answer, ``{"input_tokens": n}``, is common as it is."""

    name: str = "anthropic_count_tokens"

    def encode_request(self, common: JsonObject, dropped: list[str]) -> JsonObject:
        wire = encode_request(common, dropped)
        dropped += [name for name in wire if name not in _COUNTED and name != "max_tokens"]
        return {name: value for name, value in wire.items() if name in _COUNTED}

    def decode_answer(self, wire: JsonObject) -> JsonObject:
        if not isinstance(member(wire, "input_tokens"), int):
            raise MalformedAnswer("The provider's answer has no input_tokens.")
        return wire

    def encode_answer(self, common: JsonObject) -> JsonObject:
        return common


anthropic = Anthropic()
anthropic_count_tokens = AnthropicCountTokens()
