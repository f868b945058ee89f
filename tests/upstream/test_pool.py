"""Connections are lent newest first, never when they are of no use any more, and always come home."""

from __future__ import annotations

import socket as stdlib_socket

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ConnectionBroken, ConnectTimeout, MalformedAnswer, Unreachable
from bifrost_trio.sockets import Socket
from bifrost_trio.testing import Connecting, End, Pause, Script, ScriptedUpstream, whole
from bifrost_trio.upstream import Connection, Origin, Pool, PoolStatistics, TimeLimits
from bifrost_trio.upstream.pool import MAX_IDLE
from tests.upstream.peers import POST, Peer, ask, pool_to

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\n"


def statistics(idle: int = 0, busy: int = 0, made: int = 0, stale_retries: int = 0) -> PoolStatistics:
    return PoolStatistics(idle, busy, made, stale_retries)


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        (Origin("api.test", 443, True), "api.test"),
        (Origin("api.test", 80, False), "api.test"),
        (Origin("api.test", 80, True), "api.test:80"),
        (Origin("api.test", 443, False), "api.test:443"),
        (Origin("127.0.0.1", 8080, False), "127.0.0.1:8080"),
        (Origin("::1", 443, True), "[::1]"),
        (Origin("::1", 8080, False), "[::1]:8080"),
    ],
)
def test_what_the_host_header_says(origin: Origin, authority: str) -> None:
    assert origin.authority == authority


