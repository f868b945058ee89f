"""The names inside the parts of a Bifrost file that this version has not, so that a slip in one is still found.

A misspelt ``budget`` must not lie quietly in a part that is switched off until the part works. (maximhq/bifrost,
transports/config.schema.json.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Union

from bifrost_trio.config.findings import Finding, Path
from bifrost_trio.config.nearest import nearest

__all__ = ["OUTLINE", "Names", "misspelt_members"]

Names = Mapping[str, Union["Names", None]]
"""Name → the names within it, or within each item of its list; None: anything."""


def _names(text: str, **inner: Names | None) -> Names:
    return {**dict.fromkeys(text.split()), **inner}


_STORE: Final = _names("enabled type config")
_BUDGET: Final = _names(
    "id max_limit reset_duration current_usage last_reset calendar_aligned"
    " virtual_key_id provider_config_id model_config_id customer_id team_id"
)
_RATE_LIMIT: Final = _names(
    "id token_max_limit token_reset_duration token_current_usage token_last_reset calendar_aligned"
    " request_max_limit request_reset_duration request_current_usage request_last_reset metric"
)
_PROVIDER_OF_KEY: Final = _names(
    "id provider weight allowed_models blacklisted_models key_ids keys budget_id rate_limit_id rate_limit budgets"
)
_VIRTUAL_KEY: Final = _names(
    "id name description value is_active expires_at expiry rotation calendar_aligned team_id customer_id"
    " access_profile_id rate_limit_id rate_limit budgets allow_all_providers mcp_configs disable_content_logging",
    provider_configs=_PROVIDER_OF_KEY,
)
_MODEL_CONFIG: Final = _names(
    "id model_name provider scope scope_id calendar_aligned budget_id budget_ids rate_limit_id rate_limit_ids"
)
OUTLINE: Final = _names(
    "",
    governance=_names(
        "business_units roles routing_rules pricing_overrides complexity_analyzer_config providers",
        auth_config=_names("is_enabled admin_username admin_password disable_auth_on_inference"),
        budgets=_BUDGET,
        rate_limits=_RATE_LIMIT,
        virtual_keys=_VIRTUAL_KEY,
        model_configs=_MODEL_CONFIG,
        customers=_names("id name budgets budget_id rate_limit_id calendar_aligned"),
        teams=_names(
            "id name source_id customer_id budget_id budgets rate_limit_id business_unit_id profile config claims"
            " calendar_aligned virtual_key_count"
        ),
    ),
    mcp=_names("client_configs tool_manager_config tool_sync_interval tool_groups health_monitor_config"),
    config_store=_names("vault_store", **_STORE),
    logs_store=_names("writer object_storage retention_days", **_STORE),
    vector_store=_STORE,
    framework=_names("pricing"),
    websocket=_names("max_connections_per_user transcript_buffer_size pool"),
)


def misspelt_members(data: Mapping[str, Any]) -> Iterator[Finding]:
    for name, inner in OUTLINE.items():
        if inner is not None and name in data:
            yield from _within(data[name], inner, (name,))


def _within(value: Any, names: Names, path: Path) -> Iterator[Finding]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _within(item, names, (*path, index))
    elif isinstance(value, dict):
        for name, member in value.items():
            inner = names.get(name)
            if name not in names:
                yield Finding((*path, name), "unknown member", nearest(name, names))
            elif inner is not None:
                yield from _within(member, inner, (*path, name))
