"""One serving process: a gateway, its server, and what may happen to them: reloading, draining."""

from __future__ import annotations

import gc
import logging
import socket as stdlib_socket
import ssl
from collections.abc import Callable, Sequence

import trio

from bifrost_trio.app import RunningGateway, open_gateway
from bifrost_trio.config import Config, ServerConfig, format_problems
from bifrost_trio.errors import ConfigError
from bifrost_trio.server import HypercornProtocols, Server
from bifrost_trio.serving.settings import timeouts_of, tls_context
from bifrost_trio.sockets import Share
from bifrost_trio.telemetry import Telemetry
from bifrost_trio.transport import AsgiCalls

__all__ = ["ServingProcess"]

log = logging.getLogger("bifrost_trio.serving")


COLLECTIONS = (10_000, 20, 50)
"""Thresholds of the garbage collector. A call leaves no cycles behind (`tests/test_memory.py`), so looking for them at
every 700th allocation, as Python does, finds nothing: it only takes a third of the processor time of a call. In a rush
of calls that stay open a look finds all its objects alive, and no stream goes on meanwhile: so they are not more."""


class _Open:
    """A gateway that runs, and what serves it."""

    __slots__ = ("_calls", "_others", "gateway", "server")

    def __init__(
        self, gateway: RunningGateway, config: ServerConfig, context: ssl.SSLContext | None, share: Share | None
    ) -> None:
        timeouts = timeouts_of(config)
        self.gateway = gateway
        self._calls = AsgiCalls(gateway, body_limit=timeouts.body)
        self._others = HypercornProtocols(self._calls, timeouts, http2=config.http2)
        if context is not None and config.http2:
            self._others.load()
        self.server = Server(
            gateway,
            gateway.poller,
            timeouts=timeouts,
            context=context,
            others=self._others,
            max_connections=config.max_connections,
            share=share,
        )

    def adopt(self, config: ServerConfig, context: ssl.SSLContext | None) -> None:
        """For connections to come; whether they speak TLS is settled."""
        server = self.server
        if (context is None) == (server.context is None):
            server.context = context
        server.timeouts = self._others.timeouts = timeouts_of(config)
        server.max_connections = config.max_connections
        self._others.http2 = config.http2
        self._calls.body_limit = server.timeouts.body


class ServingProcess:
    """Serves on ``listeners``, which become its own, until it is drained."""

    def __init__(
        self,
        config: Config,
        listeners: Sequence[stdlib_socket.socket],
        telemetry: Telemetry,
        share: Share | None = None,
    ) -> None:
        self._config = config
        self._listeners = list(listeners)
        self._telemetry = telemetry
        self._share = share
        self._open: _Open | None = None
        self.opened = trio.Event()
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
        context = tls_context(self._config.server)
        async with open_gateway(self._config, telemetry=self._telemetry) as gateway:
            self._open = opened = _Open(gateway, self._config.server, context, self._share)
            self._telemetry.watch_server(opened.server)
            self._telemetry.defer(gateway.poller)
            gateway.poller.on_sent = self._telemetry.count_sent
            async with trio.open_nursery() as nursery:
                await nursery.start(opened.server.serve, self._listeners)
                # What lives as long as the process is not to be looked at by every full collection.
                gc.collect()
                gc.freeze()
                gc.set_threshold(*COLLECTIONS)
                self.opened.set()
                accepting()

    def drain(self) -> None:
        """No new connections; calls in flight may finish within ``server.drain_timeout_in_seconds``."""
        self.draining = True
        if self._open is None:
            self._run.cancel()
            return
        self._open.server.drain()
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
            if self._open is None or self.draining:
                return None
            try:
                config = read()
                context = tls_context(config.server)
                # What was frozen is never collected: the stations that go are to be seen again.
                gc.unfreeze()
                await self._open.gateway.use(config)
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
            self._open.adopt(config.server, context)
            log.info("the configuration was reloaded")
            return config
