"""What RFC 9110 and RFC 9112 demand of a client that reads answers, and of a server that writes them."""

from __future__ import annotations

import contextlib
import random

import pytest

from bifrost_trio._wire import (
    RequestReader,
    Response,
    ResponseReader,
    render_answer,
    render_chunk,
    render_head,
    splice_answer,
)
from bifrost_trio.errors import ConnectionBroken, MalformedAnswer, MalformedRequest

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FULL = OK + b"Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}"


def first(data: bytes, *, head: bool = False) -> tuple[Response, ResponseReader]:
    reader = ResponseReader()
    reader.expect(head=head)
    answer = reader.feed(data)
    assert answer is not None
    return answer, reader


def read_bytewise(data: bytes) -> tuple[ResponseReader, bytes]:
    """What a client has when every byte comes alone, and the body of the answer."""
    reader, answer, body = ResponseReader(), None, b""
    reader.expect()
    for i in range(len(data)):
        if answer is None:
            answer = reader.feed(data[i : i + 1])
            body = b"" if answer is None else answer.body
        else:
            body += reader.feed_body(data[i : i + 1])
    return reader, body


REFUSED = {
    "not HTTP": b"SSH-2.0-OpenSSH\r\n",
    "version 2.0": b"HTTP/2.0 200 OK\r\n",
    "version 1.2": b"HTTP/1.2 200 OK\r\n",
    "empty line first": b"\r\n" + FULL,
    "bare LF": b"HTTP/1.1 200 OK\n",
    "two digits": b"HTTP/1.1 20 OK\r\n",
    "four digits": b"HTTP/1.1 2000 OK\r\n",
    "letters": b"HTTP/1.1 2x0 OK\r\n",
    "status below 100": b"HTTP/1.1 099 OK\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\n",
    "a reason that never ends": b"HTTP/1.1 200 " + b"a" * 5000,
    "obsolete folding": OK + b"A: b\r\n c\r\n\r\n",
    "space before the colon": OK + b"A : b\r\n\r\n",
    "both framings": OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "Content-Length twice": OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "Content-Length, a list": OK + b"Content-Length: 1, 1\r\n\r\n",
    "unknown coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked not last": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "coding in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    "endless interim answers": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 33,
    "a field that never ends": OK + b"A: " + b"b" * 70_000,
    "too many fields": OK + b"a:b\r\n" * 129,
    "chunk without a size": CHUNKED + b"\r\n",
    "chunk longer than its size": CHUNKED + b"1\r\nab\r\n",
    "Content-Length behind the body": CHUNKED + b"0\r\nContent-Length: 1\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_answer(name: str) -> None:
    data = REFUSED[name]
    with pytest.raises(MalformedAnswer) as bytewise:
        read_bytewise(data)
    with pytest.raises(MalformedAnswer) as whole:
        ResponseReader().feed(data)
    assert whole.value.message == bytewise.value.message


def test_facts_of_an_answer() -> None:
    answer, reader = first(FULL)
    assert (answer.status, answer.body, answer.complete, answer.content_length) == (200, b"{}", True, 2)
    assert (answer.content_type, answer.event_stream) == (b"application/json", False)
    assert answer.header(b"content-type") == b"Application/JSON; charset=utf-8"
    assert answer.headers()[1] == (b"content-length", b"2")
    assert (reader.body_complete, reader.begun, reader.reusable) == (True, True, True)
    assert first(OK + b"Content-Type: TEXT/event-stream ; charset=utf-8\r\n\r\n")[0].event_stream
    assert first(OK + b"\r\n")[0].content_type == b""


def test_reason_phrase_is_optional() -> None:
    """RFC 9112 section 4."""
    for line in (b"HTTP/1.1 529", b"HTTP/1.1 529 ", b"HTTP/1.1 529 \xc3\xa9\tX"):
        assert first(line + b"\r\nContent-Length: 0\r\n\r\n")[0].status == 529


def test_interim_answers_are_skipped() -> None:
    """RFC 9110 section 15.2."""
    reader = ResponseReader()
    reader.expect()
    assert reader.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTT") is None
    assert not reader.body_complete
    answer = reader.feed(FULL[3:])
    assert answer is not None
    assert (answer.status, answer.header(b"link"), answer.body) == (200, None, b"{}")


@pytest.mark.parametrize("status", [b"204", b"304"])
def test_answers_without_a_body(status: bytes) -> None:
    """RFC 9112 section 6.3, rule 1."""
    answer, reader = first(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 5\r\n\r\n")
    assert (answer.complete, answer.body, reader.reusable) == (True, b"", True)
    _, reader = first(b"HTTP/1.1 " + status + b" X\r\n\r\nhello")
    assert not reader.reusable


def test_answer_to_head() -> None:
    answer, reader = first(FULL[:-2], head=True)
    assert (answer.complete, answer.content_length, reader.reusable) == (True, 2, True)
    reader.expect()
    assert (reader.begun, reader.reusable, reader.body_complete) == (False, False, False)
    assert not first(FULL[:-2])[0].complete


def test_chunked_answer() -> None:
    data = CHUNKED + b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n"
    answer, reader = first(data)
    assert (answer.body, answer.complete, answer.content_length, reader.reusable) == (b"hello world", True, None, True)
    reader, body = read_bytewise(data)
    assert (body, reader.reusable) == (b"hello world", True)
    reader.end()
    assert not reader.reusable


def test_the_close_ends_an_answer_without_framing() -> None:
    answer, reader = first(OK + b"\r\nhel")
    assert (answer.body, answer.complete, answer.content_length) == (b"hel", False, None)
    assert reader.feed_body(b"lo") == b"lo"
    assert not reader.body_complete
    reader.end()
    assert (reader.body_complete, reader.reusable) == (True, False)


@pytest.mark.parametrize("data", [b"", b"HTTP", OK, b"HTTP/1.1 100 X\r\n\r\n", FULL[:-1], CHUNKED, CHUNKED + b"0\r\n"])
def test_a_cut_answer_is_no_answer(data: bytes) -> None:
    """RFC 9112 section 8."""
    reader = ResponseReader()
    reader.expect()
    reader.feed(data)
    assert reader.begun is bool(data)
    with pytest.raises(ConnectionBroken):
        reader.end()
    assert not reader.reusable


@pytest.mark.parametrize("surplus", [b"\r\n", b"x", FULL])
def test_bytes_behind_an_answer_spoil_the_connection(surplus: bytes) -> None:
    """RFC 9112 section 9.2: they answer nothing that was asked."""
    _, reader = first(FULL + surplus)
    assert (reader.body_complete, reader.reusable) == (True, False)
    _, reader = first(FULL)
    with pytest.raises(MalformedAnswer):
        reader.feed(surplus)
    assert not reader.reusable
    _, reader = first(FULL[:-1])
    reader.feed_body(b"}" + surplus)
    assert not reader.reusable


@pytest.mark.parametrize(
    ("version", "connection", "reusable"),
    [(b"1.1", b"", True), (b"1.1", b"Close", False), (b"1.0", b"", False), (b"1.0", b"keep-alive", True)],
)
def test_persistence(version: bytes, connection: bytes, reusable: bool) -> None:
    """RFC 9112 section 9.3."""
    data = b"HTTP/" + version + b" 200 OK\r\nContent-Length: 0\r\nConnection: " + connection + b"\r\n\r\n"
    assert first(data)[1].reusable is reusable


def test_one_exchange_after_another() -> None:
    reader = ResponseReader()
    for _ in range(3):
        reader.expect()
        answer = reader.feed(FULL)
        assert answer is not None
        assert answer.body == b"{}"
        assert reader.reusable


def test_after_an_error_expect_begins_anew() -> None:
    reader = ResponseReader()
    with pytest.raises(MalformedAnswer):
        reader.feed(b"\r\n")
    with pytest.raises(MalformedAnswer):
        reader.feed(FULL)
    reader.expect()
    assert reader.feed(FULL) is not None


# --- rendering --------------------------------------------------------------------------------------------------------


def test_whole_answer() -> None:
    headers = [(b"content-type", b"application/json")]
    assert render_answer(200, headers, b"{}") == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    )
    assert render_answer(529, tuple(headers), b"{}", keep_alive=False, head=True) == (
        b"HTTP/1.1 529 Overloaded\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
    )
    assert render_answer(204, [], b"") == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert render_answer(599, [], b"") == b"HTTP/1.1 599 \r\ncontent-length: 0\r\n\r\n"
    assert render_answer(100, [], b"") == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_head_and_chunks() -> None:
    head = b"HTTP/1.1 200 OK\r\na: b\r\n"
    assert render_head(200, [(b"a", b"b")]) == head + b"transfer-encoding: chunked\r\n\r\n"
    assert render_head(200, [(b"a", b"b")], chunked=False) == head + b"connection: close\r\n\r\n"
    assert render_head(200, [], keep_alive=False).endswith(b"chunked\r\nconnection: close\r\n\r\n")
    assert render_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert render_chunk(b"x", last=True) == b"1\r\nx\r\n0\r\n\r\n"
    assert render_chunk(b"") == b""
    assert render_chunk(b"", last=True) == b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"a", b"b\r\nc: d"),
        (b"a", b"b\n"),
        (b"a", b"b\0"),
        (b"", b"b"),
        (b"a b", b"c"),
        (b"a\r\n", b"c"),
        (b"a:", b"c"),
        (b"Content-Length", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"close"),
    ],
)
def test_headers_that_would_break_the_head(name: bytes, value: bytes) -> None:
    with pytest.raises(ValueError, match="header"):
        render_answer(200, [(name, value)], b"")
    with pytest.raises(ValueError, match="header"):
        render_head(200, [(name, value)])


