"""Errors: whatever a provider answers is read, and each API is answered in its own shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_trio.errors import (
    AuthenticationRequired,
    BodyTooLarge,
    Draining,
    FirstOutputTimeout,
    Forbidden,
    GatewayError,
    InvalidField,
    KeyRefused,
    ModelNotFound,
    ProviderFault,
    QueueFull,
    RateLimited,
    RequestRefused,
    RouteNotFound,
    StreamFault,
)
from bifrost_trio.formats import FORMATS, anthropic, openai_chat
from bifrost_trio.formats.bifrost import bifrost_error, bifrost_stream_error

NAMES = sorted(FORMATS)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (
            b'{"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}',
            ("m", "t", "c", "p"),
        ),
        (b'{"type": "error", "error": {"type": "t", "message": "m"}, "request_id": "r"}', ("m", "t", None, None)),
        (b'{"error": {"message": "m", "code": 429}}', ("m", None, "429", None)),
        (b'{"error": "m"}', ("m", None, None, None)),
        (b'[{"error": {"message": "m", "status": "s"}}]', ("m", None, None, None)),
        (b'{"object": "error", "message": "m", "type": "t", "code": "3051"}', ("m", "t", "3051", None)),
        (b'{"message": {"detail": [{"loc": ["body"], "msg": "a"}, {"msg": "b"}]}}', ("a; b", None, None, None)),
        (b'{"detail": "m"}', ("m", None, None, None)),
        (b'"m"', ("m", None, None, None)),
        (b"plain\n text", ("plain text", None, None, None)),
        (b"<html><head><title>502 Bad\nGateway</title></head></html>", ("502 Bad Gateway", None, None, None)),
    ],
)
def test_what_providers_say_is_read(body: bytes, wanted: tuple[str | None, ...]) -> None:
    for name in NAMES:
        assert FORMATS[name].decode_error(500, body) == wanted


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"0", b'{"error": {}}', b'{"error": ""}', b"<html>", b"<h1>x", b'"', b"\x00 "]
)
def test_silence_has_a_sentence(body: bytes) -> None:
    message, kind, code, param = openai_chat.decode_error(503, body)
    assert "503" in message or body in (b'"', b"\x00 ")
    assert message
    assert (kind, code, param) == (None, None, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.sampled_from(["error", "message", "x"]),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message", "type", "code", "detail"]), inner)
    ),
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_reading_an_error_never_raises(body: bytes) -> None:
    for name in NAMES:
        message, kind, code, param = FORMATS[name].decode_error(500, body)
        assert message
        assert all(word is None or isinstance(word, str) for word in (kind, code, param))


def test_a_long_page_is_cut() -> None:
    assert len(openai_chat.decode_error(500, b"x" * 1_000_000)[0]) == 500


ERRORS: list[tuple[GatewayError, str, tuple[str, str | None]]] = [
    (InvalidField("m", "messages"), "invalid_request_error", ("invalid_request_error", "invalid_parameter")),
    (AuthenticationRequired("m"), "authentication_error", ("authentication_error", None)),
    (Forbidden("m"), "permission_error", ("permission_error", None)),
    (RouteNotFound("m"), "not_found_error", ("invalid_request_error", "not_found")),
    (ModelNotFound("m"), "not_found_error", ("invalid_request_error", "model_not_found")),
    (BodyTooLarge("m"), "request_too_large", ("invalid_request_error", "request_too_large")),
    (QueueFull("m"), "rate_limit_error", ("rate_limit_error", "rate_limit_exceeded")),
    (Draining("m"), "overloaded_error", ("server_error", "overloaded")),
    (FirstOutputTimeout("m"), "timeout_error", ("server_error", "timeout")),
    (RateLimited(429, "m", type="requests", code="c"), "rate_limit_error", ("requests", "c")),
    (RateLimited(429, "m"), "rate_limit_error", ("rate_limit_error", "rate_limit_exceeded")),
    (KeyRefused(402, "m", type="billing_error"), "billing_error", ("insufficient_quota", None)),
    (RequestRefused(422, "m", type="Bad Request"), "invalid_request_error", ("Bad Request", None)),
    (ProviderFault(529, "m", type="overloaded_error"), "overloaded_error", ("server_error", "overloaded")),
    (ProviderFault(500, "m", type="api_error"), "api_error", ("server_error", None)),
    (ProviderFault(502, "m"), "api_error", ("provider_error", None)),
    (StreamFault("m", status=529), "overloaded_error", ("provider_error", None)),
    (GatewayError("m"), "api_error", ("internal_error", None)),
]


@pytest.mark.parametrize(("error", "kind", "members"), ERRORS)
def test_each_api_in_its_own_shape(error: GatewayError, kind: str, members: tuple[str, str | None]) -> None:
    # Anthropic's shape has no place for the field at fault.
    message = f"{error.param}: m" if error.param else "m"
    wanted = {"type": "error", "error": {"type": kind, "message": message}}
    assert json.loads(anthropic.encode_error(error)) == wanted
    assert anthropic.encode_stream_error(error) == b"event: error\ndata: " + anthropic.encode_error(error) + b"\n\n"
    openai = {"error": {"message": "m", "type": members[0], "param": error.param, "code": members[1]}}
    assert json.loads(openai_chat.encode_error(error)) == openai
    assert openai_chat.encode_stream_error(error) == b"data: " + openai_chat.encode_error(error) + b"\n\n"


@pytest.mark.parametrize("kind", ["api_error", "overloaded_error", "rate_limit_error", "invalid_request_error"])
def test_an_error_of_anthropic_is_read_again_as_it_was(kind: str) -> None:
    error = ProviderFault(500, "m", type=kind)
    assert anthropic.decode_error(500, anthropic.encode_error(error)) == ("m", kind, None, None)


def test_responses_have_an_error_event_of_their_own() -> None:
    frame = FORMATS["openai_responses"].encode_stream_error(InvalidField("m", "input"))
    event = json.loads(frame.removeprefix(b"event: error\ndata: "))
    assert event == {
        "type": "error",
        "code": "invalid_parameter",
        "message": "m",
        "param": "input",
        "sequence_number": 0,
    }


def read(frame: bytes) -> Any:
    return json.loads(frame.removeprefix(b"data: "))


def test_the_native_shape() -> None:
    fields = {"provider": "openai", "model_requested": "openai/gpt-5", "request_type": "chat_completion"}
    error = InvalidField("m", "messages")
    wanted = {
        "is_bifrost_error": True,
        "status_code": 400,
        "type": "invalid_request_error",
        "error": {"type": "invalid_request_error", "code": "invalid_parameter", "message": "m", "param": "messages"},
        "extra_fields": fields,
    }
    assert json.loads(bifrost_error(error, fields)) == wanted
    assert read(bifrost_stream_error(error, fields)) == wanted


@pytest.mark.parametrize("error", [RateLimited(429, "m"), StreamFault("m", status=529)])
def test_what_the_provider_said_is_not_the_gateways(error: GatewayError) -> None:
    said = json.loads(bifrost_error(error))
    assert (said["is_bifrost_error"], said["status_code"], said["extra_fields"]) == (False, error.status, {})
