"""What RFC 9110 and RFC 9112 demand of a server that reads requests, a rule a line, and this project's limits.

What is refused is refused alike whole and byte by byte.
"""

from __future__ import annotations

import pytest

from bifrost_trio import _wire
from bifrost_trio._wire import Request, RequestReader
from bifrost_trio.errors import MalformedRequest

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /v1 HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def request(data: bytes) -> tuple[Request, bytes]:
    """The first request, and all of its body."""
    reader = RequestReader()
    read = reader.feed(data)
    assert read is not None
    return read, read.body


def refusal(data: bytes, *, bytewise: bool) -> tuple[int, str]:
    reader, read = RequestReader(), None
    pieces = [data[i : i + 1] for i in range(len(data))] if bytewise else [data]
    with pytest.raises(MalformedRequest) as caught:
        for piece in pieces:
            if read is None:
                read = reader.feed(piece)
            else:
                reader.feed_body(piece)
    return caught.value.status, caught.value.message


def refused(data: bytes) -> int:
    whole = refusal(data, bytewise=False)
    assert refusal(data, bytewise=True) == whole
    return whole[0]


def head(*lines: bytes) -> bytes:
    return GET + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


REFUSED_REQUESTS = {
    # RFC 9112 section 2.2: line ends, white space behind the start line
    "bare LF behind the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "bare LF behind a field": (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    "bare CR in the request line": (b"GET / HTTP/1.1\rX\r\n", 400),
    "bare CR before CRLF": (b"GET / HTTP/1.1\r\r\n", 400),
    "white space before the first field": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "bare LF before a request": (b"\nGET / HTTP/1.1\r\n", 400),
    "too many empty lines": (b"\r\n" * 9 + GET + b"\r\n", 400),
    # RFC 9112 section 2.3: versions
    "version 0.9": (b"GET / HTTP/0.9\r\n", 505),
    "version 1.2": (b"GET / HTTP/1.2\r\n", 505),
    "version 2.0": (b"GET / HTTP/2.0\r\n", 505),
    "version in lower case": (b"GET / http/1.1\r\n", 400),
    "no version": (b"GET /\r\n", 400),
    "two digits": (b"GET / HTTP/1.10\r\n", 400),
    # RFC 9112 section 3: request line
    "two spaces": (b"GET  / HTTP/1.1\r\n", 400),
    "tab": (b"GET\t/ HTTP/1.1\r\n", 400),
    "trailing space": (b"GET / HTTP/1.1 \r\n", 400),
    "method with a colon": (b"GE:T / HTTP/1.1\r\n", 400),
    "method of 33 letters": (b"A" * 33 + b" / HTTP/1.1\r\n", 501),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00", 400),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    # RFC 9112 section 3.2: targets
    "fragment": (b"GET /a#b HTTP/1.1\r\n", 400),
    "not ASCII": (b"GET /\xc3\xa4 HTTP/1.1\r\n", 400),
    "NUL in the target": (b"GET /\0 HTTP/1.1\r\n", 400),
    "backslash": (b"GET /a\\..\\b HTTP/1.1\r\n", 400),
    "relative": (b"GET v1/chat HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "authority": (b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "asterisk": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "absolute without a host": (b"GET http:///v1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "absolute with user information": (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "absolute of another scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    # RFC 9112 section 3.2: Host (code_400_after_bad_host_request)
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "no Host, absolute": (b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (head(b"Host: a"), 400),
    "Host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "Host with user information": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "Host with a space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "Host with a bad port": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    "Host that is no IPv6 address": (b"GET / HTTP/1.1\r\nHost: [a]\r\n\r\n", 400),
    "Host with an open bracket": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    # RFC 9112 section 5, RFC 9110 section 5.5: fields (reject_fields_contaning_cr_lf_nul, code_400_if_…_colon)
    "space before the colon": (head(b"A : b"), 400),
    "tab before the colon": (head(b"A\t: b"), 400),
    "space in a name": (head(b"A B: c"), 400),
    "empty name": (head(b": b"), 400),
    "no colon": (head(b"A"), 400),
    "name that is not ASCII": (head(b"\xc3\xa4: b"), 400),
    "NUL in a value": (head(b"A: b\0c"), 400),
    "CR in a value": (head(b"A: b\rc"), 400),
    "DEL in a value": (head(b"A: b\x7fc"), 400),
    "obsolete folding": (head(b"A: b", b" c"), 400),
    "two Content-Types": (head(b"Content-Type: text/plain", b"Content-Type: application/json"), 400),
    # RFC 9110 section 8.6: Content-Length
    "Content-Length, signed": (head(b"Content-Length: +1"), 400),
    "Content-Length, negative": (head(b"Content-Length: -1"), 400),
    "Content-Length, empty": (head(b"Content-Length:"), 400),
    "Content-Length, a list": (head(b"Content-Length: 1, 1"), 400),
    "Content-Length, spaced": (head(b"Content-Length: 1 1"), 400),
    "Content-Length, hexadecimal": (head(b"Content-Length: 0x1"), 400),
    "Content-Length, overflowing": (head(b"Content-Length: 18446744073709551616"), 400),
    "Content-Length twice": (head(b"Content-Length: 1", b"Content-Length: 1"), 400),
    "Content-Length, two": (head(b"Content-Length: 1", b"Content-Length: 2"), 400),
    # RFC 9112 sections 6.1 and 6.3: Transfer-Encoding
    "both framings": (head(b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400),
    "both framings, turned round": (head(b"Transfer-Encoding: chunked", b"Content-Length: 1"), 400),
    "coding in 1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "unknown coding": (head(b"Transfer-Encoding: gzip"), 400),
    "unknown coding before chunked": (head(b"Transfer-Encoding: gzip, chunked"), 501),
    "identity": (head(b"Transfer-Encoding: identity"), 400),
    "misspelt": (head(b"Transfer-Encoding: xchunked"), 400),
    "chunked twice": (head(b"Transfer-Encoding: chunked, chunked"), 400),
    "chunked twice, two lines": (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "chunked not last": (head(b"Transfer-Encoding: chunked, gzip"), 400),
    "chunked with parameters": (head(b"Transfer-Encoding: chunked;q=1"), 400),
    "chunked in quotes": (head(b'Transfer-Encoding: "chunked"'), 400),
    "empty coding": (head(b"Transfer-Encoding:"), 400),
    "empty element": (head(b"Transfer-Encoding: ,chunked"), 400),
    "vertical tab": (head(b"Transfer-Encoding: \x0bchunked"), 400),
    # RFC 9112 section 7.1: chunks
    "no size": (CHUNKED + b"\r\n", 400),
    "signed size": (CHUNKED + b"+5\r\n", 400),
    "prefixed size": (CHUNKED + b"0x5\r\n", 400),
    "size of 17 digits": (CHUNKED + b"1" * 17, 400),
    "size with an underscore": (CHUNKED + b"1_0\r\n", 400),
    "space before a size": (CHUNKED + b" 5\r\n", 400),
    "space behind a size": (CHUNKED + b"5 \r\n", 400),
    "bare LF behind a size": (CHUNKED + b"5\n", 400),
    "bare CR behind a size": (CHUNKED + b"5\rX", 400),
    "chunk longer than its size": (CHUNKED + b"1\r\nab\r\n", 400),
    "bare LF behind a chunk": (CHUNKED + b"1\r\na\n", 400),
    "extension without a name": (CHUNKED + b"1;\r\n", 400),
    "extension without a value": (CHUNKED + b"1;a=\r\n", 400),
    "extension in open quotes": (CHUNKED + b'1;a="b\r\n', 400),
    "bare LF in an extension": (CHUNKED + b"1;a\n", 400),
    "too many extensions": (CHUNKED + b"1;" + b"a" * (_wire.MAX_CHUNK_EXTENSION + 1), 400),
    # RFC 9110 section 6.5.1: trailers
    "Content-Length behind the body": (CHUNKED + b"0\r\nContent-Length: 1\r\n", 400),
    "Transfer-Encoding behind the body": (CHUNKED + b"0\r\ntransfer-encoding: chunked\r\n", 400),
    "Host behind the body": (CHUNKED + b"0\r\nHost: b\r\n", 400),
    "Authorization behind the body": (CHUNKED + b"0\r\nAuthorization: b\r\n", 400),
    "folding behind the body": (CHUNKED + b"0\r\n a: b\r\n", 400),
    "bare LF behind the body": (CHUNKED + b"0\r\na: b\n", 400),
    "NUL behind the body": (CHUNKED + b"0\r\na: \0\r\n", 400),
    "too many trailers": (CHUNKED + b"0\r\n" + b"a: b\r\n" * 2000, 431),
    "a trailer that never ends": (CHUNKED + b"0\r\na: " + b"b" * 9000, 431),
    # RFC 9110 section 10.1.1
    "unknown expectation": (head(b"Expect: the impossible"), 417),
    "several expectations": (head(b"Expect: 100-continue, other"), 417),
    # This project's limits, before the end is there (RFC 9112 section 3, RFC 6585 section 5)
    "a target that never ends": (b"GET /" + b"a" * 9000, 414),
    "a long target": (b"GET /" + b"a" * _wire.MAX_TARGET + b" HTTP/1.1\r\n", 414),
    "a field that never ends": (GET + b"A: " + b"b" * 70_000, 431),
    "fields that never end": (GET + b"A: " + b"b" * 6000 + (b"\r\nA: " + b"b" * 6000) * 11, 431),
    "too many fields": (GET + b"a:b\r\n" * _wire.MAX_HEADERS, 431),
}


@pytest.mark.parametrize("name", REFUSED_REQUESTS)
def test_refused_request(name: str) -> None:
    data, status = REFUSED_REQUESTS[name]
    assert refused(data) == status


def test_after_a_refusal_the_reader_stays_broken() -> None:
    reader = RequestReader()
    for data in (b"GET / HTTP/2.0\r\n", GET + b"\r\n"):
        with pytest.raises(MalformedRequest) as caught:
            reader.feed(data)
        assert caught.value.status == 505


def test_facts_of_a_request() -> None:
    read, body = request(
        POST.replace(b"/v1", b"/v1/a%20b?c=d?e") + b"X-BF-Vk:\t 1 \r\nA: b\r\na: c\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert (read.method, read.path, read.query, read.minor_version) == ("POST", "/v1/a%20b", "c=d?e", 1)
    assert (body, read.complete, read.content_length, read.keep_alive, read.special) == (b"{}", True, 2, True, True)
    assert read.header(b"a") == b"b, c"
    assert read.header(b"x-bf-vk") == b"1"
    assert read.header(b"b") is None
    assert read.headers()[1:4] == [(b"x-bf-vk", b"1"), (b"a", b"b"), (b"a", b"c")]
    assert not read.expect_continue
    assert read.handover is None


@pytest.mark.parametrize(
    ("name", "special"),
    [
        (b"X-Request-Id", True),
        (b"Anthropic-Version", True),
        (b"OpenAI-Beta", True),
        (b"x-bf-", True),
        (b"x-bf", False),
        (b"x-request-ids", False),
        (b"Authorization", False),
        (b"anthropic", False),
    ],
)
def test_special_headers(name: bytes, special: bool) -> None:
    assert request(head(name + b": 1"))[0].special is special


UNUSUAL = {
    "HEAD": b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "the last of its connection": b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "a body on its way": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nab",
    "an expectation": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_requests_that_need_thought(data: bytes) -> None:
    request = RequestReader().feed(data)
    assert request is not None
    assert not request.usual


def test_a_usual_request() -> None:
    for data in (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"):
        request = RequestReader().feed(data)
        assert request is not None
        assert request.usual


@pytest.mark.parametrize(
    ("field", "plain"),
    [
        (b"Content-Type: application/json", True),
        (b"Authorization: Bearer a", True),
        (b"Content-Type: application/json; charset=utf-8", False),
        (b"Content-Type: text/plain", False),
        (b"Content-Encoding: gzip", False),
        (b"Origin: https://a.example", False),
    ],
)
def test_plain_requests(field: bytes, plain: bool) -> None:
    assert request(head(field))[0].plain is plain


def test_absolute_target_overrides_host() -> None:
    """RFC 9112 section 3.2.2."""
    read, _ = request(b"GET http://b:81/c?d HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (read.path, read.query, read.header(b"host")) == ("/c", "d", b"b:81")
    read, _ = request(b"GET https://b HTTP/1.0\r\n\r\n")
    assert (read.path, read.query, read.headers()) == ("/", "", [(b"host", b"b")])
    assert request(b"OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n")[0].path == "*"
    assert request(b"OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n")[0].path == "*"


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"close", False),
        (b"1.1", b"Keep-Alive, CLOSE", False),
        (b"1.0", b"", False),
        (b"1.1", b"foo ,Keep-Alive", True),
        (b"1.0", b"Keep-Alive", False),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_persistence(version: bytes, connection: bytes, keeps: bool) -> None:
    """RFC 9112 section 9.3."""
    read, _ = request(b"GET / HTTP/" + version + b"\r\nHost: a\r\nConnection: " + connection + b"\r\n\r\n")
    assert read.keep_alive is keeps


def test_empty_lines_before_a_request() -> None:
    """allow_crlf_start: RFC 9112 section 2.2."""
    assert request(b"\r\n" * 8 + GET + b"\r\n")[0].method == "GET"


def test_expect_continue() -> None:
    """RFC 9110 section 10.1.1: not where the body has begun to come, there is none, or the client speaks 1.0."""
    expecting = POST + b"Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n"
    assert request(expecting)[0].expect_continue
    assert not request(expecting + b"a")[0].expect_continue
    assert not request(expecting.replace(b"1.1", b"1.0"))[0].expect_continue
    assert not request(head(b"Expect: 100-continue"))[0].expect_continue


def test_chunked_request_in_pieces() -> None:
    reader = RequestReader()
    read = reader.feed(CHUNKED + b'5;a="b;\\"";c = d\r\nhel')
    assert read is not None
    assert (read.content_length, read.body, read.complete) == (None, b"hel", False)
    assert reader.feed_body(b"lo\r\n00A\r\n0123456789\r\n0\r\nX: y\r\n\r") == b"lo0123456789"
    assert (reader.body_complete, reader.pending) == (False, False)
    assert reader.feed_body(b"\nGET") == b""
    assert (reader.body_complete, reader.pending) == (True, True)
    assert reader.feed(b" / HTTP/1.1\r\nHost: a\r\n\r\n") is not None
    assert not reader.pending


def test_a_body_is_read_before_the_next_request() -> None:
    reader = RequestReader()
    reader.feed(POST + b"Content-Length: 2\r\n\r\n")
    with pytest.raises(ValueError, match="body"):
        reader.feed(b"ab")


def test_pipelined_requests_come_one_by_one() -> None:
    reader = RequestReader()
    data = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(500))
    paths = []
    read = reader.feed(data)
    while read is not None:
        paths.append(read.path)
        read = reader.feed(b"")
    assert paths == [f"/{n}" for n in range(500)]


def test_handover_of_a_websocket() -> None:
    """RFC 6455 section 4.2.1. An upgrade to h2c, one with a body or no whole handshake is a request like any other."""
    lines = [b"Upgrade: websocket", b"Sec-WebSocket-Key: eA==", b"Sec-WebSocket-Version: 13"]
    upgrade = head(b"Connection: keep-alive, Upgrade", *lines)
    reader = RequestReader()
    assert reader.feed(b"\r\n" + upgrade[:20]) is None
    read = reader.feed(upgrade[20:] + b"\x81\x00")
    assert read is not None
    assert read.handover == upgrade + b"\x81\x00"
    assert (read.complete, reader.pending) == (True, False)
    assert request(upgrade.replace(b"websocket", b"h2c"))[0].handover is None
    assert request(upgrade.replace(b"GET", b"PUT"))[0].handover is None
    assert request(head(*lines))[0].handover is None
    for missing in lines:
        assert request(upgrade.replace(missing + b"\r\n", b""))[0].handover is None
    for line, other in (
        (lines[0], b"Upgrade: h2c, websocket"),
        (lines[0], lines[0] + b"\r\nUpgrade: h2c"),
        (lines[1], lines[1] + b"\r\n" + lines[1]),
        (lines[2], b"Sec-WebSocket-Version: 8"),
        (lines[2], lines[2] + b"\r\nSec-WebSocket-Extensions: \xe9"),
    ):
        assert request(upgrade.replace(line, other))[0].handover is None


def test_handover_of_http_2() -> None:
    """RFC 9113 section 3.4: only as the first bytes of a connection."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    reader = RequestReader()
    assert all(reader.feed(preface[i : i + 1]) is None for i in range(23))
    read = reader.feed(preface[23:] + b"\0\0\0\4")
    assert read is not None
    assert (read.method, read.path, read.handover) == ("PRI", "*", preface + b"\0\0\0\4")
    assert refused(preface[:20] + b"XX" * 4) == 505
    assert refused(b"\r\n" + preface) == 505
    reader = RequestReader()
    reader.feed(GET + b"\r\n")
    with pytest.raises(MalformedRequest):
        reader.feed(preface)
