"""What the mock says, in every language: read by the clients that it was written for."""

from __future__ import annotations

import json
from typing import Any

import anthropic.types as claude
import hypothesis
import hypothesis.strategies as st
import openai.types as gpt
import openai.types.chat as gpt_chat
import openai.types.responses as gpt_responses
import pytest
from openai.types.responses.response_stream_event import ResponseStreamEvent
from pydantic import TypeAdapter

from bifrost_trio._wire import EventReader, ResponseReader, StreamScan, scan_answer
from bifrost_trio.mock import MockProvider, Received, Script

TOOL = {
    "name": "get_weather",
    "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
}
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_completions": "/v1/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
}


def asked(path: str, wire: dict[str, Any] | None = None, mock: MockProvider | None = None, **headers: str) -> Script:
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    body = json.dumps(wire).encode() if wire is not None else b""
    return (mock or MockProvider())(Received("mock.test", 1, 0.0, "POST", path, "", lines, body))


def request(language: str, text: str, **members: Any) -> dict[str, Any]:
    place = {"openai_completions": "prompt", "openai_responses": "input"}.get(language)
    told: dict[str, Any] = {place: text} if place else {"messages": [{"role": "user", "content": text}]}
    return {"model": "mock-1", **told, **members}


def read(script: Script) -> tuple[int, bytes, bool]:
    """Status, body, and whether it was complete."""
    reader = ResponseReader()
    reader.expect()
    response = reader.feed(script.data)
    assert response is not None
    return response.status, response.body, response.complete


def body(script: Script) -> Any:
    status, data, complete = read(script)
    assert (status, complete) == (200, True)
    return json.loads(data)


def events(script: Script) -> list[tuple[str, Any]]:
    status, data, complete = read(script)
    assert (status, complete) == (200, True)
    return [(name, json.loads(told)) for name, told, _ in EventReader().feed(data) if told != b"[DONE]"]


def test_chat() -> None:
    answer = gpt_chat.ChatCompletion.model_validate(
        body(asked(PATHS["openai_chat"], request("openai_chat", "Good day")))
    )
    assert answer.choices[0].message.content == "You said: Good day"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (2, 4, 6)


def test_completion() -> None:
    answer = gpt.Completion.model_validate(
        body(asked(PATHS["openai_completions"], request("openai_completions", "Once")))
    )
    assert answer.choices[0].text == "You said: Once"


def test_response() -> None:
    answer = gpt_responses.Response.model_validate(
        body(asked(PATHS["openai_responses"], request("openai_responses", "Hi")))
    )
    assert answer.output_text == "You said: Hi"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 4


def test_message() -> None:
    wire = request("anthropic", "Hi", system="Be brief.", max_tokens=9)
    answer = claude.Message.model_validate(body(asked(PATHS["anthropic"], wire)))
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "You said: Hi"
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 3)


def test_embeddings() -> None:
    wire = {"model": "mock-1", "input": ["one", "two", "one"], "dimensions": 4}
    answer = gpt.CreateEmbeddingResponse.model_validate(body(asked("/v1/embeddings", wire)))
    first, second, third = (one.embedding for one in answer.data)
    assert len(first) == 4
    assert first == third != second
    assert answer.usage.prompt_tokens == 3


def test_models() -> None:
    mock = MockProvider(models=["a", "b"])
    assert [model["id"] for model in body(asked("/v1/models", mock=mock))["data"]] == ["a", "b"]
    theirs = body(asked("/v1/models", mock=mock, anthropic_version="2023-06-01"))
    assert [claude.ModelInfo.model_validate(model).id for model in theirs["data"]] == ["a", "b"]


def test_counting_tokens() -> None:
    assert body(asked("/v1/messages/count_tokens", request("anthropic", "one two three"))) == {"input_tokens": 3}
    counted = body(asked("/v1/responses/input_tokens", request("openai_responses", "one two")))
    assert counted == {"object": "response.input_tokens", "input_tokens": 2}


def text_of(language: str, told: list[tuple[str, Any]]) -> str:
    if language == "openai_chat":
        chunks = [gpt_chat.ChatCompletionChunk.model_validate(event) for _, event in told]
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    if language == "openai_completions":
        return "".join(choice["text"] for _, event in told for choice in event["choices"])
    if language == "openai_responses":
        adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
        assert [event["sequence_number"] for _, event in told] == list(range(len(told)))
        read = [adapter.validate_python(event) for _, event in told]
        return "".join(event.delta for event in read if event.type == "response.output_text.delta")
    theirs: TypeAdapter[Any] = TypeAdapter(claude.RawMessageStreamEvent)
    kept = [theirs.validate_python(event) for name, event in told if name != "ping"]
    return "".join(event.delta.text for event in kept if event.type == "content_block_delta")


