"""Names to addresses: one look-up at a time, remembered for a while, left behind by who leaves; addresses in turn."""

from __future__ import annotations

import socket as stdlib_socket
from collections import Counter
from queue import Queue

import pytest
import trio
import trio.testing

from bifrost_trio.sockets import Poller
from bifrost_trio.upstream import Resolver, direct_dial
from bifrost_trio.upstream.resolve import REMEMBER_SECONDS, Address, LookUp

V4: Address = (stdlib_socket.AF_INET, ("192.0.2.1", 443))


class System:
    """The system's resolver: counts, and answers when it is let."""

    def __init__(self, *, held: bool = False, failures: int = 0) -> None:
        self.asked: Counter[str] = Counter()
        self.answers: Queue[None] = Queue()
        self.held = held
        self.failures = failures

    def __call__(self, host: str, port: int) -> list[Address]:
        self.asked[host] += 1
        if self.held:
            self.answers.get(timeout=10)
        if self.failures:
            self.failures -= 1
            raise stdlib_socket.gaierror(-3, "Temporary failure in name resolution")
        return [V4]


def test_it_is_a_look_up() -> None:
    look_up: LookUp = System()
    assert look_up("a.test", 443) == [V4]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", (stdlib_socket.AF_INET, ("127.0.0.1", 443))),
        ("::1", (stdlib_socket.AF_INET6, ("::1", 443))),
        ("[::1]", (stdlib_socket.AF_INET6, ("::1", 443))),
        ("2001:db8:0:0::1", (stdlib_socket.AF_INET6, ("2001:db8::1", 443))),
    ],
)
async def test_an_address_is_not_looked_up(host: str, expected: Address) -> None:
    system = System()
    assert await Resolver(system).resolve(host, 443) == [expected]
    assert not system.asked


async def test_the_systems_own_resolver() -> None:
    found = await Resolver().resolve("localhost", 443)
    assert {address[0] for _, address in found} <= {"127.0.0.1", "::1"}
    assert found


@pytest.mark.parametrize("name", ["x" * 64 + ".test", "a..test", ".test"])
async def test_what_is_no_name_is_not_found(name: str) -> None:
    with pytest.raises(OSError, match=r".+"):
        await Resolver().resolve(name, 443)


async def test_one_look_up_at_a_time() -> None:
    system = System(held=True)
    resolver = Resolver(system)
    found: list[list[Address]] = []

    async def ask(host: str) -> None:
        found.append(await resolver.resolve(host, 443))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask, "a.test")
            nursery.start_soon(ask, "b.test")
        await trio.testing.wait_all_tasks_blocked(0.05)
        for _ in range(2):
            system.answers.put(None)
    assert found == [[V4]] * 40
    assert system.asked == {"a.test": 1, "b.test": 1}


async def test_an_answer_is_remembered_for_a_while(mock_clock: trio.testing.MockClock) -> None:
    system = System()
    resolver = Resolver(system)
    for jump, asked in ((0, 1), (REMEMBER_SECONDS - 1, 1), (1.5, 2), (1, 2)):
        mock_clock.jump(jump)
        await resolver.resolve("a.test", 443)
        assert system.asked["a.test"] == asked
    await resolver.resolve("a.test", 80)
    assert system.asked["a.test"] == 3
    resolver.forget("a.test", 443)
    resolver.forget("never.test", 443)
    await resolver.resolve("a.test", 443)
    assert system.asked["a.test"] == 4


async def test_a_failure_is_not_remembered() -> None:
    resolver = Resolver(System(failures=1))
    with pytest.raises(OSError, match="Temporary"):
        await resolver.resolve("a.test", 443)
    assert await resolver.resolve("a.test", 443) == [V4]


async def test_who_leaves_waits_for_no_thread() -> None:
    system = System(held=True)
    resolver = Resolver(system)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(resolver.resolve, "a.test", 443)
        await trio.testing.wait_all_tasks_blocked(0.02)
        nursery.cancel_scope.cancel()
    assert system.asked["a.test"] == 1  # and it still hangs
    # Who comes next asks for himself.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(resolver.resolve, "a.test", 443)
        await trio.testing.wait_all_tasks_blocked(0.02)
        for _ in range(2):
            system.answers.put(None)
    assert system.asked["a.test"] == 2


async def test_who_waited_for_one_that_left_asks_again() -> None:
    system = System(held=True)
    resolver = Resolver(system)
    found: list[list[Address]] = []

    async def second() -> None:
        found.append(await resolver.resolve("a.test", 443))

    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def leave() -> None:
            with first:
                await resolver.resolve("a.test", 443)

        nursery.start_soon(leave)
        await trio.testing.wait_all_tasks_blocked(0.02)
        nursery.start_soon(second)
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
        for _ in range(2):
            system.answers.put(None)
    assert found == [[V4]]


# --- connecting ---


async def listening() -> trio.SocketListener:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listener


async def refusing_port() -> int:
    listener = await listening()
    port: int = listener.socket.getsockname()[1]
    await listener.aclose()
    return port


async def test_one_address_after_another() -> None:
    listener = await listening()
    port: int = listener.socket.getsockname()[1]
    refused = await refusing_port()
    addresses: list[Address] = [
        (stdlib_socket.AF_INET, ("127.0.0.1", refused)),
        (stdlib_socket.AF_INET6, ("::1", refused)),
        (stdlib_socket.AF_INET, ("127.0.0.1", port)),
    ]
    poller = Poller()
    async with trio.open_nursery() as nursery, listener:
        await nursery.start(poller.run)
        socket = await direct_dial(poller, Resolver(lambda host, port: addresses))("up.test", 443, 5.0)
        accepted = await listener.accept()
        await accepted.send_all(b"hello")
        assert await socket.receive(5.0) == b"hello"
        socket.close()
        await accepted.aclose()
        nursery.cancel_scope.cancel()


async def test_no_address_answers() -> None:
    """The error is the last one's, and the name is looked up anew the next time."""
    system = System()
    refused = await refusing_port()

    def look_up(host: str, port: int) -> list[Address]:
        system(host, port)
        return [(stdlib_socket.AF_INET, ("127.0.0.1", refused))] * 2

    poller = Poller()
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        dial = direct_dial(poller, Resolver(look_up))
        for _ in range(2):
            with pytest.raises(OSError, match="onnection"):
                await dial("up.test", 443, 5.0)
        assert system.asked["up.test"] == 2
        with pytest.raises(OSError, match="no address"):
            await direct_dial(poller, Resolver(lambda host, port: []))("up.test", 443, 5.0)
        nursery.cancel_scope.cancel()


async def test_a_look_up_that_hangs_has_the_limit_of_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    system = System(held=True)
    with pytest.raises(trio.TooSlowError):
        await direct_dial(Poller(), Resolver(system))("up.test", 443, 5.0)
    assert trio.current_time() == pytest.approx(5.0)
    system.answers.put(None)
