"""The mock's words: read strictly, merged in their order, counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bifrost_trio._wire import Response, ResponseReader
from bifrost_trio.mock import End, MockProvider, Pause, Received, Rule, Script


def ask(mock: MockProvider, text: str = "Hi", model: str = "mock-1", host: str = "a.test", **members: Any) -> Script:
    wire = {"model": model, "messages": [{"role": "user", "content": text}], **members}
    headers = [(b"authorization", b"Bearer sk-one")]
    return mock(Received(host, 1, 0.0, "POST", "/v1/chat/completions", "", headers, json.dumps(wire).encode()))


def answer(script: Script) -> Response:
    reader = ResponseReader()
    reader.expect()
    response = reader.feed(script.data)
    assert response is not None
    return response


def statuses(mock: MockProvider, count: int, **given: Any) -> list[int]:
    return [answer(ask(mock, **given)).status for _ in range(count)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("statsu=500", "the mock knows no word 'statsu'; it knows chunks, close, code"),
        ("status", "a word of the mock's is name=value, not 'status'"),
        ("status=high", "status is a whole number below ten million, not 'high'"),
        ("status=99", "status is a status from 200 on, not '99'"),
        ("delay=-1", "delay is a number of seconds, not '-1'"),
        ("delay=nan", "delay is a number of seconds, not 'nan'"),
        ("stall=soon", "stall is one of head, body, output, not 'soon'"),
        ("end=keep", "end is one of close, reset, stall, not 'keep'"),
        ("garble=it", "garble is one of json, head"),
        ("error-body=1", "error-body is yes or no, not '1'"),
        ("retry-after=date:x", "retry-after is a number of seconds, not 'x'"),
        ('content="open', "No closing quotation"),
    ],
)
def test_a_word_that_means_nothing_is_refused(words: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        Rule.parse(words)


def test_the_nearer_word_wins() -> None:
    mock = MockProvider("status=501", ["model=mock-4* status=502"])
    assert answer(ask(mock)).status == 501
    assert answer(ask(mock, model="mock-4x")).status == 502
    assert answer(ask(mock, model="mock-429")).status == 429
    assert answer(ask(mock, model="mock-429", text="[[mock status=503]]")).status == 503


def test_only_the_last_message_orders() -> None:
    history = [{"role": "user", "content": "[[mock status=500]]"}, {"role": "user", "content": "And now?"}]
    assert answer(ask(MockProvider(), messages=history)).status == 200


def test_the_first_n_and_each_kth() -> None:
    assert statuses(MockProvider("status=500 times=2"), 4) == [500, 500, 200, 200]
    assert statuses(MockProvider("status=500 every=3"), 6) == [200, 200, 500, 200, 200, 500]
    assert statuses(MockProvider("status=500 every=2 times=1"), 5) == [200, 500, 200, 200, 200]


def test_directives_are_counted_word_for_word() -> None:
    mock = MockProvider()
    assert statuses(mock, 2, text="[[mock status=500 times=1]]") == [500, 200]
    assert statuses(mock, 2, text="Another [[mock status=500 times=1 message=again]]") == [500, 200]


def test_rules_for_some_alone() -> None:
    mock = MockProvider(rules=["host=b.* status=500", "key=sk-two status=401", "path=*/embeddings status=404"])
    assert answer(ask(mock)).status == 200
    assert answer(ask(mock, host="b.test")).status == 500


def test_retry_after_in_its_three_forms() -> None:
    assert answer(ask(MockProvider("status=429 retry-after=2"))).header(b"retry-after") == b"2"
    assert answer(ask(MockProvider("status=429 retry-after-ms=1500"))).header(b"retry-after-ms") == b"1500"
    date = answer(ask(MockProvider("status=429 retry-after=date:2"))).header(b"retry-after")
    assert date is not None
    assert date.endswith(b" GMT")


@pytest.mark.parametrize(
    ("status", "openai", "anthropic"),
    [
        (400, ("invalid_request_error", None), "invalid_request_error"),
        (401, ("invalid_request_error", "invalid_api_key"), "authentication_error"),
        (429, ("requests", "rate_limit_exceeded"), "rate_limit_error"),
        (500, ("server_error", None), "api_error"),
        (529, ("server_error", None), "overloaded_error"),
    ],
)
def test_errors_are_worded_as_the_provider_words_them(
    status: int, openai: tuple[str, str | None], anthropic: str
) -> None:
    mock = MockProvider(f"status={status}")
    told = json.loads(answer(ask(mock)).body)["error"]
    assert (told["type"], told["code"]) == openai
    body = b'{"model": "m", "messages": []}'
    theirs = answer(mock(Received("", 1, 0.0, "POST", "/v1/messages", "", [], body)))
    assert json.loads(theirs.body)["type"] == "error"
    assert json.loads(theirs.body)["error"]["type"] == anthropic


def test_an_error_can_be_worded() -> None:
    mock = MockProvider('status=400 code=context_length_exceeded message="Too long."')
    told = json.loads(answer(ask(mock)).body)["error"]
    assert (told["code"], told["message"]) == ("context_length_exceeded", "Too long.")


def test_pauses_stand_where_they_were_ordered() -> None:
    script = ask(MockProvider("delay=1 first-output=2 gap=3 content=ab chunks=2"), stream=True)
    kinds = [
        step.seconds if isinstance(step, Pause) else b"HTTP" in step or b'"content": "' in step for step in script.steps
    ]
    assert [kind for kind in kinds if kind is not False] == [1.0, True, True, 2.0, True, 3.0, True]


@pytest.mark.parametrize(
    ("words", "end", "last"),
    [
        ("cut-head=10", End.CLOSE, b"HTTP/1.1 2"),
        ("stall=head", End.STALL, b""),
        ("stall=body", End.STALL, b"\r\n\r\n"),
        ("reset=body", End.RESET, b"\r\n\r\n"),
        ("cut-body=5 end=reset", End.RESET, b'\r\n\r\n{"id"'),
        ("end=stall", End.STALL, b"}"),
        ("close=unsaid", End.CLOSE, b"}"),
    ],
)
def test_where_an_answer_is_cut(words: str, end: End, last: bytes) -> None:
    script = ask(MockProvider(words))
    assert script.end is end
    assert script.data.endswith(last)
    assert bool(script.data) == bool(last)


def test_a_head_that_comes_byte_by_byte() -> None:
    script = ask(MockProvider("slow-head=0.5"))
    data = [step for step in script.steps if isinstance(step, bytes)]
    assert all(len(step) == 1 for step in data[:-1])
    assert answer(script).status == 200
