"""Host names to addresses: the system's resolver, in a thread, once per host at a time, remembered for a while."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import TypeAlias

import trio

__all__ = ["Address", "LookUp", "Resolver"]

Address: TypeAlias = tuple[int, tuple[str, int]]
"""A socket family and an address that `socket.connect` takes."""

LookUp: TypeAlias = Callable[[str, int], list[Address]]
"""A host and a port to its addresses. Raises OSError."""

REMEMBER_SECONDS = 30.0
"""`getaddrinfo` tells no time to live. Providers move by DNS within minutes; a look-up costs about a millisecond."""

THREADS = 4
"""Look-ups of one provider at once: a resolver that hangs costs the other providers nothing."""


class Resolver:
    """One per provider, so that a host whose look-up hangs takes no thread from another provider."""

    def __init__(self, look_up: LookUp | None = None) -> None:
        """``look_up`` blocks, in a thread; the system's where none is given."""
        self._look_up = look_up or _getaddrinfo
        self._known: dict[tuple[str, int], tuple[float, list[Address]]] = {}
        self._asking: dict[tuple[str, int], trio.Event] = {}
        self._threads = trio.CapacityLimiter(THREADS)

    async def resolve(self, host: str, port: int) -> list[Address]:
        """All addresses, in the system's order of preference. Raises OSError.

        Cancelled, it leaves its thread behind.
        """
        literal = _literal(host, port)
        if literal is not None:
            return [literal]
        name = (host, port)
        while True:
            known = self._known.get(name)
            if known is not None and known[0] > trio.current_time():
                return known[1]
            asking = self._asking.get(name)
            if asking is None:
                return await self._ask(name)
            await asking.wait()

    async def _ask(self, name: tuple[str, int]) -> list[Address]:
        self._asking[name] = answered = trio.Event()
        try:
            found = await trio.to_thread.run_sync(self._look_up, *name, abandon_on_cancel=True, limiter=self._threads)
            self._known[name] = (trio.current_time() + REMEMBER_SECONDS, found)
            return found
        finally:
            del self._asking[name]
            answered.set()

    def forget(self, host: str, port: int) -> None:
        """After a connection to every known address failed."""
        self._known.pop((host, port), None)


def _literal(host: str, port: int) -> Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return (socket.AF_INET if address.version == 4 else socket.AF_INET6, (str(address), port))


def _getaddrinfo(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host!r} is no name of a host") from error
    return [
        (family, (address[0], address[1]))
        for family, _, _, _, address in found
        if isinstance(address[0], str) and isinstance(address[1], int)
    ]
