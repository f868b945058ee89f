"""Hang in each station in turn, cancel, count: everything is home, and the call was settled exactly once."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ClientLeft
from bifrost_trio.library import Gateway
from bifrost_trio.plugins import Answer, Plugin
from bifrost_trio.sockets import Poller
from bifrost_trio.testing import (
    Client,
    Connecting,
    End,
    MemoryGateway,
    ScriptedUpstream,
    config_for_tests,
    gateway_in_memory,
    streamed,
    whole,
)
from bifrost_trio.types import Call, State
from bifrost_trio.upstream import Dial, Resolver, direct_dial

CHAT: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
ANTHROPIC = {"model": "openai/m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
LARGE = {**CHAT, "messages": [{"role": "user", "content": "x" * 2_000_000}]}


def frame(delta: dict[str, Any], finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    chunk: dict[str, Any] = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk | ({"usage": usage} if usage else {})).encode() + b"\n\n"


PREAMBLE = frame({"role": "assistant", "content": ""})
CHUNKS = [PREAMBLE, *[frame({"content": f"word {n} "}) for n in range(5)]]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n"


class Watch(Plugin):
    """Keeps the calls that were let go; hangs in the hook that it is told to."""

    def __init__(self, hangs: str = "") -> None:
        super().__init__({})
        self.name = "watch"
        self.hangs = hangs
        self.calls: list[Call] = []

    async def before(self, call: Call) -> None:
        self.calls.append(call)
        if self.hangs == "before":
            await trio.sleep_forever()


class HangsAfter(Plugin):
    """An asynchronous after-hook that never ends."""

    name = "after"
    left = 0

    async def after(self, call: Call, answer: Answer | None) -> None:
        try:
            await trio.sleep_forever()
        finally:
            type(self).left += 1


class NameUnknown(ScriptedUpstream):
    """Its host's look-up hangs, in its thread, until the test is over."""

    def __init__(self, *answers: Any, connecting: Connecting = Connecting.AT_ONCE) -> None:
        super().__init__(*answers, connecting=connecting)
        self.asked: SimpleQueue[str] = SimpleQueue()
        self.over: SimpleQueue[None] = SimpleQueue()

    def dial(self, poller: Poller) -> Dial:
        def look_up(host: str, port: int) -> list[Any]:
            self.asked.put(host)
            self.over.get(timeout=10)
            raise OSError("no such host")

        return direct_dial(poller, Resolver(look_up))


@dataclass
class Case:
    """Where it hangs: what the upstream plays, how it connects, what the client sends, the configuration."""

    answers: list[Any] = field(default_factory=lambda: [streamed([], end=End.STALL)])
    connecting: Connecting = Connecting.AT_ONCE
    body: dict[str, Any] = field(default_factory=lambda: STREAM)
    path: str = "/v1/chat/completions"
    hook: str = ""
    settings: dict[str, Any] = field(default_factory=lambda: {"providers": {"openai": {}}})
    attempts: int = 1
    """Entries in the trail of the call that was hung up on."""
    kept: int = 0
    """Connections to the provider that are idle afterwards."""
    unknown: bool = False
    """Whether the name of the provider's host is looked up, and that hangs."""

    @contextmanager
    def upstream(self) -> Iterator[ScriptedUpstream]:
        if not self.unknown:
            yield ScriptedUpstream(*self.answers, connecting=self.connecting)
            return
        upstream = NameUnknown()
        try:
            yield upstream
            # The thread runs on the real clock, and may only now have begun.
            assert upstream.asked.get(timeout=5) == "openai.test"
        finally:
            upstream.over.put(None)


def network(**values: Any) -> dict[str, Any]:
    return {"providers": {"openai": {"network_config": values}}}


NO_MODELS = {"providers": {"openai": {"keys": [{"name": "k", "value": "sk-test", "models": ["*"]}]}}}

CASES = {
    "router: a provider's list of models": Case(
        [b""], body={**STREAM, "model": "bare"}, connecting=Connecting.HANGS, settings=NO_MODELS, attempts=0
    ),
    "plugins: before": Case(hook="before", attempts=0),
    "workers: back-off": Case(
        [whole({"error": {"message": "down"}}, status=500)], settings=network(retry_backoff_initial=5000), kept=1
    ),
    "upstream: looking up the host": Case(unknown=True),
    "upstream: connecting": Case(connecting=Connecting.HANGS),
    "upstream: the TLS handshake": Case(connecting=Connecting.DEAF, settings=network(base_url="https://openai.test")),
    "upstream: sending a large request": Case(connecting=Connecting.DEAF, body=LARGE),
    "upstream: before the head": Case([b""]),
    "upstream: within the head": Case([HEAD[:40]]),
    "upstream: behind the head of a whole answer": Case([HEAD], body=CHAT),
    "upstream: within a whole answer": Case([HEAD + b'{"id":"c"'], body=CHAT),
    "providers: behind the head of a stream": Case([streamed([], end=End.STALL)]),
    "providers: behind the preamble": Case([streamed([PREAMBLE], end=End.STALL)]),
    "providers: within an event before the first output": Case([streamed([CHUNKS[1][:30]], end=End.STALL)]),
    "providers: behind the first output": Case([streamed(CHUNKS, end=End.STALL)]),
    "providers: within an event behind it": Case([streamed([*CHUNKS, CHUNKS[1][:30]], end=End.STALL)]),
    "providers: a translated whole answer": Case(
        [HEAD + b'{"id":"c"'], body={**ANTHROPIC, "stream": False}, path="/anthropic/v1/messages"
    ),
    "providers: a translated stream": Case(
        [streamed(CHUNKS, end=End.STALL)], body=ANTHROPIC, path="/anthropic/v1/messages"
    ),
}


