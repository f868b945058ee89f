"""Configurations that several tests start from."""

from __future__ import annotations

import json
from typing import Any

BENCHMARK: dict[str, Any] = {
    "version": 2,
    "client": {"initial_pool_size": 300, "drop_excess_requests": False, "enable_logging": False},
    "providers": {
        "openai": {
            "keys": [{"name": "k1", "value": "sk-bench", "models": ["*"], "weight": 1.0}],
            "network_config": {"base_url": "http://127.0.0.1:18080", "default_request_timeout_in_seconds": 60},
        }
    },
    "config_store": {"enabled": False},
    "logs_store": {"enabled": False},
}
"""The file with which Bifrost is measured."""

EVERYTHING_OFF: dict[str, Any] = {
    "$schema": "https://www.getbifrost.ai/schema",
    "version": 2,
    "source_of_truth": "split",
    "encryption_key": "",
    "server": {"read_buffer_size": 65536},
    "client": {
        "initial_pool_size": 300,
        "drop_excess_requests": False,
        "enable_logging": True,
        "disable_content_logging": False,
        "log_retention_days": 365,
        "logging_headers": [],
        "enforce_auth_on_inference": False,
        "allowed_origins": ["*"],
        "max_request_body_size_mb": 100,
        "header_filter_config": {"allowlist": [], "denylist": []},
        "compat": {"convert_text_to_chat": False, "force_reasoning_only_models_to_responses": True},
        "mcp_agent_depth": 10,
        "mcp_server_auth_mode": "headers",
        "oauth2_server_config": {"issuer_url": "", "auth_code_ttl": 300, "access_token_ttl": 600},
        "async_job_result_ttl": 3600,
        "webhook_config": {"delivery_history_retention_days": 30},
    },
    "providers": {
        "anthropic": {
            "keys": [{"name": "one", "value": "sk-ant", "models": ["*"], "use_for_batch_api": False}],
            "network_config": {
                "retry_backoff_initial": 500,
                "retry_backoff_max": "5s",
                "stream_throughput_guard": {"minimum_output_characters_per_second": 0, "probe_window_in_seconds": 5},
                "beta_header_overrides": {},
            },
            "proxy_config": {"type": "none", "url": ""},
            "store_raw_request_response": False,
            "prompt_cache": {"auto_inject": False, "ttl": "1h", "cache_control_injection_points": []},
        }
    },
    "mcp": {"client_configs": [], "tool_manager_config": {"max_agent_depth": 10}, "tool_sync_interval": "10m"},
    "governance": {"auth_config": {"is_enabled": False, "admin_username": "admin"}, "virtual_keys": [], "budgets": []},
    "config_store": {"enabled": False, "type": "sqlite", "config": {"path": "./config.db"}},
    "logs_store": {"enabled": False},
    "vector_store": {"enabled": False, "type": "redis"},
    "framework": {"pricing": {"pricing_url": "", "pricing_sync_interval": 86400}},
    "websocket": {"max_connections_per_user": 100, "pool": {"max_idle_per_key": 50}},
    "webhooks": [],
    "plugins": [{"name": "semantic_cache", "enabled": False, "config": {"api_key": "env.NOT_SET"}}],
}
"""A Bifrost file in which nothing is asked of this version that it has not."""

OWN: dict[str, Any] = {
    "providers": {
        "groq": {"keys": [{"value": "env.GROQ_API_KEY", "models": ["*"], "aliases": {"fast": "llama-3.1-8b-instant"}}]},
        "ollama": {},
        "in-house": {
            "custom_provider_config": {
                "base_provider_type": "openai",
                "is_key_less": True,
                "allowed_requests": {"chat_completion": True, "chat_completion_stream": True},
                "request_path_overrides": {"chat_completion": "/llm/chat"},
            },
            "network_config": {"base_url": "env.IN_HOUSE_URL", "extra_headers": {"X-Team": "env.TEAM"}},
            "concurrency_and_buffer_size": {"concurrency": 8, "buffer_size": 16},
        },
    },
    "server": {"host": "0.0.0.0", "port": 9000, "workers": 4},
    "plugins": [{"name": "audit", "path": "my_plugins.audit:Audit", "config": {"token": "env.TEAM"}}],
}
OWN_ENVIRONMENT = {"GROQ_API_KEY": "gsk", "IN_HOUSE_URL": "https://llm.example.com/v1/", "TEAM": "blue\n"}


def openai(**members: Any) -> dict[str, Any]:
    """A configuration with one provider, ``openai``, that has a key and ``members``."""
    return {"providers": {"openai": {"keys": [{"value": "sk-x", "models": ["*"]}], **members}}}


def with_key(**members: Any) -> dict[str, Any]:
    return openai(keys=[{"value": "sk-x", "models": ["*"], **members}])


def with_network(**members: Any) -> dict[str, Any]:
    return openai(network_config=members)


def text(data: Any) -> str:
    return json.dumps(data, indent=2)
