"""What must hold between members. Each rule reads the file's own values, whatever else is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bifrost_trio.catalog import NOT_YET, PROVIDERS, Provider
from bifrost_trio.config.fill import key_name
from bifrost_trio.config.findings import Finding, Path
from bifrost_trio.config.nearest import nearest
from bifrost_trio.config.outline import misspelt_members

__all__ = ["MAX_ATTEMPTS", "broken_rules"]

MAX_ATTEMPTS: Final = 100
"""Upstream requests that one call may lead to if it names every provider as a fallback: Σ (1 + max_retries)."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PLUGINS_NOT_YET: Final = frozenset(
    {"datadog", "governance", "jsonparser", "logging", "maxim", "otel", "prompts", "semantic_cache", "telemetry"}
)


def broken_rules(data: Mapping[str, Any]) -> Iterator[Finding]:
    direct_keys = _object(data, "client").get("allow_direct_keys") is True
    lists_allow = data.get("version", 2) == 1
    providers = _object(data, "providers")
    for name, entry in providers.items():
        if isinstance(entry, dict):
            yield from _provider(name, entry, direct_keys)
            if not lists_allow:
                yield from _without_models(entry.get("keys"), ("providers", name, "keys"))
    yield from _attempts(providers)
    yield from misspelt_members(data)
    yield from _plugins(data.get("plugins"))
    server = _object(data, "server")
    if server.get("keyfile") and not server.get("certfile"):
        yield Finding(("server", "keyfile"), "is given without a certfile")


# --- providers --------------------------------------------------------------------------------------------------------


def _provider(name: str, entry: dict[str, Any], direct_keys: bool) -> Iterator[Finding]:
    path: Path = ("providers", name)
    if "name" in entry:
        yield Finding((*path, "name"), "unknown member: a provider's name is the member of providers that holds it")
    yield from _name(name, entry, path)
    yield from _network(entry, path)
    row = _row(name, entry)
    if row is None:
        return
    if row.base_url is None and not _object(entry, "network_config").get("base_url"):
        yield Finding((*path, "network_config", "base_url"), f"is missing: {row.title} has no address of its own")
    custom = _object(entry, "custom_provider_config")
    key_less = bool(custom.get("is_key_less")) if custom else row.key_less
    yield from _keys(name, entry, path, needed=not key_less and not direct_keys)


def _row(name: str, entry: dict[str, Any]) -> Provider | None:
    custom = entry.get("custom_provider_config")
    base = custom.get("base_provider_type") if isinstance(custom, dict) else name
    return PROVIDERS.get(base) if isinstance(base, str) else None


def _name(name: str, entry: dict[str, Any], path: Path) -> Iterator[Finding]:
    custom = entry.get("custom_provider_config")
    if isinstance(custom, dict):
        yield from _custom_name(name, path)
        yield from _base(custom.get("base_provider_type"), (*path, "custom_provider_config", "base_provider_type"))
    elif name in NOT_YET:
        yield Finding(path, f"not yet supported by this version: {NOT_YET[name]}")
    elif name not in PROVIDERS:
        message = "unknown provider; one of your own needs a custom_provider_config"
        yield Finding(path, message, nearest(name, PROVIDERS))


def _custom_name(name: str, path: Path) -> Iterator[Finding]:
    if name in PROVIDERS or name in NOT_YET:
        yield Finding(path, "a provider with a custom_provider_config needs a name of its own; this one is taken")
    elif not _NAME.fullmatch(name):
        yield Finding(path, "a provider's name is made of letters, digits, '-', '_' and '.' (clients write name/model)")


def _base(base: Any, path: Path) -> Iterator[Finding]:
    if not isinstance(base, str) or not base or base in PROVIDERS:
        return
    if base in NOT_YET:
        yield Finding(path, f"not yet supported by this version: {NOT_YET[base]}")
    else:
        yield Finding(path, "unknown provider", nearest(base, PROVIDERS))


def _network(entry: dict[str, Any], path: Path) -> Iterator[Finding]:
    network = _object(entry, "network_config")
    if network.get("insecure_skip_verify") is True and network.get("ca_cert_pem"):
        message = "contradicts ca_cert_pem: with it no certificate is checked at all"
        yield Finding((*path, "network_config", "insecure_skip_verify"), message)
    yield from _connections(entry, network, path)
    yield from _headers(_object(network, "extra_headers"), (*path, "network_config", "extra_headers"))
    proxy = _object(entry, "proxy_config")
    kind = proxy.get("type")
    if kind in ("http", "socks5") and not proxy.get("url"):
        yield Finding((*path, "proxy_config", "url"), "is missing")
    if proxy.get("url") and kind is None:
        yield Finding((*path, "proxy_config", "type"), "is missing: http or socks5")


