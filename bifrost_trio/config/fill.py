"""What the file leaves to be understood, written out before it is checked: names, and the lists of version 1."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

__all__ = ["filled", "key_name"]


def filled(data: Any) -> Any:
    """A copy of ``data`` in which each provider and key has its name. What has the wrong type is left as it is."""
    if not isinstance(data, dict) or not isinstance(data.get("providers"), dict):
        return data
    first_version = data.get("version", 2) == 1
    providers = {name: _provider(name, entry, first_version) for name, entry in data["providers"].items()}
    return {**data, "providers": providers}


def key_name(provider: str, index: int, key: dict[str, Any]) -> Any:
    """The name of the provider's key number ``index`` (from 0)."""
    name = key.get("name", "")
    return f"{provider}-{index + 1}" if name == "" else name


def _provider(name: str, entry: Any, first_version: bool) -> Any:
    if isinstance(entry, BaseModel):
        return entry.model_copy(update={"name": name})
    if not isinstance(entry, dict):
        return entry
    entry = {**entry, "name": name}
    if isinstance(entry.get("keys"), list):
        entry["keys"] = [_key(name, index, key, first_version) for index, key in enumerate(entry["keys"])]
    return entry


def _key(provider: str, index: int, key: Any, first_version: bool) -> Any:
    if not isinstance(key, dict):
        return key
    key = {**key, "name": key_name(provider, index, key)}
    if key.get("id", "") == "" and isinstance(key["name"], str):
        key["id"] = key["name"]
    if first_version and key.get("models", []) == []:
        key["models"] = ["*"]
    return key
