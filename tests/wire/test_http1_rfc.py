"""The public list of what RFC 9110 and RFC 9112 demand, rule by rule, as far as a parser and a renderer can show it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bifrost_trio._wire import RequestReader, ResponseReader, render_answer, render_chunk, render_head
from bifrost_trio.errors import MalformedAnswer, MalformedRequest

LIST = Path(__file__).parents[2] / ".." / "shared" / "data" / "http1" / "rfc_rules.jsonl"
Rule = Callable[[], None]
RULES: dict[str, Rule] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    def keep(show: Rule) -> Rule:
        RULES[name] = show
        return show

    return keep


def status_of(data: bytes) -> int:
    with pytest.raises(MalformedRequest) as caught:
        RequestReader().feed(data)
    return caught.value.status


def with_field(line: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n"


@rule("reject_fields_contaning_cr_lf_nul")
def _() -> None:
    """RFC 9110 section 5.5."""
    for byte in (b"\r", b"\n", b"\0"):
        assert status_of(with_field(b"A: b" + byte + b"c")) == 400


@rule("code_400_after_bad_host_request")
def _() -> None:
    """RFC 9112 section 3.2."""
    for lines in (b"", b"Host: a\r\nHost: a\r\n", b"Host: a/b\r\n", b"Host: a b\r\n"):
        assert status_of(b"GET / HTTP/1.1\r\n" + lines + b"\r\n") == 400


@rule("code_501_unknown_methods")
def _() -> None:
    """RFC 9110 section 9.1: what cannot be a method of any route; tokens are left to the routes."""
    assert status_of(b"CONNECT a:1 HTTP/1.1\r\n") == 501
    assert status_of(b"A" * 40 + b" / HTTP/1.1\r\n") == 501


@rule("content_head_request")
def _() -> None:
    """RFC 9110 section 9.3.2."""
    assert render_answer(200, [], b"hello", head=True).endswith(b"\r\n\r\n")


@rule("content_length_same_head_get")
def _() -> None:
    """RFC 9110 section 8.6."""
    assert render_answer(200, [], b"hello").startswith(render_answer(200, [], b"hello", head=True))


@rule("allow_crlf_start")
def _() -> None:
    """RFC 9112 section 2.2."""
    assert RequestReader().feed(b"\r\n" + with_field(b"A: b")) is not None


@rule("reject_msgs_with_whitespace_between_startline_and_first_header_field")
def _() -> None:
    """RFC 9112 section 2.2."""
    for blank in (b" ", b"\t"):
        assert status_of(b"GET / HTTP/1.1\r\n" + blank + b"Host: a\r\n\r\n") == 400


@rule("code_400_if_msg_with_whitespace_between_header_field_and_colon")
def _() -> None:
    """RFC 9112 section 5.1."""
    for blank in (b" ", b"\t"):
        assert status_of(with_field(b"A" + blank + b": b")) == 400


@rule("content_length_1XX_204")
def _() -> None:
    """RFC 9110 section 8.6."""
    for status in (100, 103, 204):
        assert b"content-length" not in render_answer(status, [], b"")


@rule("no_transfer_encoding_1xx_204")
def _() -> None:
    """RFC 9112 section 6.1."""
    for status in (100, 103, 204):
        with pytest.raises(ValueError, match="no body"):
            render_head(status, [])


@rule("transfer_encoding_http11")
def _() -> None:
    """RFC 9112 section 6.1: for a client of 1.0 the close ends the body."""
    assert b"transfer-encoding" not in render_head(200, [], chunked=False)


@rule("switch_protocol_without_client")
def _() -> None:
    """RFC 9110 section 7.8: nothing that is sent upstream asks for another protocol."""
    with pytest.raises(MalformedAnswer):
        ResponseReader().feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")


@rule("content_length_grammar")
def _() -> None:
    """RFC 9110 section 8.6: 1*DIGIT, for readers too."""
    for value in (b"", b"+1", b"-1", b"1.0", b"0x1", b"1 1", b"1, 1", b"\xd9\xa1"):
        assert status_of(with_field(b"Content-Length: " + value)) == 400


@rule("transfer_encoding_grammar")
def _() -> None:
    """RFC 9112 section 6.1; section 6.3 for one that does not end in chunked."""
    unknown = ((b"gzip", 400), (b"gzip, chunked", 501))
    for value, status in ((b"", 400), (b"chunked,", 400), (b"(chunked)", 400), (b"chunked, gzip", 400), *unknown):
        assert status_of(with_field(b"Transfer-Encoding: " + value)) == status


@rule("connection_grammar")
def _() -> None:
    """RFC 9110 section 7.6.1: a list of tokens, in any letter case, over several lines."""
    request = RequestReader().feed(with_field(b"Connection: a ,\r\nCONNECTION: Close"))
    assert request is not None
    assert not request.keep_alive


@rule("close_option_in_final_response")
def _() -> None:
    """RFC 9112 section 9.6."""
    assert b"\r\nconnection: close\r\n" in render_answer(200, [], b"", keep_alive=False)
    assert b"\r\nconnection: close\r\n" in render_head(200, [], keep_alive=False)
    assert b"\r\nconnection: close\r\n" in render_head(200, [], chunked=False)


@rule("no_bare_cr")
def _() -> None:
    """RFC 9112 section 2.2."""
    for name, value in ((b"a", b"b\rc"), (b"a\r", b"b"), (b"a", b"b\r")):
        with pytest.raises(ValueError, match="header"):
            render_answer(200, [(name, value)], b"")


@rule("code_204_no_additional_content")
@rule("code_304_no_content")
def _() -> None:
    """RFC 9110 sections 15.3.5 and 15.4.5, written and read."""
    for status in (204, 304):
        with pytest.raises(ValueError, match="no body"):
            render_answer(status, [], b"x")
        reader = ResponseReader()
        answer = reader.feed(b"HTTP/1.1 %d X\r\nContent-Length: 1\r\n\r\nx" % status)
        assert answer is not None
        assert (answer.body, answer.complete, reader.reusable) == (b"", True, False)


@rule("code_205_no_content_allowed")
def _() -> None:
    """RFC 9110 section 15.3.6."""
    assert render_answer(205, [], b"").endswith(b"content-length: 0\r\n\r\n")
    with pytest.raises(ValueError, match="no body"):
        render_answer(205, [], b"x")


@rule("continue_before_upgrade")
def _() -> None:
    """RFC 9110 section 7.8: an upgrade has no body here, so that no 100 is ever due before a 101."""
    handshake = b"Upgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"
    upgrade = b"Connection: upgrade\r\n" + handshake + b"Expect: 100-continue"
    request = RequestReader().feed(with_field(upgrade))
    assert request is not None
    assert (request.expect_continue, request.handover is None) == (False, False)
    request = RequestReader().feed(with_field(upgrade + b"\r\nContent-Length: 1"))
    assert request is not None
    assert (request.expect_continue, request.handover is None) == (True, True)


@pytest.mark.parametrize("name", RULES)
def test_rule(name: str) -> None:
    RULES[name]()


def test_rules_are_of_the_list() -> None:
    if not LIST.exists():
        pytest.skip(f"no public list of rules at {LIST}")
    assert set(RULES) <= {json.loads(line)["name"] for line in LIST.read_text().splitlines()}


def test_an_empty_chunk_is_never_written() -> None:
    """RFC 9112 section 7.1: it would end the body."""
    assert render_chunk(b"") == b""
