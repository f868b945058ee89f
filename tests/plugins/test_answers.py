"""What plugins see of answers and streams, and what the client gets of what they change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio._wire import EventReader
from bifrost_trio.errors import Forbidden, StreamFault
from bifrost_trio.formats import FORMATS
from bifrost_trio.plugins import Answer, Plugin, Plugins
from bifrost_trio.testing import gateway_in_memory
from bifrost_trio.types import Call, JsonObject, Reply, Station
from tests.workers.calls import ANSWER, Kept, make_call

CLIENTS = ("openai_chat", "anthropic")
REQUEST = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}


def call_of(client: str, *, stream: bool) -> Call:
    body = json.dumps({**REQUEST, "stream": stream}).encode()
    return make_call(body=body, format=client, native=client == "openai_chat")


def chunk(text: str | None, finish: str | None = None) -> JsonObject:
    delta = {} if text is None else {"content": text}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"} | {
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]
    }


CHUNKS = [chunk(""), chunk("Hel"), chunk("lo"), chunk(", you"), chunk(None, "stop")]


def written(client: str, chunks: list[JsonObject]) -> list[bytes]:
    """A stream as the provider's station writes it, in the client's format, piece by piece."""
    encoder = FORMATS[client].stream_encoder(REQUEST)
    return [*map(encoder.encode, chunks), encoder.finish()]


def whole(client: str) -> bytes:
    return json.dumps(FORMATS[client].encode_answer(ANSWER)).encode()


def text_of(client: str, reply: Kept) -> str:
    """What the client reads in an answer or a stream."""
    format = FORMATS[client]
    if reply.state == "sent":
        content: str = format.decode_answer(reply.json)["choices"][0]["message"]["content"]
        return content
    return "".join(
        choice["delta"].get("content") or "" for one in chunks_of(client, reply.body) for choice in one["choices"]
    )


def chunks_of(client: str, body: bytes) -> list[JsonObject]:
    decoder = FORMATS[client].stream_decoder()
    found = [c for event, data, _ in EventReader().feed(body) for c in decoder.decode(event, data)]
    return [*found, *decoder.finish()]


async def through(plugins: list[Plugin], following: Station, call: Call) -> Kept:
    reply = Kept(call)
    async with trio.open_nursery() as background:
        await Plugins(plugins, following, background)(call, reply)
    return reply


def playing(client: str, *, cut: int | None = None) -> Station:
    """The provider: a whole answer, or a stream, in pieces of ``cut`` bytes."""

    async def play(call: Call, reply: Reply) -> None:
        if not call.stream:
            await reply.send(200, [(b"content-type", b"application/json")], whole(client))
            return
        pieces = written(client, CHUNKS)
        if cut is not None:
            data = b"".join(pieces)
            pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
        reply.claim()
        reply.start(200, [(b"content-type", b"text/event-stream")])
        for piece in pieces[:-1]:
            await reply.write(piece)
        await reply.finish(pieces[-1])

    return play


class Chunks(Plugin):
    """Sees each chunk with ``see``."""

    def __init__(self, see: Callable[[JsonObject], JsonObject | None], name: str = "chunks") -> None:
        super().__init__({})
        self.name = name
        self.see = see

    def chunk(self, call: Call, chunk: JsonObject) -> JsonObject | None:
        return self.see(chunk)


def with_text(chunk: JsonObject, change: Callable[[str], str | None]) -> JsonObject | None:
    for choice in chunk["choices"]:
        text = choice["delta"].get("content")
        if text:
            changed = change(text)
            if changed is None:
                return None
            choice["delta"]["content"] = changed
    return chunk


def fails(_: object) -> Any:
    raise ZeroDivisionError("a plugin's bug")


SEEN: dict[str, tuple[list[Callable[[JsonObject], JsonObject | None]], str]] = {
    "unchanged": ([lambda c: c], "Hello, you"),
    "changed": ([lambda c: with_text(c, str.upper)], "HELLO, YOU"),
    "some dropped": ([lambda c: with_text(c, lambda text: None if text == "lo" else text)], "Hel, you"),
    "all texts dropped": ([lambda c: with_text(c, lambda text: None)], ""),
    "by two, the last one first": (
        [lambda c: with_text(c, lambda text: f"({text})"), lambda c: with_text(c, lambda text: f"[{text}]")],
        "([Hel])([lo])([, you])",
    ),
    "with a bug": ([fails], "Hello, you"),
    "with a bug beside another": ([lambda c: with_text(c, str.upper), fails], "HELLO, YOU"),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("see", "expected"), SEEN.values(), ids=SEEN)
async def test_chunks(client: str, see: list[Callable[[JsonObject], JsonObject | None]], expected: str) -> None:
    plugins: list[Plugin] = [Chunks(one, f"plugin {number}") for number, one in enumerate(see)]
    reply = await through(plugins, playing(client), call_of(client, stream=True))
    assert reply.state == "finished"
    assert text_of(client, reply) == expected
    assert "stop" in [choice["finish_reason"] for c in chunks_of(client, reply.body) for choice in c["choices"]]


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_stream_that_is_seen_and_not_changed_reads_the_same_wherever_it_is_cut(client: str) -> None:
    expected = chunks_of(client, b"".join(written(client, CHUNKS)))
    size = len(b"".join(written(client, CHUNKS)))
    for cut in (1, 2, 3, 7, 64, size - 1, size):
        seen: list[JsonObject] = []

        def see(chunk: JsonObject, seen: list[JsonObject] = seen) -> JsonObject:
            seen.append(json.loads(json.dumps(chunk)))
            return chunk

        reply = await through([Chunks(see)], playing(client, cut=cut), call_of(client, stream=True))
        assert seen == expected
        assert chunks_of(client, reply.body) == expected


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_chunk_hook_may_end_the_stream(client: str) -> None:
    def refuse(chunk: JsonObject) -> JsonObject:
        if chunk["choices"][0]["delta"].get("content") == "lo":
            raise Forbidden("enough")
        return chunk

    call = call_of(client, stream=True)
    reply = Kept(call)
    async with trio.open_nursery() as background:
        station = Plugins([Chunks(refuse)], playing(client), background)
        with pytest.raises(Forbidden):
            await station(call, reply)
    assert reply.state == "started"
    assert b"Hel" in reply.body
    assert b'"lo"' not in reply.body


async def test_what_came_before_an_error_is_written() -> None:
    """One piece of the provider's stream holds text and, behind it, an error."""
    text = b"data: " + json.dumps(chunk("half")).encode() + b"\n\n"
    error = b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'

    async def play(call: Call, reply: Reply) -> None:
        reply.start(200, [])
        await reply.write(text + error)

    call = call_of("openai_chat", stream=True)
    reply = Kept(call)
    async with trio.open_nursery() as background:
        with pytest.raises(StreamFault):
            await Plugins([Chunks(lambda c: c)], play, background)(call, reply)
    assert b"half" in reply.body


