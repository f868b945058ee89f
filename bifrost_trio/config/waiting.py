"""Members that are read and checked, but that no station acts on yet: refused rather than ignored.

Whoever makes a station act on one takes its row out. (`values.Later` marks members whose shape is not checked either.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from bifrost_trio.config.findings import Finding, Path

__all__ = ["EVERYWHERE", "OF_A_PROVIDER", "waiting_members"]

_Members: TypeAlias = Mapping[tuple[str, str], tuple[Any, ...]]
"""Member → the values that ask for nothing: Bifrost's default and ours."""

EVERYWHERE: Final[_Members] = {
    ("client", "prometheus_labels"): ([],),
}
OF_A_PROVIDER: Final[_Members] = {
    ("network_config", "enforce_http2"): (False,),
    ("openai_config", "disable_store"): (False,),
    ("proxy_config", "type"): ("none",),
}


def waiting_members(data: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _asked_for(data, EVERYWHERE, ())
    providers = data.get("providers")
    for name, entry in providers.items() if isinstance(providers, dict) else ():
        if isinstance(entry, dict):
            yield from _asked_for(entry, OF_A_PROVIDER, ("providers", name))


def _asked_for(data: Mapping[str, Any], waiting: _Members, at: Path) -> Iterator[Finding]:
    for (part, member), nothing in waiting.items():
        inner = data.get(part)
        value = inner.get(member) if isinstance(inner, dict) else None
        if value is not None and value not in nothing:
            yield Finding((*at, part, member), "not yet supported by this version")
