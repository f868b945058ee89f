"""``env.NAME`` in the file, and a configuration made from the environment alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationInfo

from bifrost_trio.catalog import PROVIDERS, Provider
from bifrost_trio.config.plain import refuse

__all__ = ["REFERENCE", "from_environment", "origin", "resolve", "resolve_deep"]

REFERENCE: Final = re.compile(r"env\.([A-Za-z_][A-Za-z0-9_]*)")


def resolve(text: str, info: ValidationInfo) -> str:
    """``text``, or the value of the variable that it names as ``env.NAME``.

    The variables are those that `load` was given (``context["environ"]``), never the process's own: what did not come
    from the file cannot read the environment.
    """
    if not text.startswith("env."):
        return text
    return _looked_up(text, info)


def origin(text: str) -> str:
    """For a message about the value: which variable it came from, if it did."""
    match = REFERENCE.fullmatch(text)
    return f" (from the environment variable {match[1]})" if match else ""


def _looked_up(text: str, info: ValidationInfo) -> str:
    match = REFERENCE.fullmatch(text)
    if match is None:
        raise refuse("after 'env.' stands the name of an environment variable: letters, digits and '_'")
    name = match[1]
    environ: Mapping[str, str] = (info.context or {}).get("environ", {})
    if name not in environ:
        raise refuse(f"the environment variable {name} is not set")
    if not environ[name].strip():
        raise refuse(f"the environment variable {name} is empty")
    return environ[name]


def resolve_deep(value: Any, info: ValidationInfo) -> Any:
    """``value`` with every string in it that is a whole ``env.NAME`` replaced."""
    if isinstance(value, dict):
        return {name: resolve_deep(member, info) for name, member in value.items()}
    if isinstance(value, list):
        return [resolve_deep(item, info) for item in value]
    if isinstance(value, str) and REFERENCE.fullmatch(value):
        return resolve(value, info)
    return value


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The content of a file that names each provider whose usual variable is set, such as ``OPENAI_API_KEY``.

    ``NAME_BASE_URL`` beside it is heeded where the catalogue knows it. A provider that needs no key is named when its
    address is given.
    """
    providers = {}
    for row in PROVIDERS.values():
        entry = _provider(row, environ)
        if entry is not None:
            providers[row.name] = entry
    return {"version": 2, "providers": providers}


def _provider(row: Provider, environ: Mapping[str, str]) -> dict[str, Any] | None:
    key = _first(row.environment, environ)
    url = _first(row.base_url_environment, environ)
    if url is None and row.base_url is None:
        return None
    if key is None and (url is None or not row.key_less):
        return None
    entry: dict[str, Any] = {}
    if key is not None:
        entry["keys"] = [{"name": key, "value": f"env.{key}", "models": ["*"]}]
    if url is not None:
        entry["network_config"] = {"base_url": f"env.{url}"}
    return entry


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((name for name in names if environ.get(name, "").strip()), None)
