"""What the content of a message of the common shape says, whatever form it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["data_url", "member", "objects", "reasoning_of", "split_data_url", "text_of"]


def member(value: Any, name: str) -> Any:
    """The member of an object; None where there is none, or where ``value`` is no object at all."""
    return value.get(name) if isinstance(value, dict) else None


def objects(value: Any) -> list[JsonObject]:
    """The objects of a list; none where ``value`` is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(content: Any) -> str:
    """The text of ``content``: itself, or the text parts of a list joined without anything between them."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return "".join([text for text in texts if isinstance(text, str)])


def reasoning_of(message: JsonObject) -> str:
    """The thinking in a message or a delta; providers call it ``reasoning_content``, ``reasoning``, or make it a part.

    The part is Mistral's: ``{"type": "thinking", "thinking": [{"type": "text", "text": …}]}``.
    """
    for name in ("reasoning_content", "reasoning"):
        text = message.get(name)
        if isinstance(text, str) and text:
            return text
    content = message.get("content")
    if not isinstance(content, list):
        return ""
    parts = [part.get("thinking") for part in content if isinstance(part, dict) and part.get("type") == "thinking"]
    return "".join([text_of(part) for part in parts])


def data_url(media_type: str, payload: str) -> str:
    """A base64 data URL (RFC 2397)."""
    return f"data:{media_type};base64,{payload}"


def split_data_url(url: str) -> tuple[str, str] | None:
    """Media type and payload of a base64 data URL (RFC 2397); None for any other URL."""
    head, comma, payload = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return head[5:-7].partition(";")[0], payload
