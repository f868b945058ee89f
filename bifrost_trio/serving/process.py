"""One serving process: a gateway, its server, and what may happen to them: reloading, draining."""

from __future__ import annotations

import gc
import logging
import socket as stdlib_socket
import ssl
from collections.abc import Callable, Sequence

import trio

from bifrost_trio.app import RunningGateway, open_gateway
from bifrost_trio.config import Config, format_problems
from bifrost_trio.errors import ConfigError
from bifrost_trio.server import HypercornProtocols, Server
from bifrost_trio.serving.settings import timeouts_of, tls_context
from bifrost_trio.telemetry import Telemetry
from bifrost_trio.transport import AsgiCalls

__all__ = ["ServingProcess"]

log = logging.getLogger("bifrost_trio.serving")


class ServingProcess:
    """Serves on ``listeners``, which become its own, until it is drained."""

    def __init__(self, config: Config, listeners: Sequence[stdlib_socket.socket], telemetry: Telemetry) -> None:
        self._config = config
        self._listeners = list(listeners)
        self._telemetry = telemetry
        self._gateway: RunningGateway | None = None
        self._server: Server | None = None
        self._others: HypercornProtocols | None = None
        self._run = trio.CancelScope()
        self._reloading = trio.Lock()
        self.draining = False

    async def run(self, accepting: Callable[[], None]) -> None:
        """Calls ``accepting`` when clients may come. Returns when drained, and everything has ended.

        Raises ConfigError, within the groups of the nurseries around it, where the configuration cannot be used.
        """
        try:
            with self._run:
                await self._serve(accepting)
        finally:
            self._close_listeners()

    async def _serve(self, accepting: Callable[[], None]) -> None:
        server_config = self._config.server
        context = tls_context(server_config)
        async with open_gateway(self._config, telemetry=self._telemetry) as gateway:
            self._gateway = gateway
            timeouts = timeouts_of(server_config)
            self._others = others = HypercornProtocols(
                AsgiCalls(gateway, body_limit=timeouts.body), timeouts, http2=server_config.http2
            )
            if context is not None and server_config.http2:
                others.load()
            self._server = server = Server(
                gateway,
                gateway.poller,
                timeouts=timeouts,
                context=context,
                others=others,
                max_connections=server_config.max_connections,
            )
            self._telemetry.watch_server(server)
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve, self._listeners)
                # What lives as long as the process is not to be looked at by every full collection.
                gc.collect()
                gc.freeze()
                accepting()

    def drain(self) -> None:
        """No new connections; calls in flight may finish within ``server.drain_timeout_in_seconds``."""
        self.draining = True
        if self._server is None:
            self._run.cancel()
            return
        self._server.drain()
        self._close_listeners()

    def _close_listeners(self) -> None:
        # At once, not when the last call is over: a client or a successor that comes now must not wait in the queue.
        while self._listeners:
            listener = self._listeners.pop()
            trio.lowlevel.notify_closing(listener)
            listener.close()

    async def reload(self, read: Callable[[], Config]) -> Config | None:
        """Takes another configuration into use and returns it, or logs every reason why not and changes nothing."""
        async with self._reloading:
            if self._gateway is None or self._server is None or self.draining:
                return None
            try:
                config = read()
                context = tls_context(config.server)
                # What was frozen is never collected: the stations that go are to be seen again.
                gc.unfreeze()
                await self._gateway.use(config)
            except ConfigError as error:
                problems = format_problems(error.problems)
                log.error("the configuration was not reloaded, the old one stays in use:\n%s", problems)
                return None
            except Exception:
                log.exception("the configuration was not reloaded, the old one stays in use")
                return None
            finally:
                gc.collect()
                gc.freeze()
            self._adopt(config, self._server, context)
            return config

    def _adopt(self, config: Config, server: Server, context: ssl.SSLContext | None) -> None:
        if (context is None) == (server.context is None):
            server.context = context
        server.timeouts = timeouts_of(config.server)
        if self._others is not None:
            self._others.timeouts = server.timeouts
            self._others.http2 = config.server.http2
        server.max_connections = config.server.max_connections
        log.info("the configuration was reloaded")
