"""Which JSON codec the formats use: msgspec or orjson, on a chat request of 10 KB and a chunk of 250 bytes.

Run with ``pytest benches/test_codec.py --benchmark-only``. orjson is no dependency; it may be absent.
Also what a translation costs beside the codec.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bifrost_trio.formats import anthropic, openai_chat

Benchmark = Callable[..., Any]


def chat_body(size: int) -> bytes:
    """A request with history, two tools and prose, of about ``size`` bytes."""
    line = 'The quick brown fox "jumps" over the lazy dog — naïvely, 42 times.\n'
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You are a helpful assistant."}]
    arguments = json.dumps({"city": "Paris", "days": [1, 2, 3]})
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    messages.append({"role": "tool", "tool_call_id": "call_1", "content": "sunny"})
    parameters = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "array"}}}
    tool = {"type": "function", "function": {"name": "weather", "description": line, "parameters": parameters}}
    request = {"model": "gpt-5", "temperature": 0.7, "tools": [tool, tool], "messages": messages}
    while len(json.dumps(request)) < size:
        messages.append({"role": "user", "content": [{"type": "text", "text": line * 4}]})
        messages.append({"role": "assistant", "content": line * 3})
    return json.dumps(request, ensure_ascii=False).encode()


def chunk_body() -> bytes:
    choice = {"index": 0, "delta": {"content": " brown fox"}, "logprobs": None, "finish_reason": None}
    chunk = {"id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUv", "object": "chat.completion.chunk", "created": 1760000000}
    more = {"model": "gpt-5-mini-2025-08-07", "system_fingerprint": "fp_44709d6fcb", "choices": [choice]}
    return json.dumps(chunk | more).encode()


BODIES = {"request": chat_body(10_000), "chunk": chunk_body()}


@pytest.fixture(params=["msgspec", "orjson"])
def codec(request: pytest.FixtureRequest) -> tuple[Callable[[bytes], Any], Callable[[Any], bytes]]:
    if request.param == "msgspec":
        return msgspec.json.decode, msgspec.json.Encoder().encode
    orjson = pytest.importorskip("orjson")
    return orjson.loads, orjson.dumps


@pytest.mark.parametrize("body", BODIES)
def test_decode_and_encode(benchmark: Benchmark, codec: Any, body: str) -> None:
    decode, encode = codec
    data = BODIES[body]
    assert json.loads(encode(decode(data))) == json.loads(data)
    benchmark(lambda: encode(decode(data)))


def test_translate_a_request(benchmark: Benchmark) -> None:
    wire = msgspec.json.decode(BODIES["request"])
    translated = benchmark(lambda: anthropic.encode_request(openai_chat.decode_request(wire), []))
    assert len(translated["messages"]) > 0


def test_translate_a_chunk(benchmark: Benchmark) -> None:
    decoder = anthropic.stream_decoder()
    encoder = openai_chat.stream_encoder({})
    usage = {"input_tokens": 1, "output_tokens": 1}
    start = {"type": "message_start", "message": {"id": "msg_1", "model": "claude-sonnet-5", "usage": usage}}
    decoder.decode("message_start", json.dumps(start).encode())
    opened = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    decoder.decode("content_block_start", json.dumps(opened).encode())
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " brown fox"}}
    data = json.dumps(delta).encode()

    def translate() -> bytes:
        return b"".join([encoder.encode(chunk) for chunk in decoder.decode("content_block_delta", data)])

    assert b" brown fox" in translate()
    benchmark(translate)
