"""One content part of the common shape, one content block of Anthropic's.

A text block is a text part: the same dict serves both. What OpenAI has no part for stays the block that it is.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from bifrost_trio.formats.content import data_url, split_data_url

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["decode_part", "encode_part", "encode_parts"]

_TEXT = frozenset(("type", "text", "cache_control", "citations"))
_MARKS = ("cache_control", "citations", "context")
_FOREIGN = frozenset(("input_audio", "audio", "audio_url", "video_url", "document_url", "file_url"))
"""Part types of other providers that Anthropic has no block for."""


def decode_part(block: JsonObject) -> JsonObject:
    """A block of a user's turn, of a system prompt or of a tool result as a content part."""
    kind = block.get("type")
    source = block.get("source")
    if kind == "image" and isinstance(source, dict):
        return _decode_image(block, source)
    if kind == "document" and isinstance(source, dict):
        return _decode_document(block, source)
    return block


def _decode_image(block: JsonObject, source: JsonObject) -> JsonObject:
    if source.get("type") == "base64":
        url = data_url(source.get("media_type", ""), source.get("data", ""))
    elif source.get("type") == "url":
        url = source.get("url", "")
    else:
        return block
    return {"type": "image_url", "image_url": {"url": url}, **_marks(block)}


def _decode_document(block: JsonObject, source: JsonObject) -> JsonObject:
    kind = source.get("type")
    file: JsonObject = {}
    if kind == "base64":
        file["file_data"] = data_url(source.get("media_type", ""), source.get("data", ""))
    elif kind == "text":
        file["file_text"] = source.get("data", "")
    elif kind == "url":
        file["file_url"] = source.get("url", "")
    elif kind == "file":
        file["file_id"] = source.get("file_id", "")
    else:
        return block
    if block.get("title") is not None:
        file["filename"] = block["title"]
    return {"type": "file", "file": file, **_marks(block)}


def _marks(part: JsonObject) -> JsonObject:
    return {name: part[name] for name in _MARKS if part.get(name) is not None}


def encode_parts(content: list[Any], path: str, dropped: list[str]) -> list[JsonObject]:
    """A list of content parts as blocks, without those that Anthropic cannot take."""
    parts = [encode_part(part, f"{path}[{n}]", dropped) for n, part in enumerate(content)]
    return [part for part in parts if part is not None]


def encode_part(part: Any, path: str, dropped: list[str]) -> JsonObject | None:
    """A content part as a block; None for an empty text (Anthropic refuses those) and for what was dropped."""
    if isinstance(part, str):
        return {"type": "text", "text": part} if part else None
    if not isinstance(part, dict):
        dropped.append(path)
        return None
    kind = part.get("type")
    if kind == "text":
        return _encode_text(part, path, dropped)
    if kind == "image_url":
        block = _encode_image(part, path, dropped)
    elif kind == "file":
        block = _encode_file(part, path, dropped)
    elif kind == "refusal":
        return {"type": "text", "text": part["refusal"]} if part.get("refusal") else None
    else:
        block = None if str(kind) in _FOREIGN else part
    if block is None:
        dropped.append(path)
    return block


def _encode_text(part: JsonObject, path: str, dropped: list[str]) -> JsonObject | None:
    if not part.get("text"):
        return None
    if len(part) == 2:
        return part
    block: JsonObject = {}
    for name, value in part.items():
        if value is None:
            continue
        if name in _TEXT:
            block[name] = value
        elif name == "prompt_cache_breakpoint":
            block.setdefault("cache_control", {"type": "ephemeral"})
        else:
            dropped.append(f"{path}.{name}")
    return block


def _finish(block: JsonObject, part: JsonObject) -> JsonObject:
    block.update(_marks(part))
    if part.get("prompt_cache_breakpoint") is not None:
        block.setdefault("cache_control", {"type": "ephemeral"})
    return block


def _encode_image(part: JsonObject, path: str, dropped: list[str]) -> JsonObject | None:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    source = _source(url) if isinstance(url, str) else None
    if source is None:
        return None
    if isinstance(image, dict) and image.get("detail") not in (None, "auto"):
        dropped.append(f"{path}.image_url.detail")
    return _finish({"type": "image", "source": source}, part)


def _source(url: str) -> JsonObject | None:
    """Where an image or a PDF comes from; None for a URL that Anthropic cannot read."""
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    data = split_data_url(url)
    return None if data is None else {"type": "base64", "media_type": data[0], "data": data[1]}


def _encode_file(part: JsonObject, path: str, dropped: list[str]) -> JsonObject | None:
    file = part.get("file")
    source = _file_source(file) if isinstance(file, dict) else None
    if source is None or not isinstance(file, dict):
        return None
    if str(source.get("media_type", "")).startswith("image/"):
        return _finish({"type": "image", "source": source}, part)
    block: JsonObject = {"type": "document", "source": source}
    if file.get("filename") is not None:
        block["title"] = file["filename"]
    return _finish(block, part)


def _file_source(file: JsonObject) -> JsonObject | None:
    if isinstance(file.get("file_text"), str):
        return {"type": "text", "media_type": "text/plain", "data": file["file_text"]}
    if isinstance(file.get("file_url"), str):
        return {"type": "url", "url": file["file_url"]}
    if isinstance(file.get("file_id"), str):
        return {"type": "file", "file_id": file["file_id"]}
    data = file.get("file_data")
    return _data_source(data) if isinstance(data, str) and data else None


def _data_source(data: str) -> JsonObject | None:
    if data.startswith(("http://", "https://")):
        return {"type": "url", "url": data}
    if not data.startswith("data:"):
        return {"type": "base64", "media_type": "application/pdf", "data": data}
    source = _source(data)
    if source is None or not source["media_type"].startswith("text/"):
        return source
    try:
        text = base64.b64decode(source["data"]).decode()
    except (binascii.Error, ValueError):
        return None
    return {"type": "text", "media_type": "text/plain", "data": text}
