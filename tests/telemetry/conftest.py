"""Calls that have ended, and stations whose state is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bifrost_trio._wire import Request, RequestReader, Usage, scan
from bifrost_trio.errors import GatewayError
from bifrost_trio.formats import FORMATS
from bifrost_trio.telemetry import Telemetry
from bifrost_trio.types import Attempt, Call, Operation, State, Target


def request(path: str, body: bytes) -> Request:
    head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    found = RequestReader().feed(head + body)
    assert found is not None
    return found


def make_call(
    model: str | None = "openai/gpt-4o",
    *,
    stream: bool = False,
    target: Target | None = None,
    operation: Operation = Operation.CHAT_COMPLETION,
    path: str = "/v1/chat/completions",
    accepted_at: float = 0.0,
    upstream: float = 0.0,
    status: int = 200,
    error: GatewayError | None = None,
    state: State | None = None,
    trail: Sequence[Attempt] | None = None,
    usage: Usage | None = None,
    headless: bool = False,
) -> Call:
    """A call that one attempt with key ``main`` has answered, unless something else is said."""
    named = b'"model":"%s",' % model.encode() if model is not None else b""
    body = b'{%s"stream":%s}' % (named, b"true" if stream else b"false")
    head = None if headless else request(path, body)
    call = Call(operation, FORMATS["openai_chat"], head, body, scan(body), accepted_at)
    if target is None and model is not None and "/" in model:
        target = Target(*model.split("/", 1))
    call.target = target
    call.outcome.state = state or (State.FAILED if error is not None else State.DONE)
    call.outcome.status = status if error is None else error.status
    call.outcome.error = error
    call.outcome.upstream_seconds = upstream
    call.outcome.usage = usage
    if trail is not None:
        call.trail.extend(trail)
    elif target is not None:
        kind = error.kind if error is not None else "success"
        call.trail.append(Attempt(target.provider, target.model, "main", call.outcome.status, kind, upstream, 0))
    return call


class Stub:
    """Anything with ``statistics()``."""

    def __init__(self, **facts: object) -> None:
        self.facts = SimpleNamespace(**facts)

    def statistics(self) -> Any:
        return self.facts


def make_assembly(
    models: Mapping[str, Sequence[str]] | None = None,
    *,
    paths: Sequence[str] = ("/v1/chat/completions",),
    keys: Sequence[str] = (),
    **numbers: int,
) -> Any:
    """Stations of the providers in ``models``; each number is the same for every provider."""
    models = {"openai": ["gpt-4o"]} if models is None else models
    n = {"refused": 0, "made": 0, "stale": 0, "open": 0, "settled": 0, **numbers}
    workers = Stub(limit=10, busy=3, idle=2, waiting=1, refused=n["refused"])
    connections = SimpleNamespace(idle=4, busy=3, made=n["made"], stale_retries=n["stale"])
    held = SimpleNamespace(keys=tuple(SimpleNamespace(value=key) for key in keys))
    listed = [SimpleNamespace(provider=p, model=m) for p, known in models.items() for m in known]
    return SimpleNamespace(
        attempts={provider: SimpleNamespace(pool=workers, keys=held) for provider in models},
        providers={p: Stub(name=p, connections={f"api.{p}.example": connections}) for p in models},
        inference=Stub(open=n["open"], settled=n["settled"]),
        budget=Stub(in_flight=512, limit=1024, refused=n["refused"]),
        models=SimpleNamespace(all=lambda: listed),
        transport=SimpleNamespace(routes=[SimpleNamespace(path=path) for path in paths]),
    )


class Read:
    """An exposition as Prometheus reads it."""

    def __init__(self, text: bytes) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text.decode())}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; fails where there are none."""
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert found, f"no sample of {name} with {labels}"
        return sum(found)

    def has(self, name: str, **labels: str) -> bool:
        return any(s.name == name and labels.items() <= s.labels.items() for s in self.samples)

    def labels(self, name: str, label: str) -> set[str]:
        return {s.labels[label] for s in self.samples if s.name == name}


@pytest.fixture
def call() -> Callable[..., Call]:
    return make_call


@pytest.fixture
def assembly() -> Callable[..., Any]:
    return make_assembly


@pytest.fixture
def read() -> Callable[[bytes], Read]:
    return Read


@pytest.fixture
def telemetry() -> Telemetry:
    """Knows ``openai/gpt-4o`` and the route of chat completions."""
    telemetry = Telemetry()
    telemetry.watch(make_assembly())
    return telemetry