async def test_a_connection_is_used_again(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(whole({"ok": True}))
    async with pool_to(upstream) as pool:
        for _ in range(5):
            assert (await ask(pool))[0] == 200
        assert pool.statistics() == statistics(idle=1, made=1)
        assert upstream.dialled == 1


async def test_the_newest_is_lent_first(autojump_clock: trio.testing.MockClock) -> None:
    async with pool_to(ScriptedUpstream(whole({}))) as pool:

        async def lent() -> Connection:
            connection, _ = await pool.exchange(POST, trio.current_time(), 60)
            return connection

        first, second, third = [await lent() for _ in range(3)]
        assert pool.statistics() == statistics(busy=3, made=3)
        for connection in (third, first, second):
            pool.give_back(connection)
        assert pool.statistics() == statistics(idle=3, made=3)
        assert [await lent() for _ in range(3)] == [second, first, third]
        for connection in (first, second, third):
            pool.give_back(connection)


# Answers behind which a connection must not be used again: what is wrong, the bytes, the body.
NOT_AGAIN = {
    "it says so": (HEAD + b"connection: close\r\ncontent-length: 2\r\n\r\nok", End.KEEP, b"ok"),
    "the close ends the body": (HEAD + b"\r\nok", End.CLOSE, b"ok"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", End.KEEP, b"ok"),
    "something came behind it": (OK + b"HTTP/1.1 200 OK\r\n", End.KEEP, b"ok"),
    "it was closed": (OK, End.CLOSE, b"ok"),
    "it was reset": (OK, End.RESET, b"ok"),
}


@pytest.mark.parametrize(("answer", "end", "body"), NOT_AGAIN.values(), ids=NOT_AGAIN)
async def test_a_connection_that_is_not_used_again(
    answer: bytes, end: End, body: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream(Script([answer], end), Script([OK]))
    async with pool_to(upstream) as pool:
        assert await ask(pool) == (200, body)
        await trio.testing.wait_all_tasks_blocked()
        assert pool.statistics() == statistics(made=1)
        assert await ask(pool) == (200, b"ok")
        assert pool.statistics() == statistics(idle=1, made=2)


@pytest.mark.parametrize("how", ["closed", "says something"])
async def test_what_went_bad_while_it_was_idle_is_not_lent(how: str, autojump_clock: trio.testing.MockClock) -> None:
    peer = Peer()
    async with pool_to(peer) as pool:
        await answered(pool, peer, 0)
        if how == "closed":
            await peer.streams[0].aclose()
        else:
            await peer.streams[0].send_all(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        # One that hung up gives its descriptor back at once.
        assert pool.statistics().idle == (0 if how == "closed" else 1)
        await answered(pool, peer, 1)
        assert pool.statistics() == statistics(idle=1, made=2)


async def answered(pool: Pool, peer: Peer, number: int) -> None:
    """A request that the peer answers on its connection of that number."""
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            await trio.testing.wait_all_tasks_blocked()
            assert await peer.streams[number].receive_some() == POST
            await peer.streams[number].send_all(OK)

        nursery.start_soon(answer)
        assert await ask(pool) == (200, b"ok")


# On a connection that served once before: what the provider does with the second request, and what comes of it.
BETWEEN = {
    "closed": (Script([], End.CLOSE), True),
    "reset": (Script([], End.RESET), True),
    "closed within the status line": (Script([b"HTTP/1"], End.CLOSE), False),
    "closed within the head": (Script([HEAD], End.CLOSE), False),
    "closed behind a provisional answer": (Script([b"HTTP/1.1 102 Processing\r\n\r\n"], End.CLOSE), False),
}


@pytest.mark.parametrize(("second", "retried"), BETWEEN.values(), ids=BETWEEN)
async def test_a_request_that_crosses_the_close(
    second: Script, retried: bool, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream(Script([OK]), second, Script([OK]))
    async with pool_to(upstream) as pool:
        await ask(pool)
        if retried:
            assert await ask(pool) == (200, b"ok")
            assert pool.statistics() == statistics(idle=1, made=2, stale_retries=1)
        else:
            with pytest.raises(ConnectionBroken):
                await ask(pool)
            assert pool.statistics() == statistics(made=1)
        assert len(upstream.requests) == (3 if retried else 2)


async def test_what_was_idle_for_long_is_not_lent(autojump_clock: trio.testing.MockClock) -> None:
    """A router on the way may have forgotten it: nobody would ever answer on it."""
    async with pool_to(ScriptedUpstream(whole({}))) as pool:
        connections = [(await pool.exchange(POST, trio.current_time(), 60))[0] for _ in range(3)]
        for connection in connections:
            pool.give_back(connection)
        await trio.sleep(MAX_IDLE - 1)
        await ask(pool)
        assert pool.statistics() == statistics(idle=3, made=3)
        await trio.sleep(2)
        await ask(pool)
        assert pool.statistics().made == 3
        assert pool.statistics().idle == 2  # the oldest is let go when another one comes back
        await trio.sleep(MAX_IDLE + 1)
        await ask(pool)
        assert pool.statistics() == statistics(idle=1, made=4)


async def test_its_age_counts_from_when_it_came_back(autojump_clock: trio.testing.MockClock) -> None:
    """Neither a slow answer nor a client that is slow to read it makes the connection older, or younger."""
    upstream = ScriptedUpstream(Script([Pause(30), OK]), Script([OK]))
    async with pool_to(upstream) as pool:
        connection, response = await pool.exchange(POST, trio.current_time(), 60)
        await trio.sleep(235)
        assert await connection.read_whole(response, 60) == b"ok"
        pool.give_back(connection)
        assert await ask(pool) == (200, b"ok")
        assert pool.statistics() == statistics(idle=1, made=1)


async def test_what_came_back_from_a_long_exchange_is_not_lent_for_longer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    upstream = ScriptedUpstream(Script([Pause(30), OK]), Script([OK]))
    async with pool_to(upstream) as pool:
        await ask(pool)
        await trio.sleep(MAX_IDLE + 1)
        assert await ask(pool) == (200, b"ok")
        assert pool.statistics() == statistics(idle=1, made=2)


async def test_what_breaks_after_the_request_was_taken_is_not_sent_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It was no stale connection: the provider may have done what it was asked (RFC 9110 section 9.2.2)."""
    upstream = ScriptedUpstream(Script([OK]), Script([Pause(50)], End.CLOSE), Script([OK]))
    async with pool_to(upstream) as pool:
        await ask(pool)
        with pytest.raises(ConnectionBroken):
            await ask(pool)
        assert len(upstream.requests) == 2
        assert pool.statistics() == statistics(made=1)


async def test_the_wait_for_a_stale_connection_counts(autojump_clock: trio.testing.MockClock) -> None:
    """As waiting for the provider, or it would be taken for the gateway's own time; and only once."""
    upstream = ScriptedUpstream(Script([OK]), Script([Pause(0.75)], End.CLOSE), Script([Pause(2), OK]))
    async with pool_to(upstream) as pool:
        await ask(pool)
        connection, response = await pool.exchange(POST, trio.current_time(), 60)
        assert pool.statistics().stale_retries == 1
        assert connection.waited == pytest.approx(2.75, abs=0.1)
        await connection.read_whole(response, 60)
        pool.give_back(connection)
        connection, _ = await pool.exchange(POST, trio.current_time(), 60)
        assert connection.waited == pytest.approx(2, abs=0.1)
        pool.give_back(connection)


async def test_a_stale_connection_is_retried_once(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(Script([OK]), Script([], End.CLOSE))
    async with pool_to(upstream) as pool:
        await ask(pool)
        with pytest.raises(ConnectionBroken):
            await ask(pool)
        assert len(upstream.requests) == 3
        assert pool.statistics() == statistics(made=2, stale_retries=1)


@pytest.mark.parametrize("answer", [Script([], End.CLOSE), Script([], End.RESET), Script([b"garbage\r\n\r\n"])])
async def test_a_new_connection_is_not_retried(answer: Script, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(answer)
    async with pool_to(upstream) as pool:
        with pytest.raises((ConnectionBroken, MalformedAnswer)):
            await ask(pool)
        assert len(upstream.requests) == 1
        assert pool.statistics() == statistics(made=1)


async def test_no_connection(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(Script([OK]), connecting=Connecting.REFUSED)
    async with pool_to(upstream) as pool:
        with pytest.raises(Unreachable, match=r"cannot be reached: connection refused$"):
            await ask(pool)
        assert trio.current_time() == 0
        upstream.connecting = Connecting.HANGS
        with pytest.raises(ConnectTimeout, match="within 5 s"):
            await ask(pool)
        assert trio.current_time() == pytest.approx(5.0, abs=0.1)
        assert pool.statistics() == statistics()
        upstream.connecting = Connecting.AT_ONCE
        assert await ask(pool) == (200, b"ok")


async def test_a_name_that_nobody_knows() -> None:
    async def dial(host: str, port: int, limit: float) -> Socket:
        raise stdlib_socket.gaierror(-2, "Name or service not known")

    pool = Pool(Origin("nowhere.test", 80, tls=False), TimeLimits(), dial)
    with pytest.raises(Unreachable, match=r"cannot be reached: its name is not known$"):
        await ask(pool)
    assert pool.statistics() == statistics()


CANCELLED = {
    "connecting": Script([OK]),
    "no answer": Script([], End.STALL),
    "half a head": Script([HEAD], End.STALL),
    "half a body": Script([HEAD + b"content-length: 9\r\n\r\nhalf"], End.STALL),
    "a slow body": Script([HEAD + b"content-length: 9\r\n\r\n", Pause(0.9), b"ok", Pause(5)], End.STALL),
}


@pytest.mark.parametrize(("where", "script"), CANCELLED.items())
async def test_who_leaves_leaves_nothing(where: str, script: Script, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(script)
    if where == "connecting":
        upstream.connecting = Connecting.HANGS
    async with pool_to(upstream) as pool:
        with trio.move_on_after(1) as scope:
            await ask(pool)
        assert scope.cancelled_caught
        assert pool.statistics().busy == 0
        await trio.testing.wait_all_tasks_blocked()
        assert upstream.statistics().open == 0
        assert trio.current_time() - 1 <= 0.1


async def test_a_pool_that_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(whole({}))
    async with pool_to(upstream) as pool:
        busy, response = await pool.exchange(POST, trio.current_time(), 60)
        await ask(pool)
        assert pool.statistics() == statistics(idle=1, busy=1, made=2)
        pool.close()
        await trio.testing.wait_all_tasks_blocked()
        assert pool.statistics() == statistics(busy=1, made=2)
        assert upstream.statistics().open == 1
        assert await busy.read_whole(response, 60) == b"{}"
        pool.give_back(busy)
        # Calls that are still on their way are served, and leave nothing behind.
        assert (await ask(pool))[0] == 200
        await trio.testing.wait_all_tasks_blocked()
        assert pool.statistics() == statistics(made=3)
        assert upstream.statistics().open == 0
