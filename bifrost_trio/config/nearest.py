"""The known name that an unknown one was meant to be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["distance", "nearest"]

_OTHER_WORDS: Final = {
    "apikey": "value",
    "key": "value",
    "secret": "value",
    "token": "value",
    "apibase": "base_url",
    "endpoint": "base_url",
    "url": "base_url",
    "timeout": "default_request_timeout_in_seconds",
    "requesttimeout": "default_request_timeout_in_seconds",
    "retries": "max_retries",
    "headers": "extra_headers",
    "proxy": "proxy_config",
    "allowedmodels": "models",
    "module": "path",
    "listen": "host",
    "bind": "host",
    "cert": "certfile",
}
"""What other gateways call it."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name within a few slips of ``name``: letters, case, ``-`` for ``_``, singular for plural."""
    names = list(known)
    plain = _plain(name)
    best = min(names, key=lambda other: distance(plain, _plain(other)), default=None)
    if best is not None and distance(plain, _plain(best)) <= max(1, min(len(plain), len(_plain(best))) // 3):
        return best
    if _OTHER_WORDS.get(plain) in names:
        return _OTHER_WORDS[plain]
    return _with_the_same_words(name, names)


def _with_the_same_words(name: str, known: list[str]) -> str | None:
    """Such as ``connect_timeout`` in ``connect_timeout_in_seconds``, ``blacklist`` in ``blacklisted_models``."""
    words = _words(name)
    holding = [other for other in known if all(_begins_one_of(word, _words(other)) for word in words)]
    return min(holding, key=len) if holding and len("".join(words)) > 2 else None


def _begins_one_of(word: str, words: list[str]) -> bool:
    return any(word == other or (len(word) > 3 and other.startswith(word)) for other in words)


def distance(left: str, right: str) -> int:
    """Edits from one to the other: a letter more, less, another, or two swapped (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _words(name: str) -> list[str]:
    """``baseUrl``, ``base-url`` and ``base_urls`` alike: ``base``, ``url``."""
    parts = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    return [re.sub("ies$", "y", part).removesuffix("s") for part in parts if part]