def test_answers_that_cannot_be() -> None:
    """RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5."""
    for status in (101, 204, 205, 304):
        with pytest.raises(ValueError, match="no body"):
            render_answer(status, [], b"x")
        with pytest.raises(ValueError, match="no body"):
            render_head(status, [])
    with pytest.raises(ValueError, match="three digits"):
        render_answer(99, [], b"")
    for headers in ([b"ab"], [(b"a",)], [("a", "b")], [[b"a", b"b"]], 1):
        with pytest.raises(TypeError):
            render_answer(200, headers, b"")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "spliced"),
    [
        (b'{"a":1}', b'{"a":1,"x":2}'),
        (b"{}", b'{"x":2}'),
        (b" { } \n", b' { "x":2} \n'),
        (b'{"a":{}}', b'{"a":{},"x":2}'),
        (b'{"a":"{"}\n', b'{"a":"{","x":2}\n'),
    ],
)
def test_members_are_added_to_an_answer(body: bytes, spliced: bytes) -> None:
    assert splice_answer(body, b'"x":2') == spliced
    assert splice_answer(body, b"") == body


def test_only_objects_take_members() -> None:
    for body in (b"", b" ", b"[]", b"null"):
        with pytest.raises(ValueError, match="object"):
            splice_answer(body, b'"x":2')


