"""What must hold between members. Each rule reads the file's own values, whatever else is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bifrost_trio.config.findings import Finding

__all__ = ["broken_rules"]


def broken_rules(data: Mapping[str, Any]) -> Iterator[Finding]:
    return iter(())
