"""What a program sees of every failure: the SDK's class for it, and never an answer that only looks whole."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from bifrost_trio.testing import Connecting
from tests.clients.running import SDK_WARNINGS, Scene

pytestmark = SDK_WARNINGS


class Program:
    """A program with one of the two SDKs, as far as this file's tests go."""

    def __init__(self, scene: Scene, client: str) -> None:
        self.scene = scene
        self.client = client
        self.module: Any = {"openai": openai, "anthropic": anthropic}[client]

    @property
    def create(self) -> Any:
        sdk = self.scene.sdk
        return sdk.openai.chat.completions.create if self.client == "openai" else sdk.anthropic.messages.create

    def arguments(self, prompt: str = "Hello", **members: Any) -> Any:
        limit = {"max_tokens": 50} if self.client == "anthropic" else {}
        given = {"model": self.scene.model, "messages": [{"role": "user", "content": prompt}]}
        return {**given, **limit, **members}

    async def ask(self, prompt: str = "Hello", **members: Any) -> Any:
        return await self.scene.sdk.call(self.create, **self.arguments(prompt, **members))

    async def read(self, prompt: str) -> tuple[str, Exception | None]:
        """The text of a stream, and what was raised at its end."""
        arguments = self.arguments(prompt, stream=True)
        pieces, error = await self.scene.sdk.pieces_until_it_breaks(self.create, **arguments)
        return "".join(map(self._text, pieces)), error

    def _text(self, piece: Any) -> str:
        if self.client == "openai":
            return "".join([choice.delta.content or "" for choice in piece.choices])
        text = piece.delta.text if piece.type == "content_block_delta" else ""
        assert isinstance(text, str)
        return text


@pytest.fixture(params=["openai", "anthropic"])
def program(request: pytest.FixtureRequest, scene: Scene) -> Program:
    return Program(scene, request.param)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "InternalServerError"),
        (529, "InternalServerError"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_provider_s_status(program: Program, status: int, name: str, stream: bool) -> None:
    kind = getattr(program.module, name)
    prompt = f'[[mock status={status} message="the mock says no"]]'
    with pytest.raises(kind) as raised:
        await program.ask(prompt, stream=stream)
    assert raised.value.status_code == status
    assert "the mock says no" in str(raised.value)
    assert len(program.scene.upstream.requests) == 1


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refused_key_is_the_gateway_s_matter(program: Program, status: int) -> None:
    """The client's own key is in order, so its SDK must not say otherwise."""
    with pytest.raises(program.module.InternalServerError, match="refused every key") as raised:
        await program.ask(f"[[mock status={status}]]")
    assert raised.value.status_code == 502
    assert "sk-test" not in str(raised.value)


async def test_retry_after(program: Program) -> None:
    with pytest.raises(program.module.RateLimitError) as raised:
        await program.ask("[[mock status=429 retry-after=17]]")
    assert raised.value.response.headers["retry-after"] == "17"


async def test_the_provider_s_request_id(program: Program) -> None:
    """What its support asks for; an SDK of another language would look for it elsewhere."""
    with pytest.raises(program.module.InternalServerError) as raised:
        await program.ask("[[mock status=500]]")
    same = program.client == program.scene.provider
    assert raised.value.response.headers.get("x-request-id") == ("req_mock" if same else None)


async def test_the_sdk_tries_again_when_told_to(program: Program) -> None:
    """Its own retries work through the gateway: it waits as long as the provider said."""
    sdk = program.scene.sdk
    client = (sdk.openai if program.client == "openai" else sdk.anthropic).with_options(max_retries=1)
    create = client.chat.completions.create if program.client == "openai" else client.messages.create
    answer = await sdk.call(create, **program.arguments("[[mock status=429 retry-after-ms=10 times=1]] Hello"))
    assert "You said: Hello" in str(answer)
    assert len(program.scene.upstream.requests) == 2


async def test_an_unknown_provider(scene: Scene) -> None:
    """On ``/v1``. A drop-in route takes the whole for a model's name of its own provider: many have a slash in them."""
    messages = [{"role": "user", "content": "Hello"}]
    with pytest.raises(openai.NotFoundError, match="nobody"):
        await scene.sdk.call(scene.sdk.native.chat.completions.create, model="nobody/a-model", messages=messages)
    assert [request for request in scene.upstream.requests if request.method == "POST"] == []
    await scene.sdk.call(scene.sdk.openai.chat.completions.create, model="nobody/a-model", messages=messages)
    assert scene.asked["model"] == "nobody/a-model"


async def test_a_request_without_messages(program: Program) -> None:
    """What cannot be translated is refused at once; a provider of the same language decides for itself."""
    scene = program.scene
    if program.client == scene.provider:
        scene.answers('status=400 message="no messages"')
    with pytest.raises(program.module.BadRequestError, match="messages"):
        await program.ask(messages=None)
    assert len(scene.upstream.requests) == (program.client == scene.provider)


async def test_no_such_route(program: Program) -> None:
    sdk = program.scene.sdk
    client = sdk.openai if program.client == "openai" else sdk.anthropic
    with pytest.raises(program.module.NotFoundError, match="no such route"):
        await sdk.call(client.post, "/v1/nothing", cast_to=object, body={})


@pytest.mark.parametrize(
    ("words", "stream"),
    [
        ("cut-body=20", False),
        ("cut-chunk=0", True),
        ("reset=head", False),
        ("reset=head", True),
        ("garble=json", False),
    ],
)
async def test_broken_before_any_output(program: Program, words: str, stream: bool) -> None:
    with pytest.raises(program.module.InternalServerError) as raised:
        await program.ask(f"[[mock {words}]] Hello there", stream=stream)
    assert raised.value.status_code == 502


async def test_refused_connection(program: Program) -> None:
    program.scene.upstream.connecting = Connecting.REFUSED
    with pytest.raises(program.module.InternalServerError) as raised:
        await program.ask()
    assert raised.value.status_code == 502


async def test_an_error_before_any_output(program: Program) -> None:
    """It has its true status, though the provider's was 200."""
    with pytest.raises(program.module.RateLimitError, match="slow down"):
        await program.ask('[[mock error-chunk=0 status=429 message="slow down"]]', stream=True)


async def test_an_error_within_a_stream(program: Program) -> None:
    text, error = await program.read(f'[[mock error-chunk=3 status=500 message="half way" {GAP}]] {COUNTING}')
    assert is_broken_off(text)
    assert isinstance(error, program.module.APIError)
    assert "half way" in str(error)


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_cut_within_a_stream(program: Program, end: str) -> None:
    text, error = await program.read(f"[[mock cut-chunk=3 end={end} {GAP}]] {COUNTING}")
    assert is_broken_off(text)
    assert isinstance(error, program.module.APIError)


async def test_a_stream_with_a_broken_event(program: Program) -> None:
    text, error = await program.read(f"[[mock garble=json {GAP}]] {COUNTING}")
    assert is_broken_off(text)
    assert isinstance(error, program.module.APIError)


async def test_a_stream_that_ends_too_early(program: Program) -> None:
    """The provider's connection ended as it should, but nothing says why its stream did."""
    text, error = await program.read(f"[[mock garble=no-end {GAP}]] {COUNTING}")
    assert f"You said: {COUNTING}".startswith(text)
    assert isinstance(error, program.module.APIError)


COUNTING = "one two three four"
GAP = "gap=0.01"
"""So that a part of the answer has been handed on when it breaks off; on a busy machine perhaps none."""


def is_broken_off(text: str) -> bool:
    whole = f"You said: {COUNTING}"
    return whole.startswith(text) and text != whole