# --- what is rendered is read, and nothing else breaks ------------------------------------------------------------


def test_a_rendered_stream_is_read_back() -> None:
    pieces = [b"data: %d\n\n" % n for n in range(100)]
    data = render_head(200, [(b"content-type", b"text/event-stream")]) + b"".join(map(render_chunk, pieces))
    answer, reader = first(data + render_chunk(b"", last=True))
    assert (answer.body, answer.event_stream, reader.reusable) == (b"".join(pieces), True, True)


def test_arbitrary_bytes_raise_nothing_else() -> None:
    """Whatever comes, it is read, waited for, or refused with the error that says whose it is."""
    chance = random.Random(7)
    seeds = [FULL, CHUNKED + b"5;a=b\r\nhello\r\n0\r\na: b\r\n\r\n", b"POST /v1?a HTTP/1.1\r\nHost: a\r\n" + FULL[17:]]
    for _ in range(20_000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.choice(b'\0\t\n\r :;,="0AZaz\x7f\xff')
        cut = chance.randrange(len(data))
        server = RequestReader()
        with contextlib.suppress(MalformedRequest):
            server.feed(bytes(data[:cut]))
            (server.feed if server.body_complete else server.feed_body)(bytes(data[cut:]))
        try:
            client = ResponseReader()
            client.expect(head=chance.random() < 0.1)
            (client.feed_body if client.feed(bytes(data[:cut])) else client.feed)(bytes(data[cut:]))
            client.end()
        except (MalformedAnswer, ConnectionBroken):
            assert not client.reusable
