"""What is refused, and in which words. One row a rule."""

# ruff: noqa: E501 (tables: a row a line)

from __future__ import annotations

from typing import Any

import pytest

from bifrost_trio.config import Config
from bifrost_trio.errors import ConfigError, Problem
from tests.config.samples import openai, with_key, with_network

NOT_YET = "not yet supported by this version"
KEY = "providers.openai.keys[0]"
NETWORK = "providers.openai.network_config"


def problems(data: Any, environ: dict[str, str] | None = None) -> list[Problem]:
    try:
        Config.from_dict(data, environ or {})
    except ConfigError as error:
        return list(error.problems)
    return []


def told(data: Any, environ: dict[str, str] | None = None) -> list[str]:
    return [str(problem) for problem in problems(data, environ)]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "path", "meant"),
    [
        ({"provider": {}}, "provider", "providers"),
        ({"cleint": {}}, "cleint", "client"),
        ({"port": 1}, "port", "server.port"),
        ({"Version": 2}, "Version", "version"),
        ({"weather": 2}, "weather", None),
        ({"client": {"dropExcessRequests": True}}, "client.dropExcessRequests", "drop_excess_requests"),
        (
            {"client": {"header_filter_config": {"allow_list": []}}},
            "client.header_filter_config.allow_list",
            "allowlist",
        ),
        (with_key(model="x"), f"{KEY}.model", "models"),
        (with_key(api_key="x"), f"{KEY}.api_key", "value"),
        (with_key(blacklist=["x"]), f"{KEY}.blacklist", "blacklisted_models"),
        (with_key(aliases={"a": {"model_id": "b", "family": "c"}}), f"{KEY}.aliases.a.family", "model_family"),
        (openai(base_url="http://x"), "providers.openai.base_url", "network_config.base_url"),
        (openai(key="x"), "providers.openai.key", "keys"),
        (openai(name="x"), "providers.openai.name", None),
        (with_network(timeout=3), f"{NETWORK}.timeout", "default_request_timeout_in_seconds"),
        (with_network(max_retry=3), f"{NETWORK}.max_retry", "max_retries"),
        (with_network(baseURL="http://x"), f"{NETWORK}.baseURL", "base_url"),
        (
            openai(concurrency_and_buffer_size={"buffer": 1}),
            "providers.openai.concurrency_and_buffer_size.buffer",
            "buffer_size",
        ),
        ({"server": {"listen": "x"}}, "server.listen", "host"),
        ({"plugins": [{"name": "a", "enable": False}]}, "plugins[0].enable", "enabled"),
    ],
)
def test_unknown_members(data: dict[str, Any], path: str, meant: str | None) -> None:
    [problem] = problems(data)
    assert problem.path == path
    assert problem.message.startswith("unknown member")
    assert problem.hint == meant


def test_a_member_under_a_wrong_name_is_not_missed_as_well() -> None:
    assert told({"providers": {"openai": {"keys": [{"valeu": "sk", "models": ["*"]}]}}}) == [
        f"{KEY}.valeu: unknown member (did you mean 'value'?)"
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("opneai", "openai"), ("OpenAI", "openai"), ("antropic", "anthropic"), ("grok", "groq"), ("in-house", None)],
)
def test_unknown_providers(name: str, meant: str | None) -> None:
    [problem] = problems({"providers": {name: {"keys": [{"value": "x", "models": ["*"]}]}}})
    assert problem.path == f"providers.{name}"
    assert problem.message.startswith("unknown provider")
    assert problem.hint == meant


