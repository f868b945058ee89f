"""One of several serving processes: ``python -m bifrost_trio.serving.worker CONTROL SHARES LISTENER…`` (descriptors).

It obeys its supervisor. SIGTERM drains it, too: another one takes its place.
"""

from __future__ import annotations

import os
import signal
import socket as stdlib_socket
import sys

import trio

from bifrost_trio.errors import ConfigError, Unavailable
from bifrost_trio.server import control as said
from bifrost_trio.serving.orders import Orders
from bifrost_trio.serving.process import ServingProcess
from bifrost_trio.serving.settings import ConfigSource, config_error_in
from bifrost_trio.sockets import PollingClock, Share, Shares
from bifrost_trio.telemetry import LEARNED_MODELS, Telemetry, configure_logging

__all__ = ["main"]

PUSH_SECONDS = 1.0
"""How often the supervisor gets what was counted unasked: a worker that is killed loses no more than this."""

SCRAPE_SECONDS = 2.0
"""How long a scrape waits for the supervisor."""


class Worker:
    """Serves as the supervisor says."""

    def __init__(
        self, control: said.Control, orders: Orders, listeners: list[stdlib_socket.socket], share: Share | None
    ) -> None:
        self._control = control
        self._source = ConfigSource(None, os.environ, orders.overrides, orders.insecure_no_authentication)
        self._telemetry = Telemetry(log=orders.log, learned_models=LEARNED_MODELS, collect=self.collect)
        config = self._source.from_content(orders.content)
        self._process = ServingProcess(config, listeners, self._telemetry, share)
        self._scrapes: dict[int, trio.MemorySendChannel[bytes]] = {}
        self._asked = 0

    async def run(self) -> None:
        """Until it is drained. Raises ConfigError, in a group."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._obey, nursery)
            nursery.start_soon(self._obey_sigterm)
            nursery.start_soon(self._push)
            await self._process.run(lambda: self._control.say(said.Accepting()))
            nursery.cancel_scope.cancel()
        self._say_snapshot(0)

    async def _obey(self, nursery: trio.Nursery) -> None:
        while (message := await self._control.receive()) is not None:
            match message:
                case said.Gather(number):
                    self._say_snapshot(number)
                case said.Exposition(number, text) if number in self._scrapes:
                    self._scrapes[number].send_nowait(text)
                case said.Reload(orders):
                    nursery.start_soon(self._reload, Orders.decode(orders))
                case said.Drain():
                    self._process.drain()
        # The supervisor is gone, and nobody is left to tell this process when to end.
        self._process.drain()

    async def _obey_sigterm(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                self._process.drain()

    async def _reload(self, orders: Orders) -> None:
        await self._process.opened.wait()
        taken = await self._process.reload(lambda: self._source.from_content(orders.content))
        if taken is None and not self._process.draining:
            self._control.say(said.Kept())

    # --- metrics ---

    async def _push(self) -> None:
        while True:
            await trio.sleep(PUSH_SECONDS)
            if not self._control.behind:
                self._say_snapshot(0)

    def _say_snapshot(self, number: int) -> None:
        self._control.say(said.Snapshot(number, self._telemetry.snapshot()))

    async def collect(self) -> bytes:
        """The metrics of all workers, in Prometheus' text format. Raises Unavailable."""
        self._asked = number = self._asked + 1
        self._scrapes[number], answers = trio.open_memory_channel[bytes](1)
        self._control.say(said.Scrape(number))
        try:
            with trio.fail_after(SCRAPE_SECONDS):
                return await answers.receive()
        except trio.TooSlowError:
            # Its own numbers alone would be lower than the last ones, which looks like a restart.
            raise Unavailable("the supervisor did not answer in time", code="metrics_unavailable") from None
        finally:
            self._scrapes.pop(number).close()
            answers.close()


async def work(
    control_socket: stdlib_socket.socket, listeners: list[stdlib_socket.socket], shares: Shares | None
) -> None:
    control = said.Control(control_socket)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(control.run)
        start = await control.receive()
        if isinstance(start, said.Start):
            orders = Orders.decode(start.orders)
            configure_logging(orders.log)
            share = shares.share(int(start.worker)) if shares is not None else None
            await _serve(control, orders, listeners, share)
        control.finish()


async def _serve(
    control: said.Control, orders: Orders, listeners: list[stdlib_socket.socket], share: Share | None
) -> None:
    try:
        await Worker(control, orders, listeners, share).run()
    except ConfigError as error:
        _fail(control, error)
    except BaseExceptionGroup as group:
        error_within = config_error_in(group)
        if error_within is None:
            raise
        _fail(control, error_within)


def _fail(control: said.Control, error: ConfigError) -> None:
    control.say(said.Failed([(problem.path, problem.message) for problem in error.problems]))


def main() -> None:
    # The supervisor decides what these mean; it has a process group of its own, but somebody may name this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    spoken, shared, *heard = map(int, sys.argv[1:])
    control, *listeners = [stdlib_socket.socket(fileno=descriptor) for descriptor in (spoken, *heard)]
    shares = Shares(shared) if shared >= 0 else None
    for listener in listeners:
        listener.setblocking(False)
    trio.run(work, control, listeners, shares, clock=PollingClock())


if __name__ == "__main__":
    main()
