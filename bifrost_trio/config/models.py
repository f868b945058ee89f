"""The whole configuration: one JSON object, Bifrost's names, nothing unknown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from bifrost_trio.config.client import ClientConfig
from bifrost_trio.config.environment import resolve_deep
from bifrost_trio.config.explain import findings_of
from bifrost_trio.config.fill import filled
from bifrost_trio.config.findings import Finding
from bifrost_trio.config.plain import refuse, what
from bifrost_trio.config.positions import Positions
from bifrost_trio.config.providers import ProviderConfig
from bifrost_trio.config.rules import broken_rules
from bifrost_trio.config.server import ServerConfig
from bifrost_trio.config.values import Later, Name, Strict
from bifrost_trio.config.waiting import waiting_members
from bifrost_trio.errors import ConfigError, Problem

__all__ = ["Config", "PluginConfig", "read"]

_PLUGIN_PATH: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_WEBSOCKET: Final = {
    "max_connections_per_user": 100,
    "transcript_buffer_size": 100,
    "pool": {
        "max_idle_per_key": 50,
        "max_total_connections": 1000,
        "idle_timeout_seconds": 600,
        "max_connection_lifetime_seconds": 7200,
    },
}
_MCP: Final = {
    "tool_manager_config": {
        "tool_execution_timeout": "30s",
        "max_agent_depth": 10,
        "code_mode_binding_level": "server",
    },
    "tool_sync_interval": "10m",
}
_FRAMEWORK: Final = {"pricing": {"pricing_sync_interval": 86400, "live_models_sync_interval": 3600}}


C = TypeVar("C", bound="Config")


class PluginConfig(Strict):
    # First, so that the settings of a disabled plugin need not be resolvable.
    enabled: bool = True
    name: Name
    config: Annotated[dict[str, Any], Field(repr=False)] = {}
    """Handed to the plugin; a string that is a whole ``env.NAME`` is replaced by the variable's value."""
    path: str = ""
    """``module:Class`` of a plugin that is not built in."""
    placement: Literal["pre_builtin", "builtin", "post_builtin"] = "post_builtin"
    order: int = 0
    """Within the placement; the lower one runs first on the way in and last on the way out."""

    @field_validator("config")
    @classmethod
    def _resolve(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return value if info.data.get("enabled") is False else dict(resolve_deep(value, info))

    @field_validator("path")
    @classmethod
    def _path(cls, value: str) -> str:
        if value and not _PLUGIN_PATH.fullmatch(value):
            raise refuse("expected module:Class, such as my_plugins.audit:Audit")
        return value


class Config(Strict):
    """Frozen. `load` makes it from a file, `from_dict` from the same content in a program."""

    schema_url: Annotated[str, Field(alias="$schema")] = ""
    """For editors; not followed."""
    version: Literal[1, 2] = 2
    """2: an empty list of models denies all and ``["*"]`` allows all. 1: an empty list allows all."""
    client: ClientConfig = ClientConfig()
    providers: dict[Name, ProviderConfig] = {}
    plugins: list[PluginConfig] = []
    server: ServerConfig = ServerConfig()

    # "config.json" says that the file decides, which is all that this version can do.
    source_of_truth: Literal["split", "config.json"] = "split"
    """There is no store in this version: the file alone decides, whichever is said."""
    encryption_key: Annotated[None, Later()] = None
    mcp: Annotated[None, Later(_MCP)] = None
    governance: Annotated[None, Later()] = None
    auth_config: Annotated[None, Later()] = None
    config_store: Annotated[None, Later()] = None
    logs_store: Annotated[None, Later()] = None
    vector_store: Annotated[None, Later()] = None
    framework: Annotated[None, Later(_FRAMEWORK)] = None
    websocket: Annotated[None, Later(_WEBSOCKET)] = None
    webhooks: Annotated[None, Later()] = None
    cluster_config: Annotated[None, Later()] = None
    load_balancer_config: Annotated[None, Later()] = None
    guardrails_config: Annotated[None, Later()] = None
    access_profiles: Annotated[None, Later()] = None
    alerting: Annotated[None, Later()] = None
    env_label: Annotated[None, Later()] = None

    @field_validator("version", mode="before")
    @classmethod
    def _no_truth(cls, value: Any) -> Any:
        # True is 1 to Python.
        if isinstance(value, bool):
            raise refuse(f"expected 1 or 2, got {what(value)}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, data: Any) -> Any:
        return filled(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Self:
        """As strict as a file. ``env.NAME`` is looked up in ``environ`` alone. Raises ConfigError."""
        config, problems = read(cls, data, environ or {}, lambda: Positions.of_value(data))
        if config is None:
            raise ConfigError(problems)
        return config

    def with_server(self, **given: Any) -> Self:
        """This configuration with the command line's word over the file's (None: none). Raises ConfigError."""
        said = {name: value for name, value in given.items() if value is not None}
        server = type(self).from_dict({"server": self.server.model_dump(exclude_none=True) | said}).server
        return self.model_copy(update={"server": server})


def read(
    cls: type[C],
    data: object,
    environ: Mapping[str, str],
    positions: Callable[[], Positions],
    *,
    always: bool = False,
) -> tuple[C | None, list[Problem]]:
    """The configuration, or None and what is wrong. ``always``: look at ``positions`` even if nothing else is wrong."""
    if not isinstance(data, Mapping):
        return None, positions().problems([Finding((), expected_object(data))])
    findings = list(broken_rules(data))
    config = None
    try:
        config = cls.model_validate(dict(data), context={"environ": environ})
    except ValidationError as error:
        findings = [*findings_of(cls, error), *findings]
    findings += [f for f in waiting_members(data) if not any(g.path[: len(f.path)] == f.path for g in findings)]
    problems = positions().problems(_without_echoes(findings)) if findings or always else []
    return (None, problems) if problems else (config, [])


def _without_echoes(findings: list[Finding]) -> list[Finding]:
    """Without the "is missing" of a member that is there under a wrong name, which is reported with the right one."""
    meant = {(*finding.path[:-1], finding.hint) for finding in findings if finding.hint and finding.path}
    return [f for f in findings if not (f.message.startswith("is missing") and f.path in meant)]


def expected_object(data: object) -> str:
    return f"expected an object, got {what(data)}"
