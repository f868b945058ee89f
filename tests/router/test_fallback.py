"""One target after another: in order, each once, and the primary's error where all fail."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from bifrost_trio.errors import (
    ClientGone,
    ConnectionBroken,
    Draining,
    FirstOutputTimeout,
    Forbidden,
    GatewayError,
    IdleTimeout,
    InvalidField,
    KeyRefused,
    KeysExhausted,
    MalformedAnswer,
    MemoryFull,
    ModelNotFound,
    NoEligibleKey,
    ProviderFault,
    QueueFull,
    RateLimited,
    RequestRefused,
    StreamFault,
    TotalTimeout,
    Unreachable,
    UnsupportedOperation,
)
from bifrost_trio.formats import FORMATS
from bifrost_trio.router import ListedModel, ModelLists, Router, Targets
from bifrost_trio.types import Call, Reply
from tests.workers.calls import Kept, make_call

PROVIDERS = ("a", "b", "c", "d")


@dataclass
class Below:
    """The stations below the router: an error for each provider that fails; ``commits`` after the first bytes."""

    errors: dict[str, Exception]
    commits: bool = False
    seen: list[tuple[str, int]] = field(default_factory=list)

    async def __call__(self, call: Call, reply: Reply) -> None:
        assert call.target is not None
        self.seen.append((str(call.target), call.fallback))
        provider = call.target.provider
        call.spoken_to_in = FORMATS["anthropic" if provider == "a" else "openai_chat"]
        error = self.errors.get(provider)
        if error is None:
            await reply.send(200, [], provider.encode())
            return
        if self.commits:
            reply.claim()
        raise error

    @property
    def order(self) -> str:
        return " ".join(target for target, _ in self.seen)


def router_of(below: Below, asked: list[str] | None = None, slow: float = 0.0) -> Router:
    async def ask() -> list[ListedModel]:
        if asked is not None:
            asked.append("d")
        await trio.sleep(slow)
        return [ListedModel("d", "listed")]

    return Router(Targets(PROVIDERS, ModelLists({"b": ["bare"]}, {"d": ask})), below)


ALLOW: list[GatewayError] = [
    QueueFull("full"),
    KeysExhausted("refused"),
    NoEligibleKey("none"),
    Unreachable("refused"),
    ConnectionBroken("cut"),
    FirstOutputTimeout("late"),
    IdleTimeout("late"),
    TotalTimeout("late"),
    MalformedAnswer("garbage"),
    RateLimited(429, "later", retry_after=60),
    ProviderFault(500, "down"),
    ProviderFault(529, "overloaded"),
    KeyRefused(401, "no"),
    StreamFault("overloaded", status=529),
]
FORBID: list[Exception] = [
    RequestRefused(400, "bad"),
    RequestRefused(404, "no such model"),
    RequestRefused(413, "too large"),
    RequestRefused(422, "bad"),
    InvalidField("bad", "messages"),
    UnsupportedOperation("no"),
    Forbidden("blocked by a plugin"),
    ModelNotFound("no"),
    MemoryFull("full"),
    Draining("down"),
    ClientGone("left"),
    ZeroDivisionError("a bug"),
]


def named(error: Exception) -> str:
    return f"{type(error).__name__} {getattr(error, 'status', '')}"


@pytest.mark.parametrize("error", ALLOW, ids=named)
async def test_a_fallback_follows(error: GatewayError) -> None:
    below = Below({"a": error})
    call = make_call("a/m", fallbacks=["b/n", "c/o"])
    await router_of(below)(call, reply := Kept(call))
    assert reply.body == b"b"
    assert below.seen == [("a/m", 0), ("b/n", 1)]
    assert (str(call.target), call.fallback) == ("b/n", 1)


@pytest.mark.parametrize("error", FORBID, ids=named)
async def test_no_fallback_follows(error: Exception) -> None:
    below = Below({"a": error})
    call = make_call("a/m", fallbacks=["b/n"])
    with pytest.raises(type(error)) as caught:
        await router_of(below)(call, Kept(call))
    assert caught.value is error
    assert below.order == "a/m"


@pytest.mark.parametrize("error", ALLOW, ids=named)
async def test_nothing_follows_the_commit(error: GatewayError) -> None:
    below = Below({"a": error}, commits=True)
    call = make_call("a/m", stream=True, fallbacks=["b/n"])
    with pytest.raises(type(error)):
        await router_of(below)(call, Kept(call))
    assert below.order == "a/m"


async def test_nothing_follows_the_commit_of_a_fallback() -> None:
    error = ConnectionBroken("cut in the fallback's stream")

    class Commits(Below):
        async def __call__(self, call: Call, reply: Reply) -> None:
            self.commits = call.fallback == 1
            await super().__call__(call, reply)

    below = Commits({"a": Unreachable("no"), "b": error})
    call = make_call("a/m", stream=True, fallbacks=["b/n", "c/o"])
    with pytest.raises(ConnectionBroken) as caught:
        await router_of(below)(call, Kept(call))
    assert caught.value is error
    assert below.order == "a/m b/n"
    assert (str(call.target), call.fallback) == ("b/n", 1)


DOWN = ProviderFault(503, "down")

# Fallbacks, who fails with what beside the primary, who is asked, who answers.
ORDERS: dict[str, tuple[list[str], dict[str, Exception], str, bytes | None]] = {
    "in order": (["b/n", "c/o", "d/p"], {"b": DOWN}, "a/m b/n c/o", b"c"),
    "to the last": (["b/n", "c/o", "d/p"], {"b": DOWN, "c": DOWN}, "a/m b/n c/o d/p", b"d"),
    "doubles are skipped": (["a/m", "b/n", "b/n", "a/m", "c/o"], {"b": DOWN}, "a/m b/n c/o", b"c"),
    "another model of the same provider": (["a/other", "b/n"], {}, "a/m a/other b/n", b"b"),
    "only doubles": (["a/m", "a/m"], {}, "a/m", None),
    "none": ([], {}, "a/m", None),
    "all fail": (["b/n", "c/o"], {"b": Unreachable("no"), "c": DOWN}, "a/m b/n c/o", None),
    "a bare name": (["bare"], {}, "a/m b/bare", b"b"),
    "a bare name from a list": (["listed"], {}, "a/m d/listed", b"d"),
    # What one fallback cannot do, the next one may.
    "one refuses the request": (["b/n", "c/o"], {"b": RequestRefused(400, "bad")}, "a/m b/n c/o", b"c"),
    "one does not offer it": (["b/n", "c/o"], {"b": UnsupportedOperation("no")}, "a/m b/n c/o", b"c"),
    "one has no such key": (["b/n", "c/o"], {"b": InvalidField("no", "x-bf-api-key")}, "a/m b/n c/o", b"c"),
    "one is full": (["b/n", "c/o"], {"b": QueueFull("full")}, "a/m b/n c/o", b"c"),
    "the last refuses the request": (["b/n"], {"b": RequestRefused(400, "bad")}, "a/m b/n", None),
    "the last does not offer it": (["b/n"], {"b": UnsupportedOperation("no")}, "a/m b/n", None),
}


@pytest.mark.parametrize(("fallbacks", "errors", "asked", "answer"), ORDERS.values(), ids=ORDERS)
async def test_who_is_asked(
    fallbacks: list[str], errors: dict[str, Exception], asked: str, answer: bytes | None
) -> None:
    primary = RateLimited(429, "the primary's", retry_after=9)
    below = Below({"a": primary, **errors})
    call = make_call("a/m", fallbacks=fallbacks)
    reply = Kept(call)
    if answer is not None:
        await router_of(below)(call, reply)
        assert reply.body == answer
    else:
        with pytest.raises(RateLimited) as caught:
            await router_of(below)(call, reply)
        assert caught.value is primary
        # The error is told as the primary's, in the format in which it was spoken to.
        assert (str(call.target), call.fallback) == ("a/m", 0)
        assert call.spoken_to_in is FORMATS["anthropic"]
    assert below.order == asked


@pytest.mark.parametrize("name", ["never-heard-of", "nobody/m", "a/", ""])
async def test_a_fallback_that_nobody_knows_is_the_callers_error(name: str) -> None:
    below = Below({})
    call = make_call("a/m", fallbacks=["b/n", name])
    with pytest.raises(InvalidField) as caught:
        await router_of(below)(call, Kept(call))
    assert (caught.value.status, caught.value.param) == (400, "fallbacks")
    assert below.seen == []


@pytest.mark.parametrize("model", [None, ""])
async def test_no_model(model: str | None) -> None:
    call = make_call(None) if model is None else make_call("", body=b'{"model":"","messages":[]}')
    with pytest.raises(InvalidField) as caught:
        await router_of(Below({}))(call, Kept(call))
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, "model", "missing_required_parameter")


async def test_the_routes_own_provider_serves_bare_names() -> None:
    call = make_call("whatever", default_provider="c")
    await router_of(below := Below({}))(call, Kept(call))
    assert below.order == "c/whatever"


async def test_known_names_ask_nobody() -> None:
    asked: list[str] = []
    call = make_call("a/m", fallbacks=["b/n", "bare"])
    await router_of(Below({"a": DOWN}), asked)(call, Kept(call))
    assert asked == []


@pytest.mark.parametrize("name", ["listed", "never-heard-of"])
async def test_the_wait_for_a_list_is_a_wait_for_providers(name: str, autojump_clock: trio.testing.MockClock) -> None:
    call = make_call(name)
    with contextlib.suppress(ModelNotFound):
        await router_of(Below({}), slow=2.0)(call, Kept(call))
    assert call.outcome.upstream_seconds == pytest.approx(2.0)
