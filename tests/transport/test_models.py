"""``GET /v1/models``: one list of all providers, a page at a time, in three shapes."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.mock import MockProvider, Received, Script
from bifrost_trio.testing import Client, Connecting, PlayedAnswer, ScriptedUpstream, gateway_in_memory, whole

OPENAI = ["gpt-4o", "gpt-4o-mini", "text-embedding-3-small"]
ANTHROPIC = ["claude-opus", "claude-haiku"]
MERGED = [f"openai/{name}" for name in OPENAI] + [f"anthropic/{name}" for name in ANTHROPIC]


def upstreams(openai: PlayedAnswer | None = None, anthropic: PlayedAnswer | None = None) -> dict[str, ScriptedUpstream]:
    return {
        "openai": ScriptedUpstream(openai or MockProvider(models=OPENAI)),
        "anthropic": ScriptedUpstream(anthropic or MockProvider(models=ANTHROPIC)),
    }


async def ids(client: Client, path: str = "/v1/models") -> list[str]:
    answer = await client.get(path)
    assert answer.status == 200, answer.body
    return [model["id"] for model in answer.json["data"]]


# --- merging ----------------------------------------------------------------------------------------------------------


async def test_two_providers_in_one_list(autojump_clock: trio.testing.MockClock) -> None:
    played = upstreams()
    async with gateway_in_memory(None, played) as gateway:
        answer = await gateway.client().get("/v1/models")
        assert answer.json["object"] == "list"
        assert [model["id"] for model in answer.json["data"]] == MERGED
        assert answer.json["data"][0] == {
            "id": "openai/gpt-4o",
            "object": "model",
            "created": 1_700_000_000,
            "owned_by": "mock",
        }
        assert "next_page_token" not in answer.json
        # Each was asked once, with its own key; the list is remembered.
        await ids(gateway.client())
        [request] = played["openai"].requests
        assert (request.method, request.header("authorization")) == ("GET", "Bearer sk-test-openai")
        [request] = played["anthropic"].requests
        assert request.header("x-api-key") == "sk-test-anthropic"
        await gateway.quiet()


async def test_lists_are_asked_for_again_after_an_hour(autojump_clock: trio.testing.MockClock) -> None:
    played = upstreams()
    async with gateway_in_memory(None, played) as gateway:
        await ids(gateway.client())
        played["openai"].answers[0] = MockProvider(models=["new"])
        await trio.sleep(3590)
        assert await ids(gateway.client()) == MERGED
        await trio.sleep(20)
        assert (await ids(gateway.client()))[0] == "openai/new"


@pytest.mark.parametrize(
    ("models", "listed"),
    [
        (["*"], OPENAI),
        (["gpt-4o"], ["gpt-4o"]),
        (["gpt-4o", "my-fine-tune"], ["gpt-4o", "my-fine-tune"]),
        (["nothing-of-the-list"], ["nothing-of-the-list"]),
    ],
)
async def test_only_what_a_key_may_serve(
    models: list[str], listed: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    """What a key spells out is listed, whether the provider lists it or not."""
    settings = {"providers": {"openai": {"keys": [{"name": "k", "value": "sk-test", "models": models}]}}}
    async with gateway_in_memory(settings, upstreams()["openai"]) as gateway:
        assert await ids(gateway.client()) == [f"openai/{name}" for name in listed]


async def test_two_keys_together(autojump_clock: trio.testing.MockClock) -> None:
    keys = [
        {"name": "a", "value": "sk-a", "models": ["gpt-4o", "gpt-4o-mini"]},
        {"name": "b", "value": "sk-b", "models": ["gpt-4o-mini", "text-embedding-3-small"]},
    ]
    async with gateway_in_memory({"providers": {"openai": {"keys": keys}}}, upstreams()["openai"]) as gateway:
        assert await ids(gateway.client()) == [f"openai/{name}" for name in OPENAI]


async def test_no_provider_at_all(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory({"providers": {}}) as gateway:
        client = gateway.client()
        assert (await client.get("/v1/models")).json == {"object": "list", "data": []}
        assert (await client.get("/anthropic/v1/models")).json == {
            "data": [],
            "has_more": False,
            "first_id": None,
            "last_id": None,
        }


# --- provider=, pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "listed", "next_page"),
    [
        ("provider=anthropic", MERGED[3:], None),
        ("provider=nobody", [], None),
        ("provider=openai&page_size=2", MERGED[:2], "2"),
        ("provider=openai&page_size=2&page_token=2", MERGED[2:3], None),
        ("page_size=2", MERGED[:2], "2"),
        ("page_size=2&page_token=2", MERGED[2:4], "4"),
        ("page_size=2&page_token=4", MERGED[4:], None),
        ("page_size=5", MERGED, None),
        ("page_size=1000", MERGED, None),
        ("page_token=3", MERGED[3:], None),
        ("page_token=0", MERGED, None),
        ("page_token=5", [], None),
        ("page_token=999999999", [], None),
        ("page_size=&page_token=", MERGED, None),
        ("page_size=1&page_size=3", MERGED[:3], "3"),
        ("pr%6fvider=anthr%6fpic", MERGED[3:], None),
        ("unknown=1&=&&", MERGED, None),
    ],
)
async def test_a_page(
    query: str, listed: list[str], next_page: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    async with gateway_in_memory(None, upstreams()) as gateway:
        answer = await gateway.client().get(f"/v1/models?{query}")
        assert answer.status == 200
        assert [model["id"] for model in answer.json["data"]] == listed
        assert answer.json.get("next_page_token") == next_page


@pytest.mark.parametrize("size", range(1, 7))
async def test_all_pages_together_are_the_list(size: int, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, upstreams()) as gateway:
        client = gateway.client()
        found, token = [], ""
        while True:
            answer = (await client.get(f"/v1/models?page_size={size}{token}")).json
            found += [model["id"] for model in answer["data"]]
            if "next_page_token" not in answer:
                break
            token = f"&page_token={answer['next_page_token']}"
        assert found == MERGED


PADDED = ["000000001999999", "000000001" + "9" * 5000]
"""Their first digits alone would do."""
SIZES = ["0", "-1", "1001", "1.5", "ten", "1e2", "%D9%A1", "+5", "0x10", "9" * 30, "%00", "000001999", *PADDED]


@pytest.mark.parametrize("value", SIZES)
@pytest.mark.parametrize("name", ["page_size", "limit"])
async def test_a_bad_page_size(name: str, value: str, autojump_clock: trio.testing.MockClock) -> None:
    path = "/v1/models" if name == "page_size" else "/anthropic/v1/models"
    played = upstreams()
    async with gateway_in_memory(None, played) as gateway:
        answer = await gateway.client().get(f"{path}?{name}={value}")
        assert answer.status == 400
        assert name in (answer.json["error"].get("param") or answer.json["error"]["message"])


@pytest.mark.parametrize("value", ["-1", "abc", "%D9%A1", "1.0", "9" * 10, *PADDED])
async def test_a_bad_page_token(value: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, upstreams()) as gateway:
        answer = await gateway.client().get(f"/v1/models?page_token={value}")
        assert (answer.status, answer.json["error"]["param"]) == (400, "page_token")


# --- the other two shapes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/openai/v1/models", "/openai/models"])
async def test_as_openai_lists_them(path: str, autojump_clock: trio.testing.MockClock) -> None:
    """Its own models by the names that its SDK knows."""
    async with gateway_in_memory(None, upstreams()) as gateway:
        answer = await gateway.client().get(path)
        assert set(answer.json) == {"object", "data"}
        assert [model["id"] for model in answer.json["data"]] == OPENAI + MERGED[3:]
        assert {tuple(sorted(model)) for model in answer.json["data"]} == {("created", "id", "object", "owned_by")}


async def test_as_anthropic_lists_them(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, upstreams()) as gateway:
        answer = await gateway.client().get("/anthropic/v1/models")
        listed = [*MERGED[:3], *ANTHROPIC]
        assert [model["id"] for model in answer.json["data"]] == listed
        assert answer.json["data"][3]["type"] == "model"
        assert answer.json["data"][3]["display_name"]
        assert answer.json["data"][0]["created_at"] == "2023-11-14T22:13:20Z"
        assert (answer.json["has_more"], answer.json["first_id"]) == (False, listed[0])
        assert answer.json["last_id"] == listed[-1]


IN_ANTHROPIC_S = [*MERGED[:3], *ANTHROPIC]


@pytest.mark.parametrize(
    ("query", "listed", "more"),
    [
        ("limit=2", IN_ANTHROPIC_S[:2], True),
        (f"limit=2&after_id={IN_ANTHROPIC_S[1]}", IN_ANTHROPIC_S[2:4], True),
        (f"limit=2&after_id={IN_ANTHROPIC_S[3]}", IN_ANTHROPIC_S[4:], False),
        (f"after_id={IN_ANTHROPIC_S[4]}", [], False),
        (f"limit=2&before_id={IN_ANTHROPIC_S[4]}", IN_ANTHROPIC_S[2:4], True),
        (f"limit=2&before_id={IN_ANTHROPIC_S[2]}", IN_ANTHROPIC_S[:2], False),
        (f"before_id={IN_ANTHROPIC_S[0]}", [], False),
    ],
)
async def test_a_page_as_anthropic_turns_it(
    query: str, listed: list[str], more: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with gateway_in_memory(None, upstreams()) as gateway:
        answer = (await gateway.client().get(f"/anthropic/v1/models?{query}")).json
        assert [model["id"] for model in answer["data"]] == listed
        assert answer["has_more"] is more
        assert (answer["first_id"], answer["last_id"]) == ((listed[0], listed[-1]) if listed else (None, None))


@pytest.mark.parametrize("name", ["after_id", "before_id"])
async def test_a_page_behind_an_unknown_model(name: str, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(None, upstreams()) as gateway:
        answer = await gateway.client().get(f"/anthropic/v1/models?{name}=nobody")
        assert answer.status == 400
        assert answer.json["type"] == "error"
        assert name in answer.json["error"]["message"]


async def test_twenty_to_a_page_as_with_anthropic(autojump_clock: trio.testing.MockClock) -> None:
    names = [f"claude-{n}" for n in range(30)]
    settings: dict[str, Any] = {"providers": {"anthropic": {}}}
    async with gateway_in_memory(settings, ScriptedUpstream(MockProvider(models=names))) as gateway:
        client = gateway.client()
        assert await ids(client, "/anthropic/v1/models") == names[:20]
        assert await ids(client, "/anthropic/v1/models?limit=1000") == names


# --- providers that fail ----------------------------------------------------------------------------------------------

LISTS: dict[str, PlayedAnswer] = {
    "500": "status=500",
    "401": "status=401",
    "404": "status=404",
    "cut": "cut-body=20",
    "reset": "reset=head",
    "garbage": "garble=head",
    "a web page": "garble=html",
    "no JSON": "garble=json",
    "compressed": "garble=gzip",
    "no list": whole({"models": []}),
    "a list of names": whole({"data": ["gpt-4o"]}),
    "a list of nothing": whole({"data": [None]}),
    "data is null": whole({"data": None}),
    "no ids": whole({"data": [{"object": "model"}]}),
    "a number": whole(b"7"),
    "broken UTF-8": whole(b'{"data":[{"id":"\xff"}]}'),
}


@pytest.mark.parametrize("path", ["/v1/models", "/openai/v1/models", "/anthropic/v1/models"])
@pytest.mark.parametrize("played", LISTS.values(), ids=LISTS)
async def test_a_provider_whose_list_cannot_be_had(
    played: PlayedAnswer, path: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The others are listed all the same, and so is what the configuration spells out of its models."""
    key = {"name": "k", "value": "sk-test", "models": ["gpt-4o"]}
    settings = {"providers": {"openai": {"keys": [key]}, "anthropic": {}}}
    async with gateway_in_memory(settings, upstreams(openai=played)) as gateway:
        began = trio.current_time()
        listed = await ids(gateway.client(), path)
        assert [name.rpartition("/")[2] for name in listed] == ["gpt-4o", *ANTHROPIC]
        assert trio.current_time() == began
        await gateway.quiet()