# --- types and values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"version": "2"}, 'version: expected 1 or 2, got another string'),
        ({"version": 3}, "version: expected 1 or 2, got 3"),
        ({"client": []}, "client: expected an object, got a list"),
        ({"providers": []}, "providers: expected an object, got a list"),
        ({"providers": {"openai": []}}, "providers.openai: expected an object, got a list"),
        ({"plugins": {}}, "plugins: expected a list, got an object"),
        ({"plugins": [3]}, "plugins[0]: expected an object, got a number"),
        ({"plugins": [{}]}, "plugins[0].name: is missing"),
        ({"client": {"drop_excess_requests": "yes"}}, "client.drop_excess_requests: expected true or false, got a string"),
        ({"client": {"drop_excess_requests": 1}}, "client.drop_excess_requests: expected true or false, got a number"),
        ({"client": {"max_request_body_size_mb": "100"}}, "client.max_request_body_size_mb: expected a whole number, got a string"),
        ({"client": {"max_request_body_size_mb": 1.5}}, "client.max_request_body_size_mb: expected a whole number, got a number with a fraction"),
        ({"client": {"max_request_body_size_mb": 0}}, "client.max_request_body_size_mb: expected at least 1, got 0"),
        ({"client": {"required_headers": "x"}}, "client.required_headers: expected a list, got a string"),
        ({"client": {"required_headers": ["a b"]}}, "client.required_headers[0]: is not the name of a header (RFC 9110 section 5.1)"),
        ({"client": {"allowed_origins": ["app.example.com"]}}, 'client.allowed_origins[0]: expected "*" or an origin such as "https://app.example.com", without a path'),
        ({"client": {"allowed_origins": ["https://a.b/c"]}}, 'client.allowed_origins[0]: expected "*" or an origin such as "https://app.example.com", without a path'),
        ({"client": {"prometheus_labels": ["team-name"]}}, "client.prometheus_labels[0]: is not the name of a Prometheus label: letters, digits and '_', no digit first"),
        (with_key(value=3), f"{KEY}.value: expected a string, got a number"),
        (with_key(value=None), f"{KEY}.value: expected a string, got null"),
        (with_key(value="sk-ü"), f"{KEY}.value: has a character that cannot stand in a header (not ASCII, or a control character)"),
        (with_key(value="sk\r\nx: y"), f"{KEY}.value: has a character that cannot stand in a header (not ASCII, or a control character)"),
        (with_key(models="*"), f"{KEY}.models: expected a list, got a string"),
        (with_key(models=[""]), f"{KEY}.models[0]: must not be empty"),
        (with_key(weight="1"), f"{KEY}.weight: expected a number, got a string"),
        (with_key(weight=-0.5), f"{KEY}.weight: expected at least 0, got -0.5"),
        (with_key(enabled="true"), f"{KEY}.enabled: expected true or false, got a string"),
        (with_key(aliases={"a": ""}), f"{KEY}.aliases.a: an alias must stand for a model; this one is empty"),
        (with_key(aliases={"a": 3}), f"{KEY}.aliases.a: expected the name of a model, or an object with model_id, got a number"),
        (with_key(aliases={"a": {}}), f"{KEY}.aliases.a.model_id: is missing"),
        (with_key(aliases={"": "b"}), f'{KEY}.aliases[""]: this name must not be empty'),
        (with_network(default_request_timeout_in_seconds="30"), f"{NETWORK}.default_request_timeout_in_seconds: expected a number of seconds, got a string"),
        (with_network(default_request_timeout_in_seconds=0), f"{NETWORK}.default_request_timeout_in_seconds: expected more than 0 and at most 172800 seconds, got 0"),
        (with_network(connect_timeout_in_seconds=True), f"{NETWORK}.connect_timeout_in_seconds: expected a number of seconds, got true"),
        (with_network(max_retries=11), f"{NETWORK}.max_retries: expected at most 10, got 11"),
        (with_network(max_retries=-1), f"{NETWORK}.max_retries: expected at least 0, got -1"),
        (with_network(retry_backoff_initial="5 minutes"), f'{NETWORK}.retry_backoff_initial: expected a number of milliseconds or a duration such as "500ms", got another string'),
        (with_network(retry_backoff_max=False), f'{NETWORK}.retry_backoff_max: expected a number of milliseconds or a duration such as "500ms", got false'),
        (with_network(retry_backoff_max="6m"), f"{NETWORK}.retry_backoff_max: expected at least 0 and at most 5 minutes"),
        (with_network(ca_cert_pem="/etc/ca.pem"), f"{NETWORK}.ca_cert_pem: expected the text of a certificate in PEM form (-----BEGIN CERTIFICATE-----)"),
        (with_network(extra_headers={"a b": "c"}), f'{NETWORK}.extra_headers["a b"]: is not the name of a header (RFC 9110 section 5.1)'),
        (with_network(extra_headers={"Host": "c"}), f"{NETWORK}.extra_headers.Host: host is set by the connection itself and cannot be configured"),
        (with_network(extra_headers={"x": "a\nb"}), f"{NETWORK}.extra_headers.x: has a character that cannot stand in a header (not ASCII, or a control character)"),
        (openai(concurrency_and_buffer_size={"concurrency": 0}), "providers.openai.concurrency_and_buffer_size.concurrency: expected at least 1, got 0"),
        (openai(proxy_config={"type": "htp", "url": "http://x"}), "providers.openai.proxy_config.type: expected \"none\", \"http\", \"socks5\" or \"environment\", got another string (did you mean 'http'?)"),
        ({"plugins": [{"name": "a", "path": "a/b.py"}]}, "plugins[0].path: expected module:Class, such as my_plugins.audit:Audit"),
        ({"server": {"port": 70000}}, "server.port: expected at most 65535, got 70000"),
    ],
)  # fmt: skip
def test_types_and_values(data: dict[str, Any], message: str) -> None:
    assert told(data) == [message]