@pytest.mark.parametrize("language", PATHS)
def test_streams(language: str) -> None:
    """The text is the same as that of the whole answer, and the gateway's own side scan finds its end and usage."""
    wire = request(language, "Good day to you", stream=True, stream_options={"include_usage": True})
    script = asked(PATHS[language], wire)
    assert text_of(language, events(script)) == "You said: Good day to you"
    scan = StreamScan(language)
    scan.feed(read(script)[1])
    assert scan.complete
    assert scan.error is None
    assert scan.usage is not None
    assert (scan.usage.input_tokens, scan.usage.output_tokens) == (4, 6)


@pytest.mark.parametrize("language", PATHS)
def test_pieces_and_usage_can_be_ordered(language: str) -> None:
    wire = request(language, "[[mock chunks=7 input-tokens=100 output-tokens=200]]", stream=True)
    assert text_of(language, events(asked(PATHS[language], wire))) == "1 2 3 4 5 6 7 "
    wire["stream"] = False
    answer = scan_answer(language, json.dumps(body(asked(PATHS[language], wire))).encode())
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 200)


def test_content_can_be_ordered_and_is_cut_evenly() -> None:
    wire = request("openai_chat", '[[mock content="abc def" chunks=3 finish=length]]', stream=True)
    told = events(asked(PATHS["openai_chat"], wire))
    contents = [event["choices"][0]["delta"].get("content") for _, event in told]
    assert contents == ["", "ab", "c ", "def", None]
    assert told[-1][1]["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("language", ["openai_chat", "openai_responses", "anthropic"])
def test_a_tool_is_called_when_it_is_named(language: str, stream: bool) -> None:
    tool: dict[str, Any] = {"type": "function", **TOOL}
    if language == "openai_chat":
        tool = {"type": "function", "function": TOOL}
    elif language == "anthropic":
        tool = {"name": TOOL["name"], "input_schema": TOOL["parameters"]}
    wire = request(language, "Please use get_weather", tools=[tool], stream=stream)
    script = asked(PATHS[language], wire)
    told = json.dumps([event for _, event in events(script)] if stream else body(script))
    assert "get_weather" in told
    if stream:
        scan = StreamScan(language)
        scan.feed(read(script)[1])
        assert scan.complete
        assert scan.output
    silent = {**wire, **request(language, "Please rest", stream=False)}
    assert "You said: Please rest" in json.dumps(body(asked(PATHS[language], silent)))


def test_a_tool_is_called_once() -> None:
    wire = request("openai_chat", "Please use get_weather", tools=[{"type": "function", "function": TOOL}])
    call = body(asked(PATHS["openai_chat"], wire))["choices"][0]["message"]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"city": "mock"}
    result = {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "get_weather says: sunny"}
    wire["messages"] += [call, result]
    again = body(asked(PATHS["openai_chat"], wire))["choices"][0]
    assert again["message"]["content"] == "You said: get_weather says: sunny"
    assert again["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("path", "wire", "status"),
    [
        ("/v1/chat/completions", {"messages": {"not": "a list"}}, 200),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "[[mock statsu=500]]"}]}, 400),
        ("/v1/chat/completions", {"tools": 7}, 400),
        ("/v1/nowhere", {}, 404),
    ],
)
def test_what_it_does_not_understand_is_an_answer(path: str, wire: dict[str, Any], status: int) -> None:
    assert read(asked(path, wire))[0] == status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["user", "tool_result", "get_weather"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["content", "text", "type", "name"]), inner),
    max_leaves=10,
)
MEMBERS = ["messages", "prompt", "input", "tools", "tool_choice", "stream", "system", "dimensions", "stream_options"]


@hypothesis.given(
    path=st.sampled_from([*PATHS.values(), "/v1/embeddings"]), wire=st.dictionaries(st.sampled_from(MEMBERS), JSON)
)
def test_whatever_is_sent_it_answers(path: str, wire: dict[str, Any]) -> None:
    """It never fails on a request, and what it answers is HTTP."""
    status, _, complete = read(asked(path, {"model": "mock-1", **wire}))
    assert status in (200, 400)
    assert complete
