"""One exchange: every phase in its time, an early answer, a body however it comes."""

from __future__ import annotations

import socket as stdlib_socket
import struct
from dataclasses import dataclass

import pytest
import trio
import trio.testing

from bifrost_trio._wire import render_chunk
from bifrost_trio.errors import (
    ConnectionBroken,
    FirstOutputTimeout,
    GatewayError,
    IdleTimeout,
    MalformedAnswer,
    ProviderTimeout,
    TotalTimeout,
)
from bifrost_trio.mock.script import Step
from bifrost_trio.sockets import Poller, Socket
from bifrost_trio.testing import End, Pause, Script, ScriptedUpstream, in_pieces
from bifrost_trio.upstream import Dial
from tests.upstream.peers import POST, Peer, ask, pool_to, request

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
SIZED = HEAD + b"content-length: 26\r\n\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
BODY = b"abcdefghijklmnopqrstuvwxyz"
LARGE = request(8_000_000)


PROVISIONAL: list[Step] = [b"HTTP/1.1 102 Processing\r\n\r\n", Pause(2.0)]
DRIBBLE: list[Step] = [Pause(0.5), b"a"]


def slowly(data: bytes, gap: float) -> Script:
    return in_pieces(data, gap=gap, end=End.STALL)


@dataclass(frozen=True)
class Late:
    """A provider that is too slow: for a limit of 3 s, the error, and when it comes."""

    script: Script
    error: type[ProviderTimeout]
    after: float = 3.0
    overdue: type[ProviderTimeout] = FirstOutputTimeout