@pytest.mark.parametrize("data", [[], "x", 3, None, True])
def test_something_that_is_no_object(data: Any) -> None:
    [problem] = problems(data)
    assert problem.message.startswith("expected an object, got")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("api.openai.com", "expected a URL that begins with http:// or https://"),
        ("ftp://host", "expected a URL that begins with http:// or https://"),
        ("http://", "is not a URL: it names no host, or port 0"),
        ("http://host:0", "is not a URL: it names no host, or port 0"),
        ("http://host:99999", "is not a URL: its host or port cannot be read"),
        ("http://[::1", "is not a URL: its host or port cannot be read"),
        ("http://user:pa55@host", "holds a user name or password, which has a place of its own"),
        ("http://host/v1?key=pa55", "has a query or fragment; only scheme, host, port and path are allowed"),
        ("http://host/v1#pa55", "has a query or fragment; only scheme, host, port and path are allowed"),
        ("http://ho st", "has a character that cannot stand in a URL"),
        ("http://host/\r\nx", "has a character that cannot stand in a URL"),
        ("http://host\\@evil", "has a character that cannot stand in a URL"),
    ],
)
def test_base_urls_that_are_refused(url: str, reason: str) -> None:
    assert told(with_network(base_url=url)) == [f"{NETWORK}.base_url: {reason}"]
    from_variable = told(with_network(base_url="env.URL"), {"URL": url})
    assert from_variable == [f"{NETWORK}.base_url: {reason} (from the environment variable URL)"]


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ({"type": "http"}, "url: is missing"),
        ({"type": "socks5", "url": ""}, "url: is missing"),
        ({"url": "http://proxy:3128"}, "type: is missing: http or socks5"),
        ({"type": "http", "url": "socks5://p:1"}, "url: expected a URL that begins with http:// or https://"),
        ({"type": "socks5", "url": "http://p:1"}, "url: expected a URL that begins with socks5:// or socks5h://"),
        (
            {"type": "http", "url": "http://u:pa55@p"},
            "url: holds a user name or password, which has a place of its own",
        ),
    ],
)
def test_proxies(proxy: dict[str, str], message: str) -> None:
    found = told(openai(proxy_config=proxy))
    assert f"providers.openai.proxy_config.{message}" in found
    assert "pa55" not in " ".join(found)


# --- members that have to do with each other --------------------------------------------------------------------------

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"