@pytest.mark.parametrize(("dead", "listed"), [(0, OPENAI), (1, OPENAI), (2, OPENAI), (3, [])])
async def test_dead_keys(dead: int, listed: list[str], autojump_clock: trio.testing.MockClock) -> None:
    """The next one asks for the list, up to the third."""
    keys = [{"name": f"k{n}", "value": f"sk-{n}", "models": ["*"]} for n in range(5)]
    upstream = ScriptedUpstream(*["status=401", "status=403", "status=500"][:dead], MockProvider(models=OPENAI))
    async with gateway_in_memory({"providers": {"openai": {"keys": keys}}}, upstream) as gateway:
        assert await ids(gateway.client()) == [f"openai/{name}" for name in listed]
        asked = [request.header("authorization") for request in upstream.requests]
        assert asked == [f"Bearer sk-{n}" for n in range(min(dead + 1, 3))]
        await gateway.quiet()


@pytest.mark.parametrize("how", ["connecting", "before the head", "within the body"])
async def test_a_provider_that_hangs_costs_five_seconds_once(how: str, autojump_clock: trio.testing.MockClock) -> None:
    played = upstreams(openai={"within the body": "cut-body=10 end=stall"}.get(how, "stall=head"))
    if how == "connecting":
        played["openai"].connecting = Connecting.HANGS
    async with gateway_in_memory(None, played) as gateway:
        began = trio.current_time()
        client = gateway.client()
        assert await ids(client) == MERGED[3:]
        assert trio.current_time() - began == pytest.approx(5, abs=0.01)
        for _ in range(3):
            assert await ids(client) == MERGED[3:]
        assert trio.current_time() - began == pytest.approx(5, abs=0.01)
        await gateway.quiet()
        # Half a minute later it has another chance.
        played["openai"].connecting = Connecting.AT_ONCE
        played["openai"].answers[:] = [MockProvider(models=OPENAI)]
        await trio.sleep(26)
        assert await ids(client) == MERGED
        await gateway.quiet()


