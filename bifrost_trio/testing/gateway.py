"""A whole gateway, from its server to its upstream connections, without a port."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import trio
import trio.testing

from bifrost_trio.app import MakePlugins, RunningGateway, open_gateway
from bifrost_trio.config import Config
from bifrost_trio.plugins import Plugin, load_plugins
from bifrost_trio.server import Server, Timeouts
from bifrost_trio.sockets import Poller, Socket
from bifrost_trio.testing.client import Client, ClientAnswer
from bifrost_trio.testing.home import away
from bifrost_trio.testing.pairs import socket_pair
from bifrost_trio.testing.upstream import ScriptedUpstream
from bifrost_trio.upstream import Dial

__all__ = ["MemoryGateway", "Upstreams", "config_for_tests", "gateway_in_memory"]

Upstreams: TypeAlias = ScriptedUpstream | Mapping[str, ScriptedUpstream]
"""One for all providers, or one each by the provider's name."""


def config_for_tests(settings: Mapping[str, Any] | None = None) -> Config:
    """A configuration whose providers need no network.

    Each gets ``http://NAME.test`` for its address and a key that may serve every model, where ``settings`` (as in the
    configuration file) say nothing else. Without ``settings``: the providers ``openai`` and ``anthropic``.
    """
    said = dict(settings or {})
    providers = {name: dict(given or {}) for name, given in said.get("providers", _TWO).items()}
    for name, given in providers.items():
        given["network_config"] = {"base_url": f"http://{name}.test", **given.get("network_config", {})}
        if not given.get("custom_provider_config", {}).get("is_key_less"):
            given.setdefault("keys", [{"name": f"{name}-key", "value": f"sk-test-{name}", "models": ["*"]}])
    return Config.from_dict({**said, "providers": providers})


_TWO: dict[str, Any] = {"openai": {}, "anthropic": {}}


@asynccontextmanager
async def gateway_in_memory(
    config: Config | Mapping[str, Any] | None = None,
    upstream: Upstreams | None = None,
    *,
    plugins: Sequence[Plugin] = (),
    timeouts: Timeouts | None = None,
) -> AsyncIterator[MemoryGateway]:
    """A running gateway; what is not a `Config` goes through `config_for_tests`. Everything ends with the block.

    Without ``upstream`` a mock provider answers. ``plugins`` run behind those of the configuration. What the block
    raises comes out as it is.
    """
    config = config if isinstance(config, Config) else config_for_tests(config)
    upstream = ScriptedUpstream() if upstream is None else upstream
    unforeseen = _Unforeseen()
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        for one in [upstream] if isinstance(upstream, ScriptedUpstream) else upstream.values():
            one.attach(nursery)
        try:
            with unforeseen:
                async with (
                    open_gateway(config, dial=_dial(upstream), make_plugins=_and(plugins)) as gateway,
                    _served(gateway, timeouts, unforeseen.messages) as memory,
                ):
                    yield memory
        except Exception as error:
            # Raised behind the nursery: what the block raised is not to arrive as a group of one.
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


@asynccontextmanager
async def _served(
    gateway: RunningGateway, timeouts: Timeouts | None, unforeseen: list[str]
) -> AsyncIterator[MemoryGateway]:
    failure: Exception | None = None
    async with trio.open_nursery() as connections:
        server = Server(gateway, gateway.poller, timeouts=timeouts)
        memory = MemoryGateway(gateway, server, connections, unforeseen)
        try:
            yield memory
        except Exception as error:
            failure = error
        finally:
            memory.hang_up()
            connections.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _and(plugins: Sequence[Plugin]) -> MakePlugins:
    for plugin in plugins:
        plugin.name = plugin.name or type(plugin).__name__
    return lambda entries: [*load_plugins(entries), *plugins]


def _dial(upstream: Upstreams) -> Any:
    if isinstance(upstream, ScriptedUpstream):
        return upstream.dial

    def dial(poller: Poller) -> Dial:
        dials = {name: one.dial(poller) for name, one in upstream.items()}

        async def connect(host: str, port: int, limit: float) -> Socket:
            found = dials.get(host.partition(".")[0])
            if found is None:
                raise ConnectionRefusedError(f"no upstream is given for {host}")
            return await found(host, port, limit)

        return connect

    return dial


class MemoryGateway:
    """``running`` is the gateway itself, ``server`` the server in front of it."""

    def __init__(
        self, running: RunningGateway, server: Server, connections: trio.Nursery, unforeseen: list[str]
    ) -> None:
        self.running = running
        self.server = server
        self.unforeseen = unforeseen
        """What the gateway logged as an error of its own."""
        self._connections = connections
        self._clients: list[Client] = []

    def client(self) -> Client:
        """A new connection."""
        own, other = socket_pair()
        client = Client(own, other)
        self._clients.append(client)
        self.server.accept(other, self._connections)
        return client

    def hang_up(self) -> None:
        """Closes the connections of all clients."""
        for client in self._clients:
            client.hang_up()

    async def ask(self, text: str, model: str = "openai/mock-1", **members: Any) -> ClientAnswer:
        """Posts a chat with one message to ``/v1/chat/completions`` on a connection of its own; the whole answer.

        ``members`` are further ones of the request: ``stream=True``, ``fallbacks=["anthropic/mock-1"]``.
        """
        client = self.client()
        wire = {"model": model, "messages": [{"role": "user", "content": text}], **members}
        try:
            return await client.post("/v1/chat/completions", wire)
        finally:
            client.hang_up()

    async def quiet(self) -> None:
        """Waits until nothing moves any more, then `assert_home`."""
        await trio.testing.wait_all_tasks_blocked()
        self.assert_home()

    def assert_home(self) -> None:
        """Asserts that every worker, connection, body and call is home; says which one is not."""
        __tracebackhide__ = True
        clients = sum(client.open for client in self._clients)
        found = [*away(self.running, self.server, clients), *dict.fromkeys(self.unforeseen)]
        assert not found, "not home: " + "; ".join(found)


class _Unforeseen(logging.Handler):
    """Collects the errors that the gateway logs about itself: no test may pass over them."""

    LOGGERS = ("bifrost_trio.server", "bifrost_trio.transport")

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        problem = record.exc_info[1] if record.exc_info else None
        self.messages.append(f"{record.getMessage()}: {problem!r}" if problem else record.getMessage())

    def __enter__(self) -> None:
        for name in self.LOGGERS:
            logging.getLogger(name).addHandler(self)

    def __exit__(self, *_: object) -> None:
        for name in self.LOGGERS:
            logging.getLogger(name).removeHandler(self)
