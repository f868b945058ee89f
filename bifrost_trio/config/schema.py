"""The JSON Schema of the configuration file, for editors and for other programs."""

from __future__ import annotations

from typing import Any, Final

from bifrost_trio.config.models import Config
from bifrost_trio.config.outline import OUTLINE, Names
from bifrost_trio.config.secret import MASK
from bifrost_trio.config.waiting import EVERYWHERE, OF_A_PROVIDER

__all__ = ["schema"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12. `load` checks more: what members have to do with each other, and the environment."""
    made = Config.model_json_schema(by_alias=True, mode="validation")
    for owner, waiting in ((made, EVERYWHERE), (made["$defs"]["ProviderConfig"], OF_A_PROVIDER)):
        for part, name in waiting:
            definition = owner["properties"][part]["$ref"].rpartition("/")[2]
            member = made["$defs"][definition]["properties"][name]
            member["description"] = f"Not yet supported by this version. {member.get('description', '')}".strip()
    for part, names in OUTLINE.items():
        made["properties"][part] |= _of_names(names or {})
    return {"$schema": DIALECT, "title": "bifrost-trio configuration", **_tidied(made)}


def _of_names(names: Names) -> dict[str, Any]:
    """What has these names, or a list of such."""
    members = {name: _of_names(inner) if inner else {} for name, inner in names.items()}
    only = {"properties": members, "additionalProperties": False}
    return {**only, "items": only}


def _tidied(node: Any) -> Any:
    """Without what only repeats: titles made from names, defaults that are null, masked or whole objects."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {name: _tidied(member) for name, member in node.items() if not _repeats(node, name)}


def _repeats(node: dict[str, Any], name: str) -> bool:
    # A property may be called "title" or "default" too: what describes it is an object.
    if name == "title":
        return isinstance(node[name], str)
    return name == "default" and (node[name] in (None, MASK) or "$ref" in node)