def custom(base: str = "openai", **members: Any) -> dict[str, Any]:
    return {
        "keys": [{"value": "x", "models": ["*"]}],
        "custom_provider_config": {"base_provider_type": base, **members},
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"providers": {"openai": {}}}, "providers.openai.keys: is missing: this provider needs at least one key"),
        ({"providers": {"openai": {"keys": []}}}, "providers.openai.keys: is missing: this provider needs at least one key"),
        ({"providers": {"openai": {"keys": [{"models": []}]}}}, f"{KEY}.value: is missing"),
        ({"providers": {"openai": {"keys": [{"value": "", "models": []}]}}}, f"{KEY}.value: is missing"),
        ({"providers": {"vllm": {}}}, "providers.vllm.network_config.base_url: is missing: vLLM has no address of its own"),
        ({"providers": {"mine": custom("opneai")}}, "providers.mine.custom_provider_config.base_provider_type: unknown provider (did you mean 'openai'?)"),
        ({"providers": {"mine": custom("cohere")}}, f"providers.mine.custom_provider_config.base_provider_type: {NOT_YET}: Cohere's own API"),
        ({"providers": {"openai": custom()}}, "providers.openai: a provider with a custom_provider_config needs a name of its own; this one is taken"),
        ({"providers": {"my/own": custom()}}, 'providers["my/own"]: a provider\'s name is made of letters, digits, \'-\', \'_\' and \'.\' (clients write name/model)'),
        ({"providers": {"mine": custom(allowed_requests={"chat": True})}}, "providers.mine.custom_provider_config.allowed_requests.chat: unknown request type (did you mean 'chat_completion'?)"),
        ({"providers": {"mine": custom(request_path_overrides={"embedding": "embed"})}}, "providers.mine.custom_provider_config.request_path_overrides: expected paths that begin with '/', or URLs with http:// or https://"),
        (openai(keys=[{"name": "a", "value": "x", "models": ["*"]}, {"name": "a", "value": "y", "models": ["*"]}]), "providers.openai.keys[1].name: another key of this provider has this name already"),
        (openai(keys=[{"id": "a", "value": "x", "models": ["*"]}, {"id": "a", "value": "y", "models": ["*"]}]), "providers.openai.keys[1].id: another key of this provider has this id already"),
        (openai(keys=[{"value": "x", "name": "openai-2", "models": ["*"]}, {"value": "y", "models": ["*"]}]), "providers.openai.keys[1].name: another key of this provider has this name already"),
        (with_key(aliases={"a": "b", "b": "a"}), f"{KEY}.aliases.a: stands for itself: a → b → a"),
        (with_key(aliases={"x": "a", "a": {"model_id": "b"}, "b": "c", "c": "a"}), f"{KEY}.aliases.a: stands for itself: a → b → c → a"),
        (with_network(insecure_skip_verify=True, ca_cert_pem=CERTIFICATE), f"{NETWORK}.insecure_skip_verify: contradicts ca_cert_pem: with it no certificate is checked at all"),
        (with_network(max_conns_per_host=999), f"{NETWORK}.max_conns_per_host: each call at work has its connection, and concurrency allows 1000: lower that one"),
        ({"providers": {"openai": {"keys": [{"value": "x"}]}}}, f'{KEY}.models: is missing: the models that this key may serve, or ["*"] for all'),
        (with_network(extra_headers={"X-A": "1", "x-a": "2"}), f"{NETWORK}.extra_headers.x-a: is there twice: the case of a header's name does not count"),
        ({"server": {"keyfile": "key.pem"}}, "server.keyfile: is given without a certfile"),
        ({"plugins": [{"name": "a", "path": "a:A"}, {"name": "a", "path": "b:B"}]}, "plugins[1].name: another plugin has this name already"),
    ],
)  # fmt: skip
def test_rules(data: dict[str, Any], message: str) -> None:
    assert told(data) == [message]


@pytest.mark.parametrize(
    "data",
    [
        {"client": {"allow_direct_keys": True}, "providers": {"openai": {}}},
        {"providers": {"openai": {"keys": [{"enabled": False}]}}},
        {"providers": {"ollama": {}}},
        {"providers": {"mine": custom(is_key_less=True) | {"keys": []}}},
        {"plugins": [{"name": "a", "path": "a:A"}, {"name": "a", "path": "b:B", "enabled": False}]},
        with_key(aliases={"a": "b", "c": "b", "same": "same"}),
        with_network(insecure_skip_verify=True),
        openai(network_config={"max_conns_per_host": 8}, concurrency_and_buffer_size={"concurrency": 8}),
        {"server": {"certfile": "both.pem"}},
        {},
    ],
)
def test_what_is_right(data: dict[str, Any]) -> None:
    assert told(data) == []


def test_the_attempts_of_one_call_are_bounded() -> None:
    data = {"providers": {f"mine-{number}": custom() | {"network_config": {"max_retries": 10}} for number in range(10)}}
    [problem] = problems(data)
    assert problem.path == "providers.mine-9.network_config.max_retries"
    assert "110 upstream requests; at most 100" in problem.message


