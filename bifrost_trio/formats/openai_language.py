"""What OpenAI's languages have in common: answers are written as they are, streams are chunks, errors are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bifrost_trio.errors import GatewayError, StreamFault
from bifrost_trio.formats import openai_errors
from bifrost_trio.formats.events import EVENT_STREAM
from bifrost_trio.formats.openai_stream import ChunkDecoder, ChunkEncoder

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject, StreamDecoder, StreamEncoder

__all__ = ["OpenAILanguage"]


class OpenAILanguage:
    """The members of `bifrost_trio.types.Format` that are the same in all of them."""

    stream_type: bytes = EVENT_STREAM
    framing: str = "sse"

    def encode_answer(self, common: JsonObject) -> JsonObject:
        return common

    def stream_decoder(self) -> StreamDecoder:
        return ChunkDecoder()

    def stream_encoder(self, common_request: JsonObject) -> StreamEncoder:
        return ChunkEncoder(common_request)

    def decode_error(self, status: int, body: bytes) -> tuple[str, str | None, str | None, str | None]:
        return openai_errors.decode_error(status, body)

    def decode_stream_error(self, frame: bytes) -> StreamFault:
        return openai_errors.stream_fault(frame)

    def encode_error(self, error: GatewayError) -> bytes:
        return openai_errors.encode_error(error)

    def encode_stream_error(self, error: GatewayError) -> bytes:
        return openai_errors.encode_stream_error(error)
