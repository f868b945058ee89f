"""Messages of the common shape without what OpenAI's chat completions do not know."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from bifrost_trio.formats.content import member, text_of

if TYPE_CHECKING:
    from bifrost_trio.types import JsonObject

__all__ = ["translate_messages"]

_PLAIN = {"system": frozenset(("role", "content")), "user": frozenset(("role", "content"))}
_TOOL = frozenset(("role", "content", "tool_call_id"))
_ASSISTANT = frozenset(("role", "content", "tool_calls"))
_CALL = frozenset(("id", "type", "function"))
_DERIVED = frozenset(("annotations", "content_blocks"))
"""Members that repeat what others say; `_blocks` names what is lost with them."""


def translate_messages(messages: list[JsonObject], accepts: Set[str], dropped: list[str]) -> list[JsonObject]:
    """Images and files of tool results, which OpenAI takes only from the user, follow in a message of the user's."""
    out: list[JsonObject] = []
    moved: list[JsonObject] = []
    for n, message in enumerate(messages):
        path = f"messages[{n}]"
        role = message.get("role")
        if role != "tool" and moved:
            out.append({"role": "user", "content": moved})
            moved = []
        if role == "tool":
            out.append(_tool(message, path, accepts, moved, dropped))
        elif role == "assistant":
            out.append(_assistant(message, path, accepts, dropped))
        else:
            out += _plain(message, path, accepts, dropped)
    if moved:
        out.append({"role": "user", "content": moved})
    return out


def _keep(message: JsonObject, known: Set[str], path: str, accepts: Set[str], dropped: list[str]) -> JsonObject:
    kept: JsonObject = {}
    for name, value in message.items():
        if name in known or name in accepts:
            kept[name] = value
        elif value not in (None, False, "", []):
            dropped.append(f"{path}.{name}")
    return kept


def _plain(message: JsonObject, path: str, accepts: Set[str], dropped: list[str]) -> list[JsonObject]:
    kept = _keep(message, _PLAIN.get(str(message.get("role")), _PLAIN["user"]), path, accepts, dropped)
    content = kept.get("content")
    if isinstance(content, list):
        kept["content"] = _parts(content, path, accepts, dropped)
        if not kept["content"]:
            return []
    return [kept]


def _parts(content: list[Any], path: str, accepts: Set[str], dropped: list[str]) -> list[JsonObject]:
    parts = [_part(part, f"{path}.content[{n}]", accepts, dropped) for n, part in enumerate(content)]
    return [part for part in parts if part is not None]


def _part(part: JsonObject, path: str, accepts: Set[str], dropped: list[str]) -> JsonObject | None:
    kind = part.get("type")
    if kind == "text":
        kept: JsonObject | None = part if len(part) == 2 else {"type": "text", "text": part.get("text", "")}
    elif kind == "image_url":
        kept = {"type": "image_url", "image_url": part["image_url"]}
    elif kind == "file":
        kept = _file(part["file"], path, dropped)
    elif kind in ("search_result", "document"):
        return _readable(part, path, dropped)
    else:
        kept = None
    if kept is None:
        dropped.append(path)
        return None
    for name, value in part.items():
        if name not in ("type", "text", "image_url", "file") and value is not None:
            if name in accepts:
                kept[name] = value
            else:
                dropped.append(f"{path}.{name}")
    return kept


def _readable(part: JsonObject, path: str, dropped: list[str]) -> JsonObject | None:
    """Anthropic's search results, and documents made of blocks, as the text that is in them."""
    source = part.get("source")
    content = part.get("content") if part["type"] == "search_result" else member(source, "content")
    text = text_of(content)
    if not text:
        dropped.append(path)
        return None
    heads = [word for word in (part.get("title"), source) if isinstance(word, str)]
    known = ("type", "title", "source", "content")
    dropped += [f"{path}.{name}" for name, value in part.items() if value is not None and name not in known]
    return {"type": "text", "text": "\n".join([*heads, text])}


def _file(file: JsonObject, path: str, dropped: list[str]) -> JsonObject | None:
    """OpenAI reads files from base64 or by id; plain text becomes a text part; it fetches no URL."""
    if "file_text" in file:
        if file.get("filename") is not None:
            dropped.append(f"{path}.file.filename")
        return {"type": "text", "text": file["file_text"]}
    if "file_data" in file:
        return {"type": "file", "file": {"filename": "document.pdf", **file}}
    if "file_id" in file:
        if file.get("filename") is not None:
            dropped.append(f"{path}.file.filename")
        return {"type": "file", "file": {"file_id": file["file_id"]}}
    return None


def _tool(message: JsonObject, path: str, accepts: Set[str], moved: list[JsonObject], dropped: list[str]) -> JsonObject:
    kept = _keep(message, _TOOL, path, accepts, dropped)
    content = kept.get("content")
    if isinstance(content, list):
        parts = _parts(content, path, accepts, dropped)
        kept["content"] = [part for part in parts if part["type"] == "text"]
        others = [part for part in parts if part["type"] != "text"]
        if others:
            if not kept["content"]:
                kept["content"].append({"type": "text", "text": "(attached to the next message)"})
            moved.append({"type": "text", "text": f"Attachment of the result of tool call {kept.get('tool_call_id')}:"})
            moved += others
        if all(len(part) == 2 for part in kept["content"]):
            kept["content"] = text_of(kept["content"])
    return kept


def _assistant(message: JsonObject, path: str, accepts: Set[str], dropped: list[str]) -> JsonObject:
    kept = _keep(
        {name: value for name, value in message.items() if name not in _DERIVED}, _ASSISTANT, path, accepts, dropped
    )
    blocks = message.get("content_blocks")
    if isinstance(blocks, list):
        _blocks(blocks, path, dropped)
    if "tool_calls" in kept:
        calls = enumerate(kept["tool_calls"])
        kept["tool_calls"] = [_call(call, f"{path}.tool_calls[{n}]", dropped) for n, call in calls]
    elif kept.get("content") is None:
        kept["content"] = ""  # OpenAI takes null only beside tool calls
    return kept


def _blocks(blocks: list[JsonObject], path: str, dropped: list[str]) -> None:
    """Names the blocks, and the marks of text blocks, that the plain members do not repeat."""
    for n, block in enumerate(blocks):
        where, kind = f"{path}.content_blocks[{n}]", block.get("type")
        if kind == "text":
            dropped += [f"{where}.{name}" for name, value in block.items() if value and name not in ("type", "text")]
        elif kind not in ("tool_use", "thinking", "redacted_thinking"):
            dropped.append(where)


def _call(call: JsonObject, path: str, dropped: list[str]) -> JsonObject:
    for name, value in call.items():
        if name not in _CALL and value is not None and value != {"type": "direct"}:
            dropped.append(f"{path}.{name}")
    return {name: value for name, value in call.items() if name in _CALL}
