"""Bodies on their way in: their kind, their size, their share of the memory, cut anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pytest
import trio
import trio.testing

from bifrost_trio._wire import RequestReader
from bifrost_trio.errors import (
    BodyTooLarge,
    ClientGone,
    GatewayError,
    MalformedJson,
    MemoryFull,
    RequestTimeout,
    UnsupportedMediaType,
)
from bifrost_trio.transport import BodyBudget
from bifrost_trio.transport.reading import AHEAD, SLOWEST_BODY, Reading, check_media_type
from bifrost_trio.types import Request

BODY = json.dumps({"model": "openai/m", "stream": True, "fallbacks": ["a/b"], "x": "Grüße " * 9}).encode()


class Pieces:
    """A body that comes in pieces, and may break off."""

    def __init__(self, pieces: Iterable[bytes], error: GatewayError | None = None) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._error = error

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        for piece in self._pieces:
            return piece
        if self._error is not None:
            raise self._error
        return b""


class Paced:
    """A body whose pieces come at these times."""

    def __init__(self, *pieces: tuple[float, bytes]) -> None:
        self._pieces = iter(pieces)

    async def receive(self) -> bytes:
        for when, piece in self._pieces:
            await trio.sleep_until(when)
            return piece
        return b""


# --- cuts -------------------------------------------------------------------------------------------------------------


async def test_cut_at_every_byte(autojump_clock: trio.testing.MockClock) -> None:
    """With the head or behind it, with a length or without one: the same body, the same envelope, nothing reserved."""
    budget = BodyBudget()
    for cut in range(len(BODY) + 1):
        for length in (len(BODY), None):
            reading = Reading(budget)
            pieces = [piece for piece in (BODY[cut:],) if piece]
            body, envelope = await reading.read(BODY[:cut], length, Pieces(pieces))
            assert body == BODY
            assert (envelope.model, envelope.stream, envelope.fallbacks) == ("openai/m", True, ["a/b"])
            assert budget.statistics().in_flight == reading.reserved == len(BODY)
            reading.release()
            assert budget.statistics().in_flight == 0


@pytest.mark.parametrize("size", [1, 3, 64])
async def test_in_many_pieces(size: int, autojump_clock: trio.testing.MockClock) -> None:
    budget = BodyBudget()
    reading = Reading(budget)
    pieces = [BODY[start : start + size] for start in range(0, len(BODY), size)]
    body, envelope = await reading.read(b"", None, Pieces(pieces))
    assert (body, envelope.size, reading.reserved) == (BODY, len(BODY), len(BODY))


async def test_others_run_while_a_large_body_is_scanned(autojump_clock: trio.testing.MockClock) -> None:
    ran = 0
    done = False

    async def other() -> None:
        nonlocal ran
        while not done:
            ran += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        body = b'{"model":"m","x":"' + b"a" * 5_000_000 + b'"}'
        await Reading(BodyBudget()).read(body[:10], len(body), Pieces([body[10:2_000_000], body[2_000_000:]]))
        done = True
    assert ran > 3


# --- limits -----------------------------------------------------------------------------------------------------------

LIMITS: dict[str, tuple[int | None, list[int], type[GatewayError] | None]] = {
    "just as large as may be": (100, [50, 50], None),
    "so too without a length": (None, [50, 50], None),
    "too large by its length": (101, [], BodyTooLarge),
    "too large by what comes": (None, [50, 50, 1], BodyTooLarge),
    "too large at once": (None, [101], BodyTooLarge),
    "more than it said": (10, [50, 51], BodyTooLarge),
}


@pytest.mark.parametrize(("length", "sizes", "error"), LIMITS.values(), ids=LIMITS)
async def test_the_size_of_one(
    length: int | None, sizes: list[int], error: type[GatewayError] | None, autojump_clock: trio.testing.MockClock
) -> None:
    budget = BodyBudget(largest=100, limit=1000)
    body = b'{"model":"' + b"m" * (sum(sizes) - 12) + b'"}'
    pieces, start = [], 0
    for size in sizes:
        pieces.append(body[start : start + size])
        start += size
    reading = Reading(budget)
    if error is None:
        assert (await reading.read(b"", length, Pieces(pieces)))[0] == body
    else:
        with pytest.raises(error, match="larger than 100 bytes"):
            await reading.read(b"", length, Pieces(pieces))
    assert reading.reserved <= 100
    reading.release()
    reading.release()  # twice is once
    assert budget.statistics().in_flight == 0


async def test_the_memory_of_all(autojump_clock: trio.testing.MockClock) -> None:
    budget = BodyBudget(largest=100, limit=150)
    first, second, third = Reading(budget), Reading(budget), Reading(budget)
    with pytest.raises(ClientGone):
        await first.read(b"", 100, Pieces([], ClientGone("left")))
    with pytest.raises(MemoryFull) as full:
        await second.read(b"", 51, Pieces([]))
    assert full.value.status == 503
    assert full.value.retry_after
    # One that tells no length may begin, and is refused when it does not fit any more.
    with pytest.raises(MemoryFull):
        await third.read(b"", None, Pieces([b'{"model":', b'"' + b"m" * 60]))
    statistics = budget.statistics()
    assert (statistics.in_flight, statistics.limit, statistics.refused) == (109, 150, 2)
    for reading in (first, second, third):
        reading.release()
    assert budget.statistics().in_flight == 0
    assert (await second.read(b"", 51, Pieces([b'{"model":"m"}'])))[0] == b'{"model":"m"}'


async def test_a_promise_holds_no_more_than_one_step(autojump_clock: trio.testing.MockClock) -> None:
    budget = BodyBudget(largest=10_000_000, limit=10_000_000)
    readings = [Reading(budget) for _ in range(20)]
    for reading in readings:
        with pytest.raises(ClientGone):
            await reading.read(b"{", 5_000_000, Pieces([], ClientGone("left")))
        assert reading.reserved == 1 + AHEAD
    for reading in readings[1:]:
        reading.release()
    # What has come is held, and never more than was promised.
    with pytest.raises(ClientGone):
        await readings[1].read(b"", 5_000_000, Pieces([b'{"a":"' + b"b" * 4_999_000], ClientGone("left")))
    assert readings[1].reserved == 5_000_000
    with pytest.raises(MemoryFull):
        await readings[2].read(b"{", 5_000_000, Pieces([]))
    assert readings[2].reserved == 0


# --- time -------------------------------------------------------------------------------------------------------------

SOME = b" " * (10 * SLOWEST_BODY)
TOO_SLOW: dict[str, tuple[float, list[tuple[float, bytes]]]] = {
    "nothing": (30, []),
    "a byte now and then": (30, [(25, b"{")]),
    "fast, then dripping": (31, [(1, SOME * 50), *((25 * n, b" ") for n in range(1, 100))]),
    "half the pace": (40, [(20 * n, SOME) for n in range(100)]),
}


@pytest.mark.parametrize(("seconds", "pieces"), TOO_SLOW.values(), ids=TOO_SLOW)
async def test_too_slow(
    seconds: float, pieces: list[tuple[float, bytes]], autojump_clock: trio.testing.MockClock
) -> None:
    reading = Reading(BodyBudget())
    with pytest.raises(RequestTimeout) as raised:
        await reading.read(b"", 50_000_000, Paced(*pieces, (1e9, b"")))
    assert (raised.value.status, raised.value.code) == (408, "body_timeout")
    assert trio.current_time() == pytest.approx(seconds, abs=1)


async def test_a_poor_line_may_take_hours(autojump_clock: trio.testing.MockClock) -> None:
    body = b'{"model":"m","x":"' + b"a" * 100_000_000 + b'"}'
    size = 25 * SLOWEST_BODY
    pieces = [(24.0 * n, body[start : start + size]) for n, start in enumerate(range(0, len(body), size), 1)]
    assert len((await Reading(BodyBudget(2**30)).read(b"", len(body), Paced(*pieces)))[0]) == len(body)
    assert trio.current_time() > 6 * 3600


async def test_a_body_that_is_none_is_refused_as_soon_as_it_is_seen(autojump_clock: trio.testing.MockClock) -> None:
    budget = BodyBudget()
    reading = Reading(budget)
    with pytest.raises(MalformedJson):
        await reading.read(b"hello", 1_000_000, Pieces([], ClientGone("nobody should have waited for this")))
    reading.release()
    assert budget.statistics().in_flight == 0


# --- media types ------------------------------------------------------------------------------------------------------

TAKEN = [
    None,
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    'application/json; charset="utf-8"',
    "application/json; charset=utf8",
    "application/json ; profile=x",
]
REFUSED = [
    "text/plain",
    "text/json",
    "application/jsonl",
    "application/json-patch+json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=application/json",
    "application/json; charset=latin-1",
    "application/json; charset=utf-16",
]


@pytest.mark.parametrize("value", TAKEN)
def test_a_media_type_that_is_taken(value: str | None) -> None:
    check_media_type(request({} if value is None else {"content-type": value}))


@pytest.mark.parametrize("value", REFUSED)
def test_a_media_type_that_is_refused(value: str) -> None:
    with pytest.raises(UnsupportedMediaType) as raised:
        check_media_type(request({"content-type": value}))
    assert (raised.value.status, raised.value.param) == (415, "content-type")


@pytest.mark.parametrize(
    ("value", "taken"), [("identity", True), ("Identity", True), ("gzip", False), ("br", False), ("gzip, br", False)]
)
def test_a_content_coding(value: str, taken: bool) -> None:
    if taken:
        check_media_type(request({"content-encoding": value}))
        return
    with pytest.raises(UnsupportedMediaType) as raised:
        check_media_type(request({"content-encoding": value}))
    assert raised.value.param == "content-encoding"


def request(headers: dict[str, str]) -> Request:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    found = RequestReader().feed(f"POST / HTTP/1.1\r\nhost: g\r\n{lines}\r\n".encode())
    assert found is not None
    return found
