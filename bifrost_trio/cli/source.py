"""Which configuration is meant, and where its keys come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bifrost_trio.catalog import PROVIDERS
from bifrost_trio.config import ProviderConfig

__all__ = ["ENVIRONMENT", "find", "key_sources", "no_provider", "problems_in", "title"]

ENVIRONMENT = "environment"
USUAL = ("openai", "anthropic", "gemini", "mistral", "groq", "openrouter")
"""Providers whose variables are named as examples."""


def find(given: Path | None, environ: Mapping[str, str]) -> Path | None:
    """``--config``, else BIFROST_CONFIG, else ``config.json`` here if there is one; None: the environment alone."""
    if given is not None:
        return given
    named = environ.get("BIFROST_CONFIG")
    if named:
        return Path(named)
    here = Path("config.json")
    return here if here.exists() else None


def title(path: Path | None) -> str:
    return ENVIRONMENT if path is None else str(path)


def problems_in(path: Path | None, count: int) -> str:
    return f"{title(path)}: {count} problem{'' if count == 1 else 's'}"


def no_provider(path: Path | None) -> str:
    """What to do where nobody could be asked."""
    variables = ", ".join(PROVIDERS[name].environment[0] for name in USUAL)
    if path is None:
        found = "no provider: the environment has no key of any, and there is no config.json here"
    else:
        found = f'no provider: {path} names none under "providers"'
    return (
        f"{found}\n"
        f"  set the key of one: {variables} ...\n"
        "  or write a configuration: bifrost-trio serve --config FILE\n"
        "  or try it without a key: bifrost-trio serve --demo"
    )


def key_sources(provider: ProviderConfig, content: Mapping[str, Any] | None, path: Path | None) -> list[str]:
    """Where each key in use comes from: its variable, or the file, of which ``content`` is what stands in it."""
    if content is None or path is None:
        return [key.name for key in provider.keys if key.enabled]
    entries = content["providers"][provider.name].get("keys", [])
    return [_source(str(entry.get("value", "")), path) for entry in entries if entry.get("enabled", True)]


def _source(value: str, path: Path) -> str:
    return value.removeprefix("env.") if value.startswith("env.") else path.name