# --- whole answers ---


class Answers(Plugin):
    changes_answers = True

    def __init__(self, see: Callable[[Answer], None]) -> None:
        super().__init__({})
        self.name = "answers"
        self.see = see

    async def after(self, call: Call, answer: Answer | None) -> None:
        if answer is not None:
            await trio.lowlevel.checkpoint()
            self.see(answer)


def set_text(answer: Answer, text: str) -> None:
    common = answer.common
    common["choices"][0]["message"]["content"] = text
    answer.common = common


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_answer_that_is_seen_and_not_changed_stays_as_it_is(client: str) -> None:
    seen: list[tuple[bytes, Any]] = []
    plugin = Answers(lambda answer: seen.append((answer.body, answer.common["choices"][0]["message"]["content"])))
    reply = await through([plugin], playing(client), call_of(client, stream=False))
    assert reply.body == whole(client)
    assert seen == [(whole(client), "Hi")]


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_answer_that_is_changed(client: str) -> None:
    plugins: list[Plugin] = [
        Answers(lambda answer: set_text(answer, answer.common["choices"][0]["message"]["content"] + " (last)")),
        Answers(lambda answer: set_text(answer, "changed")),
    ]
    reply = await through(plugins, playing(client), call_of(client, stream=False))
    assert text_of(client, reply) == "changed (last)"
    assert reply.headers == {b"content-type": b"application/json"}


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_bug_in_one_that_changes_answers(client: str) -> None:
    reply = await through([Answers(fails)], playing(client), call_of(client, stream=False))
    assert reply.body == whole(client)


# --- answers that a plugin makes ---

TOOLS: JsonObject = {
    "id": "c",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                    {"id": "t2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
                ],
            },
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


class Answering(Plugin):
    def __init__(self, common: JsonObject) -> None:
        super().__init__({})
        self.common = common

    def before(self, call: Call) -> Answer:
        return Answer(self.common)


async def nobody(call: Call, reply: Reply) -> None:
    raise AssertionError("the provider was asked")


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_in_the_providers_place(client: str, stream: bool) -> None:
    call = call_of(client, stream=stream)
    reply = await through([Answering(ANSWER)], nobody, call)
    assert reply.claimed
    assert reply.status == 200
    assert reply.headers[b"content-type"] == (b"text/event-stream" if stream else b"application/json")
    assert text_of(client, reply) == "Hi"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_tool_calls_in_the_providers_place(client: str, stream: bool) -> None:
    reply = await through([Answering(TOOLS)], nobody, call_of(client, stream=stream))
    if not stream:
        calls = FORMATS[client].decode_answer(reply.json)["choices"][0]["message"]["tool_calls"]
        assert [json.loads(c["function"]["arguments"]) for c in calls] == [{"city": "Rome"}, {}]
        return
    chunks = chunks_of(client, reply.body)
    arguments = {0: "", 1: ""}
    for made in (made for c in chunks for choice in c["choices"] for made in choice["delta"].get("tool_calls") or ()):
        arguments[made["index"]] += made["function"].get("arguments") or ""
    assert json.loads(arguments[0]) == {"city": "Rome"}
    assert json.loads(arguments[1] or "{}") == {}
    assert "tool_calls" in [choice["finish_reason"] for c in chunks for choice in c["choices"]]


async def test_chunk_hooks_see_what_a_plugin_behind_them_answers() -> None:
    plugins = [Chunks(lambda c: with_text(c, str.upper)), Answering(ANSWER), Chunks(lambda c: None)]
    reply = await through(plugins, nobody, call_of("openai_chat", stream=True))
    assert text_of("openai_chat", reply) == "HI"


class Refuses(Plugin):
    """An output guardrail: the client gets its word instead of the answer."""

    name = "refuses"
    changes_answers = True

    def after(self, call: Call, answer: Answer | None) -> None:
        if answer is not None:
            raise Forbidden("this answer may not leave the house")


async def test_an_answer_may_be_refused(autojump_clock: trio.testing.MockClock) -> None:
    body = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
    async with gateway_in_memory(None, None, plugins=[Refuses({})]) as gateway:
        answer = await gateway.client().post("/v1/chat/completions", body)
        assert answer.status == 403
        assert answer.json["error"]["message"] == "this answer may not leave the house"
        await gateway.quiet()