def _headers(headers: dict[str, Any], path: Path) -> Iterator[Finding]:
    taken: set[str] = set()
    for name in headers:
        if name.lower() in taken:
            yield Finding((*path, name), "is there twice: the case of a header's name does not count")
        taken.add(name.lower())


def _connections(entry: dict[str, Any], network: dict[str, Any], path: Path) -> Iterator[Finding]:
    most = network.get("max_conns_per_host", 5000)
    concurrency = _object(entry, "concurrency_and_buffer_size").get("concurrency", 1000)
    if isinstance(most, int) and isinstance(concurrency, int) and 0 < most < concurrency:
        message = f"each call at work has its connection, and concurrency allows {concurrency}: lower that one"
        yield Finding((*path, "network_config", "max_conns_per_host"), message)


def _attempts(providers: dict[str, Any]) -> Iterator[Finding]:
    total = 0
    for name, entry in providers.items():
        network = _object(entry, "network_config") if isinstance(entry, dict) else {}
        retries = network.get("max_retries", 2)
        if not isinstance(retries, int) or not 0 <= retries <= 10:
            continue
        total += 1 + retries
        if total > MAX_ATTEMPTS:
            message = f"with this one, a call that falls back to every provider may lead to {total} upstream requests"
            yield Finding(("providers", name, "network_config", "max_retries"), f"{message}; at most {MAX_ATTEMPTS}")
            return


# --- keys -------------------------------------------------------------------------------------------------------------


def _keys(name: str, entry: dict[str, Any], path: Path, *, needed: bool) -> Iterator[Finding]:
    keys = entry.get("keys", [])
    if not isinstance(keys, list):
        return
    if needed and not keys:
        yield Finding((*path, "keys"), "is missing: this provider needs at least one key")
    names: dict[str, set[Any]] = {"name": set(), "id": set()}
    for index, key in enumerate(keys):
        if not isinstance(key, dict):
            continue
        at: Path = (*path, "keys", index)
        if needed and key.get("enabled") is not False and key.get("value", "") == "":
            yield Finding((*at, "value"), "is missing")
        yield from _repeated({"name": key_name(name, index, key), "id": key.get("id")}, names, at)
        yield from _cycles(key.get("aliases"), (*at, "aliases"))


def _without_models(keys: Any, path: Path) -> Iterator[Finding]:
    """A list that is not there is read as empty, which allows nothing: nobody means that by saying nothing."""
    for index, key in enumerate(keys if isinstance(keys, list) else ()):
        if isinstance(key, dict) and key.get("enabled") is not False and "models" not in key:
            yield Finding((*path, index, "models"), 'is missing: the models that this key may serve, or ["*"] for all')


def _repeated(given: dict[str, Any], taken: dict[str, set[Any]], at: Path) -> Iterator[Finding]:
    for member, value in given.items():
        if not isinstance(value, str) or not value:
            continue
        if value in taken[member]:
            yield Finding((*at, member), f"another key of this provider has this {member} already")
        taken[member].add(value)


def _cycles(aliases: Any, path: Path) -> Iterator[Finding]:
    """Each cycle once, at the first of its aliases. A name that stands for itself is none."""
    if not isinstance(aliases, dict):
        return
    done: set[str] = set()
    for alias in aliases:
        trail: list[str] = []
        step: str | None = alias
        while step is not None and step not in done and step not in trail:
            trail.append(step)
            step = _target(aliases, step)
        if step in trail and _target(aliases, step) != step:
            cycle = " → ".join([*trail[trail.index(step) :], step])
            yield Finding((*path, step), f"stands for itself: {cycle}")
        done.update(trail)


def _target(aliases: dict[str, Any], alias: str) -> str | None:
    target = aliases.get(alias)
    if isinstance(target, dict):
        target = target.get("model_id")
    return target if isinstance(target, str) else None


# --- plugins ----------------------------------------------------------------------------------------------------------


def _plugins(plugins: Any) -> Iterator[Finding]:
    taken: set[str] = set()
    for index, plugin in enumerate(plugins if isinstance(plugins, list) else []):
        name = plugin.get("name") if isinstance(plugin, dict) else None
        if not isinstance(name, str) or plugin.get("enabled") is False:
            continue
        if name in taken:
            yield Finding(("plugins", index, "name"), "another plugin has this name already")
        taken.add(name)
        if name in _PLUGINS_NOT_YET and not plugin.get("path"):
            yield Finding(("plugins", index, "name"), "not yet supported by this version")


def _object(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The member ``name`` if it is an object, else an empty one."""
    member = data.get(name)
    return member if isinstance(member, dict) else {}