LATE = {
    "says nothing": Late(Script([], End.STALL), FirstOutputTimeout),
    "says nothing of a whole answer": Late(Script([], End.STALL), TotalTimeout, overdue=TotalTimeout),
    "half a head": Late(Script([HEAD], End.STALL), FirstOutputTimeout),
    "a head byte by byte": Late(slowly(SIZED, 1.0), FirstOutputTimeout),
    "provisional answers for ever": Late(Script(PROVISIONAL * 50, End.STALL), FirstOutputTimeout),
    "no body": Late(Script([SIZED], End.STALL), TotalTimeout),
    "half a body": Late(Script([SIZED, Pause(1), BODY[:13]], End.STALL), TotalTimeout),
    "a body byte by byte": Late(Script([SIZED, *DRIBBLE * 25], End.STALL), TotalTimeout),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
async def test_each_phase_has_its_limit(late: Late, autojump_clock: trio.testing.MockClock) -> None:
    async with pool_to(ScriptedUpstream(late.script)) as pool:
        with pytest.raises(ProviderTimeout) as caught:
            await ask(pool, limit=3.0, overdue=late.overdue)
        assert type(caught.value) is late.error
        assert late.after <= trio.current_time() <= late.after + 0.1


async def test_a_stream_may_stand_still_for_so_long(autojump_clock: trio.testing.MockClock) -> None:
    pieces: list[Step] = [render_chunk(b"one"), Pause(1.9), render_chunk(b"two"), Pause(1.9), render_chunk(b"three")]
    async with pool_to(ScriptedUpstream(Script([CHUNKED, *pieces], End.STALL))) as pool:
        connection, response = await pool.exchange(POST, trio.current_time(), 60)
        read = [response.body] if response.body else []
        with pytest.raises(IdleTimeout):
            while True:
                read.append(await connection.read_piece(2.0))
        assert read == [b"one", b"two", b"three"]
        assert 5.8 <= trio.current_time() <= 5.9
        pool.drop(connection)


async def test_a_provider_that_takes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with pool_to(Peer()) as pool:
        with pytest.raises(TotalTimeout, match="took nothing"):
            await ask(pool, LARGE, limit=7.0, overdue=TotalTimeout)
        assert 7.0 <= trio.current_time() <= 7.1


async def take_slowly(peer: Peer, every: float, at_once: int, thinks: float) -> None:
    """Takes some bytes of a large request every few seconds, and answers some seconds after the last of them."""
    await trio.testing.wait_all_tasks_blocked()
    left = len(LARGE)
    while left:
        await trio.sleep(every)
        left -= len(await peer.streams[0].receive_some(at_once))
    await trio.sleep(thinks)
    await peer.streams[0].send_all(SIZED + BODY)


async def test_a_provider_that_takes_it_slowly(autojump_clock: trio.testing.MockClock) -> None:
    """As long as it takes something there is no hurry; the limit of the answer begins behind the request."""
    peer = Peer()
    async with pool_to(peer) as pool, trio.open_nursery() as nursery:
        nursery.start_soon(take_slowly, peer, 0.5, 200_000, 0.5)
        assert await ask(pool, LARGE, limit=3.0) == (200, BODY)
        assert trio.current_time() > 10
        assert pool.statistics().idle == 1


async def test_reader_and_writer_wait_side_by_side(autojump_clock: trio.testing.MockClock) -> None:
    """While a large request goes out its answer is already waited for: time that passes once is counted once."""
    peer = Peer()
    async with pool_to(peer) as pool, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(take_slowly, peer, 5, 400_000, 3)
            began = trio.current_time()
            connection, _ = await pool.exchange(LARGE, began, 60)
            took = trio.current_time() - began
            assert took > 100
            assert took - 0.5 <= connection.waited <= took
            pool.give_back(connection)
        assert pool.statistics().made == 1


REFUSED = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\n\r\nlarge"


@pytest.mark.parametrize("end", ["stays", "closes", "resets"])
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_an_answer_before_the_request_was_taken(
    end: str, interim: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """It reads the beginning and says 413; whether it then closes, with or without having read the rest."""
    peer = Peer()
    async with pool_to(peer) as pool, trio.open_nursery() as nursery:

        async def refuse() -> None:
            await trio.testing.wait_all_tasks_blocked()
            stream = peer.streams[0]
            await stream.receive_some(1000)
            await stream.send_all(interim)
            await trio.sleep(1)
            await stream.send_all(REFUSED)
            if end == "resets":  # what is unread makes a reset of the close
                stream.socket.close()
            elif end == "closes":
                await stream.send_eof()

        nursery.start_soon(refuse)
        assert await ask(pool, LARGE) == (413, b"large")
        assert trio.current_time() == pytest.approx(1.0, abs=0.1)
        # Half a request went out on it: nothing else may.
        assert pool.statistics().idle == 0


async def test_an_answer_that_begins_while_the_request_is_still_read(autojump_clock: trio.testing.MockClock) -> None:
    """It is no refusal, so the rest of the request is what the provider waits for."""
    peer = Peer()
    async with pool_to(peer) as pool, trio.open_nursery() as nursery:

        async def answer() -> None:
            await trio.testing.wait_all_tasks_blocked()
            stream = peer.streams[0]
            read = len(await stream.receive_some(1000))
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
            while read < len(LARGE):
                read += len(await stream.receive_some(65536))
                await trio.sleep(0.01)
            await stream.send_all(b"read")

        nursery.start_soon(answer)
        assert await ask(pool, LARGE) == (200, b"read")
        assert pool.statistics().idle == 1


class Hasty(Peer):
    """A provider that has answered, and takes nothing more, before it is asked."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.dialled = 0

    def dial(self, poller: Poller) -> Dial:
        async def connect(host: str, port: int, limit: float) -> Socket:
            self.dialled += 1
            ours, theirs = over_tcp() if self.how == "resets" else stdlib_socket.socketpair()
            theirs.send(REFUSED)
            if self.how == "stops reading":
                theirs.setblocking(False)
                theirs.shutdown(stdlib_socket.SHUT_RD)
                self.streams.append(trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
            else:
                if self.how == "resets":
                    theirs.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, struct.pack("ii", 1, 0))
                theirs.close()
            return Socket(ours, poller)

        return connect


def over_tcp() -> tuple[stdlib_socket.socket, stdlib_socket.socket]:
    """Over loopback: only there a peer's reset is what the first send meets."""
    with stdlib_socket.create_server(("127.0.0.1", 0)) as listener:
        ours = stdlib_socket.socket()
        ours.connect(listener.getsockname())
        theirs, _ = listener.accept()
    return ours, theirs


@pytest.mark.parametrize("how", ["closes", "resets", "stops reading"])
@pytest.mark.parametrize("data", [POST, LARGE], ids=["small", "large"])
async def test_an_answer_before_anything_was_sent(
    how: str, data: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """A provider that is overloaded: the first send fails, and its answer says why."""
    upstream = Hasty(how)
    async with pool_to(upstream) as pool:
        assert await ask(pool, data) == (413, b"large")
        # Nothing of the request was taken: whatever the answer's head says, the next one goes elsewhere.
        assert pool.statistics().idle == 0
        assert await ask(pool, data) == (413, b"large")
        assert upstream.dialled == 2


async def test_a_provider_that_closes_while_it_is_sent_a_large_request(autojump_clock: trio.testing.MockClock) -> None:
    peer = Peer()
    async with pool_to(peer) as pool, trio.open_nursery() as nursery:

        async def leave() -> None:
            await trio.testing.wait_all_tasks_blocked()
            await peer.streams[0].receive_some(1000)
            peer.streams[0].socket.close()

        nursery.start_soon(leave)
        with pytest.raises(ConnectionBroken):
            await ask(pool, LARGE)


async def test_who_leaves_while_a_large_request_is_sent(autojump_clock: trio.testing.MockClock) -> None:
    async with pool_to(Peer()) as pool:
        with trio.move_on_after(1) as scope:
            await ask(pool, LARGE)
        assert scope.cancelled_caught


ANSWERS = {
    "sized": SIZED + BODY,
    "chunked": CHUNKED + render_chunk(BODY[:9]) + render_chunk(BODY[9:], last=True),
    "behind provisional ones": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + SIZED + BODY,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_is_read_the_same_wherever_it_is_cut(
    answer: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    scripts = [Script([answer[:at], Pause(0.01), answer[at:]]) for at in range(1, len(answer))]
    upstream = ScriptedUpstream(*scripts, in_pieces(answer, 1, gap=0.01))
    async with pool_to(upstream) as pool:
        for _ in range(len(answer)):
            assert await ask(pool) == (200, BODY)
        assert pool.statistics().made == 1


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_an_answer_that_is_cut_is_broken_wherever_that_is(
    answer: bytes, end: End, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream(*[Script([answer[:at]], end) for at in range(len(answer))])
    async with pool_to(upstream) as pool:
        for _ in range(len(answer)):
            with pytest.raises(ConnectionBroken):
                await ask(pool)
        assert pool.statistics().made == len(answer)


BROKEN: dict[str, tuple[Script, type[GatewayError]]] = {
    "no HTTP": (Script([b"SSH-2.0-OpenSSH_9.6\r\n\r\n"]), MalformedAnswer),
    "a web page without a head": (Script([b"<html></html>\r\n\r\n"]), MalformedAnswer),
    "two lengths": (Script([HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"]), MalformedAnswer),
    "a length and chunks": (
        Script([HEAD + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"]),
        MalformedAnswer,
    ),
    "a bad chunk": (Script([CHUNKED + b"zz\r\n"]), MalformedAnswer),
    "a head without an end": (Script([HEAD + b"x: " + b"y" * 100_000], End.STALL), MalformedAnswer),
}


@pytest.mark.parametrize(("script", "error"), BROKEN.values(), ids=BROKEN)
async def test_what_is_no_answer(
    script: Script, error: type[GatewayError], autojump_clock: trio.testing.MockClock
) -> None:
    async with pool_to(ScriptedUpstream(script)) as pool:
        with pytest.raises(error):
            await ask(pool, limit=5.0)
        assert pool.statistics().idle == 0