async def leave_by_closing(client: Client) -> None:
    client.hang_up()


async def leave_by_reset(client: Client) -> None:
    client.reset()


async def leave_by_half_close(client: Client) -> None:
    """Counts as gone (as with nginx and Go): the gateway closes its end."""
    await client.half_close()
    await trio.testing.wait_all_tasks_blocked()
    while await client.read_raw():
        pass
    client.hang_up()


LEAVING: list[Callable[[Client], Awaitable[None]]] = [leave_by_closing, leave_by_reset, leave_by_half_close]


def settled(gateway: MemoryGateway) -> int:
    return gateway.running.assembly.inference.statistics().settled


@pytest.mark.parametrize("leave", LEAVING)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_client_leaves(
    case: Case, leave: Callable[[Client], Awaitable[None]], autojump_clock: trio.testing.MockClock
) -> None:
    watch = Watch(case.hook)
    with case.upstream() as upstream:
        async with gateway_in_memory(case.settings, upstream, plugins=[watch]) as gateway:
            client = gateway.client()
            await client.send_raw(rendered(case))
            # Long enough for every step before the hang, and shorter than every limit and the first comment.
            await trio.sleep(1)
            assert gateway.running.assembly.inference.statistics().open == 1
            began = trio.current_time()
            await leave(client)
            await gateway.quiet()
            assert trio.current_time() - began <= 0.1
            assert settled(gateway) == 1
            for call in watch.calls:
                assert call.outcome.state is State.CANCELLED
                assert len(call.trail) == case.attempts
            assert upstream.statistics().open == case.kept


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_program_cancels(case: Case, autojump_clock: trio.testing.MockClock) -> None:
    if case.path != "/v1/chat/completions":
        pytest.skip("the library speaks the native route's language alone")
    watch = Watch(case.hook)
    with case.upstream() as upstream:
        async with trio.open_nursery() as nursery:
            upstream.attach(nursery)
            config = config_for_tests(case.settings)
            async with Gateway(config, dial=upstream.dial, make_plugins=lambda entries: [watch]) as gateway:
                with trio.move_on_after(1) as scope:
                    await ask(gateway, case.body)
                assert scope.cancelled_caught
                await trio.testing.wait_all_tasks_blocked()
                assert gateway.running.assembly.inference.statistics().open == 0
                assert gateway.running.assembly.inference.statistics().settled == 1
                assert gateway.running.assembly.attempts["openai"].pool.statistics().busy == 0
            assert all(call.outcome.state is State.CANCELLED for call in watch.calls)
            nursery.cancel_scope.cancel()


async def ask(gateway: Gateway, body: dict[str, Any]) -> None:
    if not body.get("stream"):
        await gateway.chat(**body)
        return
    async with gateway.stream(**{name: value for name, value in body.items() if name != "stream"}) as chunks:
        async for _ in chunks:
            pass


