"""The table of routes: what is in it answers, in its language; what is not is told in the language of its prefix."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio.testing

from bifrost_trio.testing import ClientAnswer, ScriptedUpstream, gateway_in_memory
from bifrost_trio.transport import inference_routes
from bifrost_trio.types import Operation

MESSAGES = [{"role": "user", "content": "Hello"}]
BODIES: dict[str, dict[str, Any]] = {
    "openai_chat": {"messages": MESSAGES},
    "openai_completions": {"prompt": "Hello"},
    "openai_embeddings": {"input": "Hello"},
    "openai_responses": {"input": "Hello"},
    "anthropic": {"messages": MESSAGES, "max_tokens": 9},
    "anthropic_count_tokens": {"messages": MESSAGES},
}
KINDS = {
    "openai_chat": ("object", "chat.completion"),
    "openai_completions": ("object", "text_completion"),
    "openai_embeddings": ("object", "list"),
    "openai_responses": ("object", "response"),
    "anthropic": ("type", "message"),
    "anthropic_count_tokens": ("input_tokens", 8),
}
"""By which member, and what it says, an answer is known as one of the format."""

PATHS = {
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/openai/v1/chat/completions",
    "/openai/v1/completions",
    "/openai/v1/embeddings",
    "/openai/v1/responses",
    "/openai/chat/completions",
    "/openai/completions",
    "/openai/embeddings",
    "/openai/responses",
    "/anthropic/v1/messages",
    "/anthropic/v1/messages/count_tokens",
    "/v1/messages",
    "/v1/messages/count_tokens",
}
ROUTES = {route.path: route for route in inference_routes()}
DROP_IN = {path: route for path, route in ROUTES.items() if not route.native}
GETS = ("/v1/models", "/openai/v1/models", "/openai/models", "/anthropic/v1/models", "/health", "/metrics")


def test_the_documented_routes_are_those_of_the_table() -> None:
    assert set(ROUTES) == PATHS
    assert len(inference_routes()) == len(PATHS)


def body(path: str, model: str) -> dict[str, Any]:
    return {"model": model, **BODIES[ROUTES[path].format.name]}


def provider(path: str) -> str:
    return "anthropic" if ROUTES[path].format.name.startswith("anthropic") else "openai"


@pytest.mark.parametrize("path", ROUTES)
async def test_every_route_answers_in_its_format(path: str, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(None, upstream) as gateway:
        answer = await gateway.client().post(path, body(path, f"{provider(path)}/m"))
        assert answer.status == 200, answer.body
        member, said = KINDS[ROUTES[path].format.name]
        assert answer.json[member] == said if member != "input_tokens" else answer.json[member] > 0
        assert ("extra_fields" in answer.json) == ROUTES[path].native
        assert ("x-bf-provider" in answer.headers) == (not ROUTES[path].native)
        [request] = upstream.requests
        assert request.host == f"{provider(path)}.test"
        assert request.json["model"] == "m"
        await gateway.quiet()


@pytest.mark.parametrize("path", DROP_IN)
async def test_a_drop_in_takes_the_bare_names_of_its_sdk(path: str, autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(None, upstream) as gateway:
        answer = await gateway.client().post(path, body(path, "some-model"))
        assert answer.status == 200, answer.body
        assert upstream.requests[-1].host == f"{provider(path)}.test"
        assert upstream.requests[-1].json["model"] == "some-model"


@pytest.mark.parametrize("path", DROP_IN)
async def test_a_bare_name_needs_its_provider(path: str, autojump_clock: trio.testing.MockClock) -> None:
    """Where a drop-in's own provider is not configured, a name that nobody offers is nobody's."""
    async with gateway_in_memory({"providers": {"groq": {}}}, ScriptedUpstream()) as gateway:
        answer = await gateway.client().post(path, body(path, "some-model"))
        assert answer.status == 404
        assert "some-model" in answer.json["error"]["message"]
        assert "groq" in answer.json["error"]["message"]


WHOLE_ONLY = (Operation.EMBEDDING, Operation.COUNT_TOKENS)
STREAMED = {path for path, route in ROUTES.items() if route.operation not in WHOLE_ONLY}


@pytest.mark.parametrize("path", ROUTES)
async def test_what_can_be_streamed(path: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        answer = await gateway.client().post(path, {**body(path, f"{provider(path)}/m"), "stream": True})
        if path in STREAMED:
            assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
            assert len(answer.events) > 2
        else:
            assert answer.status == 400
            assert "stream" in answer.json["error"]["message"]
        await gateway.quiet()


@pytest.mark.parametrize("path", GETS)
async def test_head_tells_what_get_would(path: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        got = await client.get(path)
        head = await client.request("HEAD", path)
        assert (got.status, head.status, head.body) == (200, 200, b"")
        assert head.headers["content-type"] == got.headers["content-type"]
        if path != "/metrics":  # each scrape is another one
            assert head.headers["content-length"] == str(len(got.body))
        # The connection is still in step.
        assert (await client.get("/health")).json == {"status": "ok"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/nothing"])
async def test_head_of_what_is_not_there(path: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        client = gateway.client()
        answer = await client.request("HEAD", path)
        assert (answer.status, answer.body) == (404 if path == "/nothing" else 405, b"")
        assert (await client.get("/health")).status == 200


@pytest.mark.parametrize("path", [*ROUTES, *GETS])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"])
async def test_what_a_path_takes(method: str, path: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        answer = await gateway.client().request(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD" if path in GETS else "POST")


async def test_a_query_changes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        answer = await gateway.client().post(
            "/v1/chat/completions?api-version=1&x", body("/v1/chat/completions", "openai/m")
        )
        assert answer.status == 200


# --- errors in the language of the prefix -----------------------------------------------------------------------------

NATIVE, OPENAI, ANTHROPIC = "native", "openai", "anthropic"
UNKNOWN = {
    "/": NATIVE,
    "/v1": NATIVE,
    "/v1/nothing": NATIVE,
    "/v1/chat/completions/": NATIVE,
    "/openaix/v1/chat/completions": NATIVE,
    "/openai/nothing": OPENAI,
    "/openai/v1/chat": OPENAI,
    "/openai/v1/messages": OPENAI,
    "/anthropic/nothing": ANTHROPIC,
    "/v1/messages/batches": ANTHROPIC,
    "/anthropic/v1/complete": ANTHROPIC,
    "/anthropic/v1/chat/completions": ANTHROPIC,
}


def language(answer: ClientAnswer) -> str:
    """In whose shape an error is told (OpenAI "Error codes", Anthropic "Errors")."""
    said = answer.json
    assert said["error"]["message"]
    if said.get("type") == "error":
        assert set(said) <= {"type", "error", "request_id"}
        return ANTHROPIC
    if "is_bifrost_error" in said:
        assert said["status_code"] == answer.status
        return NATIVE
    assert set(said) == {"error"}
    assert set(said["error"]) == {"message", "type", "param", "code"}
    return OPENAI


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("path", "expected"), UNKNOWN.items())
async def test_an_unknown_route(path: str, expected: str, method: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory() as gateway:
        answer = await gateway.client().request(method, path, {} if method == "POST" else None)
        assert (answer.status, language(answer)) == (404, expected)


def expected_language(path: str) -> str:
    return NATIVE if ROUTES[path].native else provider(path)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("fault", ["method", "body", "media type", "model", "required header"])
async def test_a_refusal_is_told_in_the_language_of_its_route(
    path: str, fault: str, autojump_clock: trio.testing.MockClock
) -> None:
    settings: dict[str, Any] = {"providers": {"groq": {}}}
    if fault == "required header":
        settings["client"] = {"required_headers": ["x-team"]}
    async with gateway_in_memory(settings, ScriptedUpstream()) as gateway:
        method, data, headers = "POST", json.dumps(body(path, "unknown")).encode(), {}
        if fault == "method":
            method, data = "PUT", b"{}"
        elif fault == "body":
            data = b"{"
        elif fault == "media type":
            headers = {"content-type": "text/plain"}
        answer = await gateway.client().request(method, path, data, headers)
        statuses = {"method": 405, "body": 400, "media type": 415, "model": 404, "required header": 400}
        assert (answer.status, language(answer)) == (statuses[fault], expected_language(path))


# --- required headers -------------------------------------------------------------------------------------------------

REQUIRED = {"client": {"required_headers": ["X-Team", "x-cost-centre"]}}


@pytest.mark.parametrize(
    ("headers", "missing"),
    [
        ({}, "x-team"),
        ({"x-team": "a"}, "x-cost-centre"),
        ({"x-cost-centre": "7"}, "x-team"),
        ({"X-TEAM": "a", "x-cost-centre": ""}, None),
        ({"x-team": "a", "x-cost-centre": "7"}, None),
    ],
)
async def test_required_headers(
    headers: dict[str, str], missing: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(REQUIRED, upstream) as gateway:
        client = gateway.client()
        for path in ROUTES:
            upstream.requests.clear()
            answer = await client.post(path, body(path, f"{provider(path)}/m"), headers)
            if missing is None:
                assert answer.status == 200
            else:
                assert answer.status == 400
                assert missing in answer.body.decode()
                assert upstream.requests == []
        for path in GETS:
            answer = await client.get(path, headers)
            watched = path in ("/health", "/metrics")
            assert answer.status == (200 if watched or missing is None else 400), path
        # What does not exist needs nothing.
        assert (await client.get("/nothing")).status == 404
