"""What is found wrong, before it is known where it stands."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

__all__ = ["Finding", "Path", "dotted"]

Path: TypeAlias = tuple[str | int, ...]


class Finding(NamedTuple):
    path: Path
    message: str
    hint: str | None = None


def dotted(path: Path) -> str:
    """``providers.openai.keys[0].value``; a name that is not a plain word stands in brackets and quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("-", "_").replace("$", "_").isidentifier():
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text
