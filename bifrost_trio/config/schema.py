"""The JSON Schema of the configuration file, for editors and for other programs."""

from __future__ import annotations

from typing import Any, Final

from bifrost_trio.config.models import Config

__all__ = ["schema"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12. `load` checks more: what members have to do with each other, and the environment."""
    made = Config.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": DIALECT, **made, "title": "bifrost-trio configuration"}