# --- what later versions bring ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"governance": {"budgets": [{"id": "b"}]}}, "governance"),
        ({"governance": {"auth_config": {"is_enabled": True}}}, "governance"),
        ({"mcp": {"client_configs": [{"name": "x"}]}}, "mcp"),
        ({"mcp": {"tool_sync_interval": "1m"}}, "mcp"),
        ({"config_store": {"enabled": True, "type": "sqlite"}}, "config_store"),
        ({"logs_store": {"type": "sqlite"}}, "logs_store"),
        ({"vector_store": {"enabled": True}}, "vector_store"),
        ({"webhooks": [{"url": "http://x"}]}, "webhooks"),
        ({"websocket": {"max_connections_per_user": 5}}, "websocket"),
        ({"framework": {"pricing": {"pricing_url": "http://x"}}}, "framework"),
        ({"cluster_config": {"enabled": True}}, "cluster_config"),
        ({"encryption_key": "env.KEY"}, "encryption_key"),
        ({"client": {"enforce_auth_on_inference": True}}, "client.enforce_auth_on_inference"),
        ({"client": {"log_retention_days": 30}}, "client.log_retention_days"),
        ({"client": {"compat": {"should_drop_params": True}}}, "client.compat"),
        ({"client": {"mcp_agent_depth": 3}}, "client.mcp_agent_depth"),
        (with_key(use_for_batch_api=True), f"{KEY}.use_for_batch_api"),
        (with_key(bedrock_key_config={"region": "eu-west-1"}), f"{KEY}.bedrock_key_config"),
        (with_network(stream_throughput_guard={"minimum_output_characters_per_second": 9}), f"{NETWORK}.stream_throughput_guard"),
        (openai(prompt_cache={"auto_inject": True}), "providers.openai.prompt_cache"),
        (openai(store_raw_request_response=True), "providers.openai.store_raw_request_response"),
        ({"plugins": [{"name": "semantic_cache"}]}, "plugins[0].name"),
        ({"client": {"prometheus_labels": ["team"]}}, "client.prometheus_labels"),
        (with_network(enforce_http2=True), f"{NETWORK}.enforce_http2"),
        (openai(openai_config={"disable_store": True}), "providers.openai.openai_config.disable_store"),
        (openai(proxy_config={"type": "socks5", "url": "socks5://127.0.0.1:1080"}), "providers.openai.proxy_config.type"),
        (openai(proxy_config={"type": "environment"}), "providers.openai.proxy_config.type"),
        ({"providers": {"bedrock": {"keys": [{"value": "x", "models": ["*"]}]}}}, "providers.bedrock"),
    ],
)  # fmt: skip
def test_not_yet_supported(data: dict[str, Any], path: str) -> None:
    [problem] = problems(data)
    assert problem.path == path
    assert problem.message.startswith(NOT_YET)


@pytest.mark.parametrize(
    ("part", "path", "meant"),
    [
        ({"governance": {"budget": []}}, "governance.budget", "budgets"),
        ({"governance": {"virtual_keys": [{"budget": None}]}}, "governance.virtual_keys[0].budget", "budgets"),
        ({"governance": {"virtual_keys": [{"provider_configs": [{"allowed_model": []}]}]}}, "governance.virtual_keys[0].provider_configs[0].allowed_model", "allowed_models"),
        ({"config_store": {"enable": False}}, "config_store.enable", "enabled"),
        ({"mcp": {"client_config": []}}, "mcp.client_config", "client_configs"),
    ],
)  # fmt: skip
def test_slips_in_parts_that_are_not_yet_supported(part: dict[str, Any], path: str, meant: str) -> None:
    found = {problem.path: problem.hint for problem in problems(part)}
    assert found.pop(path) == meant
    assert set(found) <= set(part)


def test_what_to_do_instead() -> None:
    assert told(with_key(azure_key_config={"endpoint": "https://x"})) == [
        f"{KEY}.azure_key_config: {NOT_YET}: the address stands in network_config.base_url"
    ]


# --- all of it at once ------------------------------------------------------------------------------------------------


def test_every_problem_in_the_order_of_the_file() -> None:
    data = {
        "budget": 1,
        "plugins": [{"name": "x", "placement": "before"}],
        "providers": {
            "openai": {
                "network_config": {"max_retries": 99},
                "keys": [{"value": "env.NONE", "models": []}, {"weight": -1, "models": []}],
            },
            "anthropc": {"keys": [{"value": 1, "models": []}]},
        },
        "client": {"allowed_headers": [3]},
        "version": 5,
    }
    assert [problem.path for problem in problems(data)] == [
        "budget",
        "plugins[0].placement",
        "providers.openai.network_config.max_retries",
        "providers.openai.keys[0].value",
        "providers.openai.keys[1].value",
        "providers.openai.keys[1].weight",
        "providers.anthropc",
        "providers.anthropc.keys[0].value",
        "client.allowed_headers[0]",
        "version",
    ]
