"""What a provider's error body says, whatever it is: JSON of any known shape, a page of HTML, text, nothing."""

from __future__ import annotations

import re
from typing import Any

from bifrost_trio.formats.codec import decode

__all__ = ["read_error"]

MAX_TEXT = 500
"""Characters of a body that is not JSON which are shown to a client: enough for a sentence, too few for a page."""

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def read_error(status: int, body: bytes) -> tuple[str, str | None, str | None, str | None]:
    """(message, type, code, param). Never raises.

    Known shapes: ``{"error": {…}}`` (OpenAI, Anthropic, OpenRouter), the same in a list (Google), ``{"error": "…"}``,
    ``{"message": …, "type": …}`` (Mistral, Cohere), ``{"detail": …}`` (FastAPI).
    """
    try:
        value = decode(body)
    except Exception:  # whatever a decoder thinks of these bytes, there is an error to report
        return _text(status, body), None, None, None
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict) and value.get("error") is not None:
        outer, value = value, value["error"]
        if isinstance(value, str):
            return value or _nothing(status), _word(outer.get("type")), _word(outer.get("code")), None
    if not isinstance(value, dict):
        return (value or _nothing(status) if isinstance(value, str) else _nothing(status)), None, None, None
    message = _message(value) or _nothing(status)
    return message, _word(value.get("type")), _word(value.get("code")), _word(value.get("param"))


def _message(value: dict[str, Any]) -> str:
    for name in ("message", "detail", "error_description", "title"):
        found = value.get(name)
        if isinstance(found, str) and found:
            return found
        if isinstance(found, list):
            texts = [item.get("msg") for item in found if isinstance(item, dict)]
            joined = "; ".join([text for text in texts if isinstance(text, str)])
            if joined:
                return joined
        if isinstance(found, dict):
            inner = _message(found)
            if inner:
                return inner
    return ""


def _word(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _nothing(status: int) -> str:
    return f"The provider answered {status} without a message."


def _text(status: int, body: bytes) -> str:
    text = body[: 64 * MAX_TEXT].decode("utf-8", "replace")
    title = _TITLE.search(text)
    if title is not None:
        text = title[1]
    elif text.lstrip()[:1] == "<":
        return _nothing(status)
    text = " ".join(text.split())[:MAX_TEXT]
    return text or _nothing(status)
