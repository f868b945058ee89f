"""The gateway of one process: the stations stacked in their order, and everything that lives as long as they do.

The order is written once, in `stack`. `open_gateway` owns the nursery, the poller and the deadline sweep; ``serve``,
the ASGI lifespan and the library all use it. `app` is the gateway as a plain ASGI application:
``hypercorn -k trio bifrost_trio.app:app``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import trio

from bifrost_trio.config import Config, PluginConfig, load
from bifrost_trio.errors import ConfigError, GatewayError, Problem, ProviderFault
from bifrost_trio.formats import FORMATS
from bifrost_trio.mcp import tools
from bifrost_trio.plugins import Plugin, Plugins, load_plugins
from bifrost_trio.providers import Provider, ProviderModel, build_provider
from bifrost_trio.router import ListedModel, ModelLists, Router, Targets
from bifrost_trio.sockets import Poller, client_context
from bifrost_trio.telemetry import LEARNED_MODELS, LogMode, Telemetry, configure_logging
from bifrost_trio.transport import (
    Admission,
    AsgiTransport,
    BodyBudget,
    Heartbeat,
    Inference,
    Listing,
    Observation,
    Route,
    Transport,
    inference_routes,
)
from bifrost_trio.types import Body, Request, Sink, Station
from bifrost_trio.upstream import Dial, direct_dial
from bifrost_trio.workers import Attempts, Key, Workers, build_attempts, configured_models

__all__ = ["Assembly", "MakePlugins", "RunningGateway", "app", "open_gateway", "stack"]

log = logging.getLogger("bifrost_trio.app")

CLOSE_SECONDS = 1.0
"""What a plugin may take to close: no shield lasts longer."""

LISTING_KEYS = 3
"""Keys of a provider that are tried for its list of models: a dead one must not hide it, and all are asked for seconds
at most."""

MakePlugins: TypeAlias = Callable[[Sequence[PluginConfig]], list[Plugin]]
"""The ``plugins`` of a configuration to those that run, in their order. Raises ConfigError."""


def stack(
    targets: Targets, plugins: list[Plugin], providers: Mapping[str, Attempts], background: trio.Nursery
) -> tuple[Station, Plugins | None]:
    """The path from the router on, and its chain of plugins: without plugins it is not in the path.

    ``providers`` stand behind their attempts; server and transport come before it all.

    Server → Transport → Router → Plugins → MCP → Workers → Providers → Upstream
    """
    following = tools(Workers(providers))
    chain = Plugins(plugins, following, background) if plugins else None
    return Router(targets, chain or following), chain


@dataclass(frozen=True, slots=True)
class Assembly:
    """The stations of one configuration. A reload makes another one; calls in flight keep theirs."""

    config: Config
    transport: Transport
    inference: Inference
    models: ModelLists
    attempts: Mapping[str, Attempts]
    providers: Mapping[str, Provider]
    plugins: tuple[Plugin, ...]
    chain: Plugins | None
    budget: BodyBudget


class RunningGateway:
    """An application for a server. Made by `open_gateway`."""

    def __init__(
        self,
        nursery: trio.Nursery,
        poller: Poller,
        dial: Callable[[], Dial],
        telemetry: Telemetry,
        make_plugins: MakePlugins,
    ) -> None:
        self.poller = poller
        self.telemetry = telemetry
        self._assembly: Assembly | None = None
        self._budget = BodyBudget()
        self._nursery = nursery
        self._dial = dial
        self._make_plugins = make_plugins
        self._clock = trio.lowlevel.current_clock().current_time

    def __call__(self, request: Request, body: Body, sink: Sink) -> Awaitable[None]:
        assembly = self._assembly
        return (assembly or self.assembly).transport(request, body, sink)

    async def refuse(self, error: GatewayError, sink: Sink) -> None:
        await self.assembly.transport.refuse(error, sink)

    async def use(self, config: Config) -> None:
        """Builds the stations of a configuration beside those in use, and swaps them. Raises ConfigError.

        What raises changes nothing. Calls in flight end on the stations on which they began.
        """
        plugins = await _opened(self._make_plugins(config.plugins))
        try:
            assembly = self._assemble(config, plugins)
        except BaseException:
            await _close(plugins)
            raise
        old, self._assembly = self._assembly, assembly
        self._limit_bodies(config)
        self.telemetry.log_calls = config.client.enable_logging
        self.telemetry.watch(assembly, poller=self.poller, plugins=assembly.chain)
        if old is not None:
            self._nursery.start_soon(_retire, old, self.telemetry)

    def _limit_bodies(self, config: Config) -> None:
        # One budget for as long as the process lives: bodies that came before a reload take the same memory.
        self._budget.largest = config.client.max_request_body_size_mb * 2**20
        self._budget.limit = config.server.memory_budget_in_mb * 2**20
        self._budget.patience = config.server.body_timeout_in_seconds

    def _assemble(self, config: Config, plugins: list[Plugin]) -> Assembly:
        context_of = cache(client_context)
        providers = {
            name: build_provider(part, self._dial, context_of, self._clock) for name, part in config.providers.items()
        }
        attempts = {
            name: build_attempts(part, config.client, providers[name], self._clock)
            for name, part in config.providers.items()
        }
        asks = {name: _asker(providers[name], attempts[name]) for name in providers}
        models = ModelLists(configured_models(config.providers), asks)
        targets = Targets(providers, models)
        path, chain = stack(targets, plugins, attempts, self._nursery)
        interval = config.server.stream_comment_after_seconds
        heartbeat = Heartbeat(interval, self._nursery) if interval else None
        may_forward = config.client.header_filter_config.allows
        inference = Inference(path, self.telemetry.settle, self._budget, may_forward, heartbeat, self._clock)
        client = config.client
        admission = Admission(client.required_headers, client.allowed_origins, client.allowed_headers)
        transport = Transport(
            inference, inference_routes(), self._other_routes(models), admission, self.telemetry.count_refused
        )
        return Assembly(config, transport, inference, models, attempts, providers, tuple(plugins), chain, self._budget)

    def _other_routes(self, models: ModelLists) -> list[Route]:
        listing = Listing(models.refresh, models.all)
        observation = Observation(self.telemetry.exposition)
        openai, anthropic = FORMATS["openai_chat"], FORMATS["anthropic"]
        return [
            Route("/v1/models", "GET", listing.native, openai),
            Route("/openai/v1/models", "GET", listing.openai, openai, native=False),
            Route("/openai/models", "GET", listing.openai, openai, native=False),
            Route("/anthropic/v1/models", "GET", listing.anthropic, anthropic, native=False),
            Route("/health", "GET", observation.health, openai, open=True),
            Route("/metrics", "GET", observation.metrics, openai, open=True),
        ]

    @property
    def assembly(self) -> Assembly:
        """The stations in use. Raises RuntimeError before `use`."""
        if self._assembly is None:
            raise RuntimeError("the gateway has no configuration yet")
        return self._assembly

    async def close(self) -> None:
        """Closes connections and plugins without waiting for calls: their scopes are the caller's to cancel."""
        if self._assembly is not None:
            for provider in self._assembly.providers.values():
                provider.close()
            await _close(self._assembly.plugins)


