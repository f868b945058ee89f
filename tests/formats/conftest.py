"""What the tests of the formats share: recordings, event streams taken apart, chunks put together."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bifrost_trio._wire import EventReader

Json = dict[str, Any]


def events(data: bytes) -> list[tuple[str, bytes]]:
    """An event stream as (event, data)."""
    return [(event, payload) for event, payload, _ in EventReader().feed(data)]


def decode_stream(form: Any, data: bytes) -> list[Json]:
    """A provider's stream as chunks; raises what the format's decoder raises."""
    decoder = form.stream_decoder()
    chunks = [chunk for event, payload in events(data) for chunk in decoder.decode(event, payload)]
    return chunks + list(decoder.finish())


def encode_stream(form: Any, chunks: list[Json], request: Json | None = None) -> bytes:
    encoder = form.stream_encoder(request or {})
    return b"".join([encoder.encode(chunk) for chunk in chunks]) + encoder.finish()


def assemble(chunks: list[Json]) -> Json:
    """What a client makes of the chunks of the first choice: text, thinking, calls in order, finish reason, usage."""
    said: Json = {"text": "", "thinking": "", "refusal": "", "calls": {}, "finish": None, "usage": None}
    for chunk in chunks:
        said["usage"] = chunk.get("usage") or said["usage"]
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                said["finish"] = choice.get("finish_reason") or said["finish"]
                _add_delta(said, choice.get("delta") or {})
    said["calls"] = list(said["calls"].values())
    return said


def _add_delta(said: Json, delta: Json) -> None:
    content = delta.get("content")
    for part in content if isinstance(content, list) else [{"type": "text", "text": content or ""}]:
        if part["type"] == "text":
            said["text"] += part["text"]
        elif part["type"] == "thinking":
            said["thinking"] += "".join([piece["text"] for piece in part["thinking"]])
    said["thinking"] += delta.get("reasoning_content") or delta.get("reasoning") or ""
    said["refusal"] += delta.get("refusal") or ""
    for call in delta.get("tool_calls") or ():
        key = call.get("index")
        if call.get("id") and key in said["calls"] and said["calls"][key]["id"] != call["id"]:
            key = (key, call["id"])
        known = said["calls"].setdefault(key, {"id": call.get("id"), "name": "", "arguments": ""})
        function = call.get("function") or {}
        known["name"] = known["name"] or function.get("name") or ""
        known["arguments"] += function.get("arguments") or ""


def read_message(data: bytes) -> Json:
    """What an Anthropic client makes of a stream. It holds the stream to the order that the client relies on."""
    message: Json = {}
    index, block, pieces = -1, None, []
    for event, payload in events(data):
        wire = json.loads(payload)
        kind = wire["type"]
        assert event in (kind, "message")  # some recorders dropped the names
        if kind == "message_start":
            assert not message
            message = wire["message"]
        elif kind == "content_block_start":
            assert block is None, "two blocks are open"
            assert wire["index"] == index + 1
            index, block, pieces = wire["index"], dict(wire["content_block"]), []
            message["content"].append(block)
        elif kind == "content_block_delta":
            assert block is not None
            assert wire["index"] == index
            _add_to_block(block, wire["delta"], pieces)
        elif kind == "content_block_stop":
            assert block is not None
            assert wire["index"] == index
            if pieces:
                block["raw"] = "".join(pieces)
                block["input"] = lenient(block["raw"])
            block = None
        elif kind == "message_delta":
            assert block is None
            message.update(wire["delta"])
            message["usage"] = {**message["usage"], **wire["usage"]}
        elif kind == "message_stop":
            message["stopped"] = True
    assert message.pop("stopped"), "the message was not ended"
    return message


def lenient(text: str) -> Any:
    """The value of arguments, None for those that a limit cut."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return None


def _add_to_block(block: Json, delta: Json, pieces: list[str]) -> None:
    kind = delta["type"]
    if kind == "text_delta":
        block["text"] += delta["text"]
    elif kind == "thinking_delta":
        block["thinking"] += delta["thinking"]
    elif kind == "signature_delta":
        block["signature"] = delta["signature"]
    elif kind == "input_json_delta":
        pieces.append(delta["partial_json"])
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or []), delta["citation"]]


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    return SimpleNamespace(
        events=events,
        decode_stream=decode_stream,
        encode_stream=encode_stream,
        assemble=assemble,
        read_message=read_message,
    )


class Recording:
    """One recorded interaction."""

    def __init__(self, source: str, line: int, row: Json) -> None:
        self.name = f"{source}:{line}"
        self.status: int = row["status"]
        self.streaming: bool = row["streaming"]
        self.request = _json(row["request"])
        self.body = _bytes(row["response"])

    @property
    def answer(self) -> Any:
        return json.loads(self.body)


def _bytes(side: Json) -> bytes:
    body = side.get("body") or ""
    if not isinstance(body, str):
        return json.dumps(body).encode()
    return base64.b64decode(body) if side.get("encoding") == "base64" else body.encode()


def _json(side: Json) -> Json | None:
    try:
        value = json.loads(_bytes(side))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _read(folder: Path, kind: str) -> Iterator[Recording]:
    for file in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as rows:
            for number, row in enumerate(rows, 1):
                if f'"{kind}"' in row:
                    value = json.loads(row)
                    if value["kind"] == kind:
                        yield Recording(file.name.partition(".")[0], number, value)


@pytest.fixture(scope="session")
def recordings(shared_data: Path) -> Callable[[str], list[Recording]]:
    """Every recording of a kind, read once."""
    known: dict[str, list[Recording]] = {}

    def of_kind(kind: str) -> list[Recording]:
        if kind not in known:
            known[kind] = list(_read(shared_data / "recordings", kind))
        assert known[kind], f"no recording of {kind}"
        return known[kind]

    return of_kind