def rendered(case: Case) -> bytes:
    body = json.dumps(case.body).encode()
    head = (
        f"POST {case.path} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("leave", LEAVING)
@pytest.mark.parametrize("sent", [0, 1, 30, 150], ids=lambda sent: f"{sent} bytes")
async def test_a_client_leaves_within_its_request(
    sent: int, leave: Callable[[Client], Awaitable[None]], autojump_clock: trio.testing.MockClock
) -> None:
    """The server and the transport hang: a head or a body that never comes."""
    upstream = ScriptedUpstream(b"")
    async with gateway_in_memory(None, upstream) as gateway:
        client = gateway.client()
        await client.send_raw(rendered(Case())[:sent])
        await trio.sleep(1)
        await leave(client)
        await gateway.quiet()
        assert gateway.running.assembly.inference.statistics().settled == 0
        assert upstream.requests == []


async def test_calls_that_wait_for_a_worker(autojump_clock: trio.testing.MockClock) -> None:
    settings = {"providers": {"openai": {"concurrency_and_buffer_size": {"concurrency": 1, "buffer_size": 2}}}}
    upstream = ScriptedUpstream(b"")
    async with gateway_in_memory(settings, upstream) as gateway:
        clients = [gateway.client() for _ in range(3)]
        for client in clients:
            await client.send_raw(rendered(Case()))
            await trio.testing.wait_all_tasks_blocked()
        refused = await gateway.client().post("/v1/chat/completions", CHAT)
        assert refused.status == 429
        assert refused.headers["retry-after"] == "1"
        pool = gateway.running.assembly.attempts["openai"].pool
        assert (pool.statistics().busy, pool.statistics().waiting) == (1, 2)
        clients[1].hang_up()
        await trio.testing.wait_all_tasks_blocked()
        assert pool.statistics().waiting == 1
        clients[0].hang_up()
        await trio.testing.wait_all_tasks_blocked()
        assert (pool.statistics().busy, pool.statistics().waiting) == (1, 0)
        clients[2].hang_up()
        await gateway.quiet()
        assert settled(gateway) == 4


async def test_an_after_hook_that_hangs_is_cut_short(autojump_clock: trio.testing.MockClock) -> None:
    HangsAfter.left = 0
    upstream = ScriptedUpstream(streamed(CHUNKS, end=End.STALL))
    async with gateway_in_memory(None, upstream, plugins=[HangsAfter({})]) as gateway:
        client = gateway.client()
        await client.send_raw(rendered(Case()))
        await trio.sleep(1)
        client.hang_up()
        await gateway.quiet()
        assert settled(gateway) == 1
        assert HangsAfter.left == 0
        await trio.sleep(6)
        assert HangsAfter.left == 1


async def test_a_client_that_does_not_read(autojump_clock: trio.testing.MockClock) -> None:
    """The stream waits for the client, 30 s without progress; then the client is reset and the call recorded so."""
    upstream = ScriptedUpstream(streamed([frame({"content": "x" * 60_000})] * 400, end=End.STALL))
    watch = Watch()
    async with gateway_in_memory(None, upstream, plugins=[watch]) as gateway:
        client = gateway.client()
        began = trio.current_time()
        await client.send_raw(rendered(Case()))
        await trio.sleep(29)
        assert gateway.running.assembly.inference.statistics().open == 1
        await trio.sleep(2)
        assert gateway.running.assembly.inference.statistics().open == 0
        assert trio.current_time() - began <= 31.1
        [call] = watch.calls
        assert isinstance(call.outcome.error, ClientLeft)
        assert call.outcome.error.kind == "slow_client"
        client.hang_up()
        await gateway.quiet()


async def test_a_reset_at_the_fifth_chunk(autojump_clock: trio.testing.MockClock) -> None:
    """One attempt, no retry, no fallback, the tokens so far counted."""
    counted = frame({"content": "word "}, usage={"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12})
    upstream = ScriptedUpstream(streamed([*CHUNKS[:5], counted], end=End.STALL))
    watch = Watch()
    async with gateway_in_memory(None, upstream, plugins=[watch]) as gateway:
        client = gateway.client()
        body = {**STREAM, "fallbacks": ["anthropic/claude"]}
        async with client.stream("/v1/chat/completions", body) as stream:
            received = b""
            while received.count(b"data:") < 6:
                received += await stream.read()
            client.reset()
            await gateway.quiet()
        [call] = watch.calls
        assert [attempt.kind for attempt in call.trail] == ["cancelled"]
        assert len(upstream.requests) == 1
        assert call.outcome.usage is not None
        assert (call.outcome.usage.input_tokens, call.outcome.usage.output_tokens) == (7, 5)


async def test_tokens_that_nobody_counted_are_estimated(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream(streamed(CHUNKS, end=End.STALL))
    watch = Watch()
    async with gateway_in_memory(None, upstream, plugins=[watch]) as gateway:
        client = gateway.client()
        async with client.stream("/v1/chat/completions", STREAM) as stream:
            received = b""
            while received.count(b"data:") < len(CHUNKS):
                received += await stream.read()
            client.reset()
            await gateway.quiet()
        [call] = watch.calls
        assert call.outcome.usage is not None
        assert call.outcome.usage_estimated
        assert call.outcome.usage.output_tokens == len(CHUNKS) - 1
        assert call.outcome.usage.input_tokens == len(json.dumps(STREAM)) // 4


async def test_a_client_that_closes_after_its_answer_is_a_success(autojump_clock: trio.testing.MockClock) -> None:
    watch = Watch()
    upstream = ScriptedUpstream(whole(ANSWER), streamed([*CHUNKS, frame({}, "stop"), b"data: [DONE]\n\n"]))
    async with gateway_in_memory(None, upstream, plugins=[watch]) as gateway:
        for body in (CHAT, STREAM):
            client = gateway.client()
            await client.post("/v1/chat/completions", body)
            client.hang_up()
            await gateway.quiet()
        assert [call.outcome.state for call in watch.calls] == [State.DONE, State.DONE]