async def _opened(plugins: list[Plugin]) -> list[Plugin]:
    """All of them, or none: ConfigError names the one that could not be opened."""
    opened: list[Plugin] = []
    try:
        for plugin in plugins:
            await plugin.open()
            opened.append(plugin)
    except BaseException as error:
        await _close(opened)
        if isinstance(error, Exception):
            message = f"plugin {plugins[len(opened)].name} cannot be opened: {type(error).__name__}: {error}"
            raise ConfigError([Problem(message, "plugins")]) from error
        raise
    return plugins


async def _retire(assembly: Assembly, telemetry: Telemetry) -> None:
    """Stations that a reload has replaced: their idle connections close now, their plugins after the last call."""
    for provider in assembly.providers.values():
        provider.close()
    try:
        await assembly.inference.wait_idle()
    finally:
        await _close(assembly.plugins)
        telemetry.retire(assembly)


async def _close(plugins: Sequence[Plugin]) -> None:
    """In reverse order, a second for each, also when everything is being cancelled. What one raises is logged."""
    for plugin in reversed(plugins):
        with trio.move_on_after(CLOSE_SECONDS) as scope:
            scope.shield = True
            try:
                await plugin.close()
            except Exception:
                log.exception("plugin %s could not be closed", plugin.name)


def _asker(provider: Provider, attempts: Attempts) -> Callable[[], Awaitable[list[ListedModel]]]:
    async def ask() -> list[ListedModel]:
        keys = attempts.keys
        listed = await _listed(provider, keys.keys[:LISTING_KEYS])
        allowed = set(keys.models_allowed([model.model for model in listed]))
        return [
            ListedModel(m.provider, m.model, m.created, m.owned_by, m.display_name)
            for m in listed
            if m.model in allowed
        ]

    return ask


async def _listed(provider: Provider, keys: Sequence[Key]) -> list[ProviderModel]:
    """What the provider lists for the first of the keys that it does not refuse. Raises GatewayError."""
    for key in keys[:-1]:
        try:
            return await provider.list_models(key)
        except ProviderFault:
            log.info("provider %s did not list its models for key %s", provider.name, key.name)
    return await provider.list_models(keys[-1] if keys else None)


@asynccontextmanager
async def open_gateway(
    config: Config,
    *,
    dial: Callable[[Poller], Dial] = direct_dial,
    telemetry: Telemetry | None = None,
    make_plugins: MakePlugins = load_plugins,
) -> AsyncIterator[RunningGateway]:
    """The gateway of this process, until the block is left. ``dial`` makes what connects to a provider,
    ``make_plugins`` the plugins.

    Raises ConfigError. Everything that was started ends with the block.
    """
    poller = Poller()
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        gateway = RunningGateway(
            nursery, poller, lambda: dial(poller), telemetry or Telemetry(learned_models=LEARNED_MODELS), make_plugins
        )
        nursery.start_soon(gateway.telemetry.run)
        try:
            await gateway.use(config)
            yield gateway
        except Exception as error:
            # Raised behind the nursery: what the block raised is not to arrive as a group of one.
            failure = error
        finally:
            await gateway.close()
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


@asynccontextmanager
async def _open_from_environment() -> AsyncIterator[RunningGateway]:
    """For ASGI servers: the file that BIFROST_CONFIG names, else ``config.json`` here, else the environment alone.

    BIFROST_LOG is the form of the log's lines, as ``--log`` is for ``serve``.
    """
    mode = _log_mode(os.environ.get("BIFROST_LOG", "text"))
    configure_logging(mode)
    named = os.environ.get("BIFROST_CONFIG")
    path = Path(named) if named else Path("config.json")
    config = load(path if named or path.exists() else None, os.environ)
    async with open_gateway(config, telemetry=Telemetry(log=mode, learned_models=LEARNED_MODELS)) as gateway:
        yield gateway


def _log_mode(name: str) -> LogMode:
    modes: tuple[LogMode, ...] = ("text", "json", "none")
    for mode in modes:
        if name == mode:
            return mode
    raise ConfigError([Problem(f"expected one of {', '.join(modes)}", "BIFROST_LOG")])


app = AsgiTransport(_open_from_environment)
