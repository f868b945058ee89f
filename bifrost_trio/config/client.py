"""``client``: what holds for every call, whichever provider answers it. The names are Bifrost's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bifrost_trio.config.values import NO_EFFECT, HeaderName, Label, Later, Origin, Strict

__all__ = ["ClientConfig", "HeaderFilterConfig"]

_COMPAT = {
    "convert_text_to_chat": False,
    "convert_chat_to_responses": False,
    "should_drop_params": False,
    "should_convert_params": False,
    "azure_deepseek": False,
    "force_reasoning_only_models_to_responses": True,
}
_OAUTH2 = {"issuer_url": "", "auth_code_ttl": 300, "access_token_ttl": 600, "disable_vk_identity": False}


class HeaderFilterConfig(Strict):
    """Which headers a client may send on to a provider as ``x-bf-eh-NAME``. The denylist wins."""

    allowlist: list[HeaderName] = []
    """Empty: all that are not denied. A ``*`` at the end of a name stands for anything."""
    denylist: list[HeaderName] = []

    def allows(self, name: str) -> bool:
        """``name`` in lower case, without ``x-bf-eh-``.

        Some servers take an underscore for a hyphen (RFC 3875 section 4.1.18): what is denied is denied in both ways.
        """
        if any(_matches(spelled, self.denylist) for spelled in (name, name.replace("_", "-"), name.replace("-", "_"))):
            return False
        return not self.allowlist or _matches(name, self.allowlist)


def _matches(name: str, patterns: list[HeaderName]) -> bool:
    return any(name.startswith(p[:-1]) if p.endswith("*") else name == p for p in patterns)


class ClientConfig(Strict):
    drop_excess_requests: bool = True
    """True: a provider whose waiting room is full answers 429 at once. False: up to ten times as many wait."""
    max_request_body_size_mb: Annotated[int, Field(ge=1, le=10_240)] = 100
    """Megabytes (2**20 bytes) of one request body; beyond it 413."""
    allowed_origins: list[Origin] = []
    """Origins whose web pages may call the gateway (CORS); ``["*"]`` for any. Empty: none."""
    allowed_headers: list[HeaderName] = []
    """Request headers that such pages may set, beside the usual ones."""
    required_headers: list[HeaderName] = []
    """Headers without which a request is answered with 400."""
    allow_direct_keys: bool = False
    """Whether a client may bring its own provider key (``x-bf-direct-key``)."""
    header_filter_config: HeaderFilterConfig = HeaderFilterConfig()
    prometheus_labels: list[Label] = []
    """Names ``x`` whose ``x-bf-dim-x`` header becomes a label of the metrics."""
    enable_logging: bool = True
    """Whether calls have a line in the log."""
    initial_pool_size: Annotated[int, Field(ge=0, description=NO_EFFECT)] = 300

    disable_content_logging: bool = False
    """Whether logs leave out what was asked and answered. This version never logs it."""
    log_retention_days: Annotated[None, Later(365)] = None
    retain_content_in_object_storage: Annotated[None, Later()] = None
    allow_per_request_content_storage_override: Annotated[None, Later()] = None
    logging_headers: Annotated[None, Later()] = None
    hidden_request_types: Annotated[None, Later()] = None
    enforce_auth_on_inference: Annotated[None, Later()] = None
    whitelisted_routes: Annotated[None, Later()] = None
    compat: Annotated[None, Later(_COMPAT)] = None
    mcp_agent_depth: Annotated[None, Later(10)] = None
    mcp_tool_execution_timeout: Annotated[None, Later(30)] = None
    mcp_code_mode_binding_level: Annotated[None, Later("server")] = None
    mcp_tool_sync_interval: Annotated[None, Later(10)] = None
    mcp_disable_auto_tool_inject: Annotated[None, Later()] = None
    mcp_external_client_url: Annotated[None, Later()] = None
    mcp_server_auth_mode: Annotated[None, Later("headers")] = None
    oauth2_server_config: Annotated[None, Later(_OAUTH2)] = None
    mcp_enable_temp_token_auth: Annotated[None, Later()] = None
    allow_per_request_raw_override: Annotated[None, Later()] = None
    dump_errors_in_console_logs: Annotated[None, Later()] = None
    enforce_governance_header: Annotated[None, Later()] = None
    enforce_scim_auth: Annotated[None, Later()] = None
    dual_credential_conflict_behavior: Annotated[None, Later("prefer_idp")] = None
    hide_deleted_virtual_keys_in_filters: Annotated[None, Later()] = None
    async_job_result_ttl: Annotated[None, Later(3600)] = None
    disable_db_pings_in_health: bool = False
    """There is no database in this version, so nothing is pinged either way."""
    routing_chain_max_depth: Annotated[None, Later(10)] = None
    delete_expired_virtual_keys: Annotated[None, Later()] = None
    webhook_config: Annotated[None, Later({"delivery_history_retention_days": 30})] = None