async def test_many_who_wait_for_the_same_list(autojump_clock: trio.testing.MockClock) -> None:
    played = upstreams(openai="delay=2")
    async with gateway_in_memory(None, played) as gateway, trio.open_nursery() as nursery:
        began = trio.current_time()

        async def ask() -> None:
            assert len(await ids(gateway.client())) == 3
            assert trio.current_time() - began == pytest.approx(2, abs=0.01)

        for _ in range(10):
            nursery.start_soon(ask)
    assert len(played["openai"].requests) == len(played["anthropic"].requests) == 1


async def test_who_leaves_costs_the_others_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """The first who asks is gone before the lists are there; the second gets them all the same."""
    played = upstreams(openai=slow_list)
    async with gateway_in_memory(None, played) as gateway:
        first, second = gateway.client(), gateway.client()
        await first.send_raw(b"GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n")
        await trio.sleep(1)
        first.hang_up()
        assert await ids(second) == MERGED
        await gateway.quiet()


async def slow_list(request: Received) -> Script:
    await trio.sleep(2)
    return MockProvider(models=OPENAI)(request)


# --- what providers say of a model ------------------------------------------------------------------------------------

CREATED: dict[str, tuple[Any, int]] = {
    "missing": (None, 0),
    "a number": (1_700_000_000, 1_700_000_000),
    "milliseconds": (1_700_000_000_000, 1_700_000_000_000),
    "far away": (10**30, 10**30),
    "before the Flood": (-(10**15), -(10**15)),
    "a fraction": (1.5, 0),
    "text": ("yesterday", 0),
}


@pytest.mark.parametrize(("said", "told"), CREATED.values(), ids=CREATED)
async def test_when_a_model_was_made(said: Any, told: int, autojump_clock: trio.testing.MockClock) -> None:
    """Whatever a provider says there, the list comes."""
    entry = {"id": "m"} | ({} if said is None else {"created": said})
    settings: dict[str, Any] = {"providers": {"openai": {}}}
    async with gateway_in_memory(settings, ScriptedUpstream(whole({"data": [entry]}))) as gateway:
        client = gateway.client()
        assert (await client.get("/v1/models")).json["data"][0]["created"] == told
        made = (await client.get("/anthropic/v1/models")).json["data"][0]["created_at"]
        assert made == ("2023-11-14T22:13:20Z" if told == 1_700_000_000 else "1970-01-01T00:00:00Z")
        await gateway.quiet()
