"""What a provider's answer means: an answer, or which error; and that no key is in any of them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio._wire import render_answer
from bifrost_trio.errors import (
    ConnectionBroken,
    FirstOutputTimeout,
    GatewayError,
    KeyRefused,
    MalformedAnswer,
    ProviderAnswered,
    ProviderFault,
    RateLimited,
    RequestRefused,
    Retry,
    StreamFault,
    TotalTimeout,
)
from bifrost_trio.mock.script import Step
from bifrost_trio.testing import End, Pause, Script, streamed, whole
from bifrost_trio.types import Headers
from tests.providers.attempt import KEY, SECRET, bench, chunk, frame
from tests.workers.calls import ANSWER, make_call

SAID = {"error": {"message": "what is wrong", "type": "some_error", "code": "some_code", "param": "messages"}}

STATUSES: dict[int, type[ProviderAnswered]] = {
    **dict.fromkeys((400, 404, 405, 406, 410, 411, 413, 415, 418, 422, 424, 426, 431, 451), RequestRefused),
    **dict.fromkeys((401, 402, 403), KeyRefused),
    **dict.fromkeys((408, 409, 500, 501, 502, 503, 504, 507, 520, 522, 529, 599), ProviderFault),
    429: RateLimited,
}


@pytest.mark.parametrize(("status", "error"), STATUSES.items())
async def test_the_error_of_a_status(
    status: int, error: type[ProviderAnswered], autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(whole(SAID, status=status)) as b:
        with pytest.raises(ProviderAnswered) as caught:
            await b.attempt(make_call("openai/m"))
        found = caught.value
        assert type(found) is error
        assert (found.status, found.message, found.code, found.param) == (
            status,
            "what is wrong",
            "some_code",
            "messages",
        )
        assert (found.type, found.body, found.content_type) == (
            "some_error",
            json.dumps(SAID).encode(),
            b"application/json",
        )
        assert b.idle == 1


def date(**ahead: float) -> bytes:
    return format_datetime(datetime.now(UTC) + timedelta(**ahead), usegmt=True).encode()


RETRY_AFTER: dict[str, tuple[Callable[[], Headers], float | None]] = {
    "none": (list, None),
    "seconds": (lambda: [(b"retry-after", b"7")], 7),
    "nothing to wait for": (lambda: [(b"retry-after", b"0")], 0),
    "parts of a second": (lambda: [(b"retry-after", b"1.5")], 1.5),
    "milliseconds": (lambda: [(b"retry-after-ms", b"250")], 0.25),
    "milliseconds win": (lambda: [(b"retry-after", b"7"), (b"retry-after-ms", b"250")], 0.25),
    "milliseconds that are none": (lambda: [(b"retry-after", b"7"), (b"retry-after-ms", b"soon")], 7),
    "a date": (lambda: [(b"retry-after", date(seconds=30))], 30),
    "a date gone by": (lambda: [(b"retry-after", date(hours=-1))], 0),
    "an old kind of date": (lambda: [(b"retry-after", b"Sunday, 06-Nov-94 08:49:37 GMT")], 0),
    **{
        f"{value!r} says nothing": (lambda value=value: [(b"retry-after", value)], None)  # type: ignore[misc]
        for value in (b"", b"soon", b"-1", b"nan", b"inf", b"1e300", b"Fri, 99 Foo 2000", b"\xff", b"2 seconds")
    },
}


@pytest.mark.parametrize(("headers", "expected"), RETRY_AFTER.values(), ids=RETRY_AFTER)
@pytest.mark.parametrize("status", [429, 503])
async def test_when_to_come_again(
    headers: Callable[[], Headers], expected: float | None, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(whole(SAID, status=status, headers=headers())) as b:
        with pytest.raises(ProviderAnswered) as caught:
            await b.attempt(make_call("openai/m"))
        if expected is None:
            assert caught.value.retry_after is None
        else:
            assert caught.value.retry_after == pytest.approx(expected, abs=1.5 if expected == 30 else 1e-9)


# --- what is no answer ---

BODY = json.dumps(ANSWER).encode()
SSE = streamed([frame(chunk("Hi")), frame(chunk(None, "stop")), b"data: [DONE]\n\n"])


def coded(body: bytes, coding: bytes, status: int = 200) -> Script:
    return whole(body, status=status, headers=[(b"content-encoding", coding)])


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
DRIBBLE: list[Step] = [Pause(9), b" "]
NO_ANSWER: dict[str, tuple[Script, type[GatewayError], bool]] = {
    "a redirect": (whole(b"", status=302, headers=[(b"location", b"http://evil.test/")]), MalformedAnswer, False),
    "not modified": (Script([b"HTTP/1.1 304 Not Modified\r\n\r\n"]), MalformedAnswer, False),
    "nothing": (Script([b"HTTP/1.1 204 No Content\r\n\r\n"]), MalformedAnswer, False),
    "an empty body": (whole(b""), MalformedAnswer, False),
    "a web page": (whole(b"<html>", headers=[(b"content-type", b"text/html")]), MalformedAnswer, False),
    "half a JSON": (whole(BODY[:-5]), MalformedAnswer, False),
    "a list": (whole(b"[]"), MalformedAnswer, False),
    "two answers": (whole(BODY + BODY), MalformedAnswer, False),
    "a coding nobody asked for": (coded(BODY, b"br"), MalformedAnswer, False),
    "a coding that it is not": (coded(BODY, b"gzip"), MalformedAnswer, False),
    "half a gzip": (coded(gzip.compress(BODY)[:-9], b"gzip"), MalformedAnswer, False),
    "a stream": (SSE, MalformedAnswer, False),
    "a whole answer to a stream": (whole(BODY), MalformedAnswer, True),
    "a web page to a stream": (whole(b"<html>", headers=[(b"content-type", b"text/html")]), MalformedAnswer, True),
    "a compressed stream": (
        streamed([gzip.compress(frame(chunk("Hi")))], headers=[(b"content-encoding", b"gzip")]),
        MalformedAnswer,
        True,
    ),
    "a cut body": (Script([HEAD + b"content-length: 99\r\n\r\n{"], End.CLOSE), ConnectionBroken, False),
    "a reset body": (Script([HEAD + b"content-length: 99\r\n\r\n{"], End.RESET), ConnectionBroken, False),
    "no head": (Script([], End.CLOSE), ConnectionBroken, False),
    "silence": (Script([], End.STALL), TotalTimeout, False),
    "silence to a stream": (Script([], End.STALL), FirstOutputTimeout, True),
    "half an answer": (Script([HEAD + b"content-length: 99\r\n\r\n{"], End.STALL), TotalTimeout, False),
    "a slow answer": (Script([HEAD + b"content-length: 99\r\n\r\n{", *DRIBBLE * 90]), TotalTimeout, False),
}


@pytest.mark.parametrize(("script", "error", "stream"), NO_ANSWER.values(), ids=NO_ANSWER)
async def test_what_is_no_answer(
    script: Script, error: type[GatewayError], stream: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(script) as b:
        call = make_call("openai/m", stream=stream)
        with pytest.raises(error) as caught:
            await b.attempt(call)
        assert type(caught.value) is error
        assert b.reply is not None
        assert (b.reply.state, call.outcome.committed) == ("new", False)
        limit = 300 if error is TotalTimeout else 60 if error is FirstOutputTimeout else 0
        assert limit <= trio.current_time() <= limit + 0.1


CODINGS = {
    "gzip": (b"gzip", gzip.compress(BODY)),
    "in capitals": (b"GZIP", gzip.compress(BODY)),
    "deflate": (b"deflate", zlib.compress(BODY)),
    "identity": (b"identity", BODY),
}


@pytest.mark.parametrize(("coding", "body"), CODINGS.values(), ids=CODINGS)
async def test_a_compressed_answer_is_read(coding: bytes, body: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with bench(coded(body, coding)) as b:
        answer = await b.attempt(make_call("openai/m"))
        assert answer is not None
        assert answer.body == BODY


async def test_a_refusal_in_a_coding_that_cannot_be_read_keeps_its_status(
    autojump_clock: trio.testing.MockClock,
) -> None:
    headers = [(b"content-encoding", b"br"), (b"retry-after", b"3")]
    async with bench(whole(b"\x0b\x02\x80", status=429, headers=headers)) as b:
        with pytest.raises(RateLimited) as caught:
            await b.attempt(make_call("openai/m"))
        assert (caught.value.status, caught.value.retry_after, caught.value.body) == (429, 3, b"")


SAYS = b"HTTP/1.1 %d Some Reason\r\ncontent-type: application/json\r\ncontent-length: 99\r\nretry-after: 3\r\n\r\n{"


@pytest.mark.parametrize(
    ("status", "error"), [(400, RequestRefused), (401, KeyRefused), (429, RateLimited), (500, ProviderFault)]
)
@pytest.mark.parametrize("end", [End.CLOSE, End.RESET, End.STALL])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_that_is_cut_keeps_its_status(
    status: int, error: type[ProviderAnswered], end: End, stream: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(Script([SAYS % status], end)) as b:
        with pytest.raises(ProviderAnswered) as caught:
            await b.attempt(make_call("openai/m", stream=stream))
        assert type(caught.value) is error
        assert (caught.value.status, caught.value.retry_after, caught.value.body) == (status, 3, b"")
        assert trio.current_time() <= 10.1
        assert b.idle == 0


# An error with status 200: what it says, the status that it means, what may follow.
WITHIN_200: dict[str, tuple[Any, int, Retry, bool]] = {
    "no words": ({"error": {"message": "oh"}}, 502, Retry.SAME_KEY, True),
    "a server's": ({"error": {"message": "oh", "type": "server_error"}}, 500, Retry.SAME_KEY, True),
    "a limit": ({"error": {"message": "oh", "type": "requests"}}, 429, Retry.NEXT_KEY, True),
    "a limit by its code": ({"error": {"message": "oh", "code": "rate_limit_exceeded"}}, 429, Retry.NEXT_KEY, True),
    "the key": ({"error": {"message": "oh", "code": "invalid_api_key"}}, 401, Retry.WITHOUT_KEY, True),
    "the request": ({"error": {"message": "oh", "type": "invalid_request_error"}}, 400, Retry.NEVER, False),
    "a status": ({"error": {"message": "oh", "code": 503}}, 503, Retry.SAME_KEY, True),
}


@pytest.mark.parametrize(("body", "status", "retry", "fallback"), WITHIN_200.values(), ids=WITHIN_200)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_with_status_200(
    body: Any, status: int, retry: Retry, fallback: bool, stream: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(whole(body), streamed([frame(body)])) as b:
        call = make_call("openai/m", stream=stream)
        for _ in range(1 + stream):
            with pytest.raises(StreamFault) as caught:
                await b.attempt(call)
            found = caught.value
            assert (found.status, found.message, found.retry, found.fallback) == (status, "oh", retry, fallback)
            assert call.outcome.committed is False


# --- keys ---

ECHO = {"error": {"message": f"Incorrect API key provided: {SECRET}.", "type": "server_error", "param": SECRET}}
HEADERS: Headers = [(name, SECRET.encode()) for name in (b"x-request-id", b"openai-organization", b"x-key", b"server")]


def echoing(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Script:
    return Script([render_answer(status, [*HEADERS, *headers], body)])


JSON = json.dumps(ECHO).encode()
ECHOES: dict[str, tuple[Script, bool]] = {
    **{str(status): (echoing(status, JSON), False) for status in (400, 401, 403, 429, 500)},
    "a text": (echoing(500, f"key {SECRET}".encode(), (b"content-type", b"text/plain")), False),
    "in the content type": (echoing(500, b"{}", (b"content-type", b"x/" + SECRET.encode())), False),
    "compressed": (echoing(401, gzip.compress(JSON), (b"content-encoding", b"gzip")), False),
    "with status 200": (echoing(200, JSON), False),
    "in a stream": (streamed([frame(ECHO)], headers=HEADERS), True),
    "in a stream, after output": (streamed([frame(chunk("Hi")), Pause(1), frame(ECHO)], headers=HEADERS), True),
    "no HTTP": (Script([SECRET.encode() + b"\r\n\r\n"]), False),
    "no JSON": (echoing(200, SECRET.encode()), False),
    "a redirect": (echoing(302, b"", (b"location", SECRET.encode())), False),
}


@pytest.mark.parametrize(("script", "stream"), ECHOES.values(), ids=ECHOES)
async def test_a_key_is_in_no_error(script: Script, stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    async with bench(script) as b:
        with pytest.raises(GatewayError) as caught:
            await b.attempt(make_call("openai/m", stream=stream))
        error = caught.value
        shown = [error.message, error.param, error.code, error.type, repr(error), str(error)]
        shown += [getattr(error, name, None) for name in ("body", "content_type", "frame")]
        assert b.reply is not None
        assert SECRET not in " ".join(map(repr, [*shown, b.reply.body, b.reply.headers]))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_is_in_no_header(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    good = [(b"x-request-id", b"r1"), (b"openai-processing-ms", b"5"), (b"x-ratelimit-limit", b"9"), (b"server", b"x")]
    answers = [whole(ANSWER, headers=HEADERS), whole(ANSWER, headers=good)]
    if stream:
        answers = [streamed([frame(chunk("Hi", "stop"))], headers=headers) for headers in (HEADERS, good)]
    async with bench(*answers) as b:
        for expected in ({}, dict(good[:3])):
            call = make_call("openai/m", stream=stream, native=False)
            answer = await b.attempt(call)
            assert b.reply is not None
            headers = b.reply.headers if answer is None else dict(answer.headers)
            assert headers.pop(b"content-type") == (b"text/event-stream" if stream else b"application/json")
            headers.pop(b"cache-control", None)
            assert headers == expected


async def test_a_short_key_is_not_searched_for(autojump_clock: trio.testing.MockClock) -> None:
    """``e`` would blot out half of what is said; such keys are the ones of test set-ups."""
    async with bench(whole(SAID, status=400)) as b:
        with pytest.raises(RequestRefused, match="what is wrong"):
            await b.attempt(make_call("openai/m"), type(KEY)("short", "e"))
