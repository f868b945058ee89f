"""The mocker: its rules as a client sees them, its settings as somebody sees them who has mistyped one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.errors import ConfigError
from bifrost_trio.plugins.mocker import Mocker
from bifrost_trio.testing import ScriptedUpstream, config_for_tests, gateway_in_memory

SUNNY: dict[str, Any] = {"type": "success", "content": {"message": "Sunny."}}
LIMITED: dict[str, Any] = {
    "type": "error",
    "error": {"status_code": 429, "type": "requests", "code": "rate_limit_exceeded", "message": "Slow down."},
}


def rule(*responses: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"name": "one", "responses": list(responses or [SUNNY]), **members}


def config(*rules: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"plugins": [{"name": "mocker", "config": {"rules": list(rules), **settings}}]}


def mocker(*rules: dict[str, Any], chance: Callable[[], float] = lambda: 0.0, **settings: Any) -> Mocker:
    return Mocker({"rules": list(rules), **settings}, chance=chance)


async def test_a_chat_is_answered_without_its_provider(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    usage = {"prompt_tokens": 15, "completion_tokens": 25}
    content = {"message": "Hi.", "model": "other", "finish_reason": "length", "usage": usage, "custom_fields": {"a": 1}}
    async with gateway_in_memory(config(rule({"type": "success", "content": content})), upstream) as gateway:
        answer = await gateway.ask("Hello")
        assert (answer.status, answer.text) == (200, "Hi.")
        assert answer.json["model"] == "other"
        assert answer.json["choices"][0]["finish_reason"] == "length"
        assert answer.json["usage"] == {**usage, "total_tokens": 40}
        assert answer.json["extra_fields"]["provider"] == "openai"
        assert answer.json["extra_fields"]["raw_response"] == {"a": 1}
        assert upstream.dialled == 0
        await gateway.quiet()


async def test_a_stream(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(config(rule())) as gateway:
        answer = await gateway.ask("Hello", stream=True, stream_options={"include_usage": True})
        assert (answer.status, answer.text) == (200, "Sunny.")
        assert answer.events[-1][1] == b"[DONE]"
        assert json.loads(answer.events[-2][1])["usage"]["completion_tokens"] == 1
        await gateway.quiet()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_of_another_format(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "The weather?"}]}]
    wire = {"model": "claude", "max_tokens": 9, "messages": messages, "stream": stream}
    condition = {"message_regex": "weather"}
    async with gateway_in_memory(config(rule(conditions=condition))) as gateway:
        answer = await gateway.client().post("/anthropic/v1/messages", wire)
        assert answer.status == 200
        if stream:
            assert [event for event, _ in answer.events][-1] == "message_stop"
            assert b'"text":"Sunny."' in answer.body
        else:
            assert answer.json["content"][0]["text"] == "Sunny."
            assert answer.json["stop_reason"] == "end_turn"
        await gateway.quiet()


async def test_an_error_is_the_providers(autojump_clock: trio.testing.MockClock) -> None:
    upstream = ScriptedUpstream()
    async with gateway_in_memory(config(rule(LIMITED)), upstream) as gateway:
        answer = await gateway.ask("Hello")
        assert answer.status == 429
        assert answer.json["error"]["message"] == "Slow down."
        assert answer.json["error"]["code"] == "rate_limit_exceeded"
        assert answer.json["is_bifrost_error"] is False
        embedding = await gateway.client().post("/v1/embeddings", {"model": "openai/m", "input": "x"})
        assert embedding.status == 429
        assert upstream.dialled == 0
        await gateway.quiet()


@pytest.mark.parametrize(("allowed", "status"), [(True, 200), (False, 429)])
async def test_fallbacks(allowed: bool, status: int, autojump_clock: trio.testing.MockClock) -> None:
    failing = rule({**LIMITED, "allow_fallbacks": allowed}, conditions={"providers": ["openai"]})
    async with gateway_in_memory(config(failing)) as gateway:
        answer = await gateway.ask("Hello", fallbacks=["anthropic/claude"])
        assert answer.status == status
        await gateway.quiet()


async def test_placeholders(autojump_clock: trio.testing.MockClock) -> None:
    template = "{{provider}} {{ model }} {{uuid}} {{timestamp}} {{7*7}} {% x %}"
    content = {"type": "success", "content": {"message_template": template}}
    async with gateway_in_memory(config(rule(content))) as gateway:
        answer = await gateway.ask("Hello", model="openai/{{uuid}}")
        provider, model, identity, now, *rest = answer.text.split(" ")
        assert (provider, model) == ("openai", "{{uuid}}")
        assert answer.json["id"] == f"chatcmpl-{identity}"
        assert int(now) == answer.json["created"]
        assert rest == ["{{7*7}}", "{%", "x", "%}"]


@pytest.mark.parametrize(
    ("conditions", "taken"),
    [
        ({}, True),
        ({"providers": ["anthropic", "openai"]}, True),
        ({"providers": ["anthropic"]}, False),
        ({"models": ["gpt-x"]}, True),
        ({"models": ["openai/gpt-x"]}, True),
        ({"models": ["gpt"]}, False),
        ({"message_regex": "(?i)WEATHER"}, True),
        ({"message_regex": "^weather"}, False),
        ({"request_size": {"min": 10, "max": 1000}}, True),
        ({"request_size": {"max": 10}}, False),
        ({"providers": ["openai"], "message_regex": "rain"}, False),
    ],
)
async def test_conditions(conditions: dict[str, Any], taken: bool, autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(config(rule(conditions=conditions))) as gateway:
        answer = await gateway.ask("How is the weather?", model="openai/gpt-x")
        assert answer.text == ("Sunny." if taken else "You said: How is the weather?")


async def test_the_highest_priority_is_asked_first(autojump_clock: trio.testing.MockClock) -> None:
    rainy = {"type": "success", "content": {"message": "Rainy."}}
    low, high = rule(name="low"), rule(rainy, name="high", priority=5)
    off = rule(LIMITED, name="off", priority=9, enabled=False)
    plugin = mocker(low, high, off)
    async with gateway_in_memory(plugins=[plugin]) as gateway:
        assert (await gateway.ask("Hello")).text == "Rainy."
    assert plugin.statistics().hits == {"low": 0, "high": 1, "off": 0}


async def test_probability(autojump_clock: trio.testing.MockClock) -> None:
    """The first number of a call decides whether the rule is taken, the second which response."""
    numbers = iter([0.0, 0.9, 0.79, 0.9, 0.8, 0.99])
    plugin = mocker(rule(probability=0.8), chance=lambda: next(numbers))
    async with gateway_in_memory(plugins=[plugin]) as gateway:
        told = [(await gateway.ask("Hello")).text for _ in range(4)]
    assert told == ["Sunny.", "Sunny.", "You said: Hello", "You said: Hello"]
    assert plugin.statistics().hits == {"one": 2}
    assert plugin.statistics().calls == 4


async def test_the_weights_of_responses(autojump_clock: trio.testing.MockClock) -> None:
    numbers = iter([0.0, 0.25, 0.5, 0.74, 0.75, 0.99])
    plugin = mocker(rule({**SUNNY, "weight": 3}, {**LIMITED, "weight": 1}), chance=lambda: next(numbers))
    async with gateway_in_memory(plugins=[plugin]) as gateway:
        assert [(await gateway.ask("Hello")).status for _ in range(6)] == [200, 200, 200, 200, 429, 429]
    assert (plugin.statistics().answered, plugin.statistics().failed) == (4, 2)


@pytest.mark.parametrize(
    ("latency", "seconds"),
    [
        ({"type": "fixed", "min": "250ms"}, 0.25),
        ({"type": "uniform", "min": "1s", "max": "3s"}, 2.0),
        ({"type": "fixed", "min": 40_000_000}, 0.04),
    ],
)
@pytest.mark.parametrize("own", [False, True])
async def test_latency(
    latency: dict[str, Any], seconds: float, own: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """A rule's own latency wins over that of all."""
    members = {"latency": latency} if own else {}
    everywhere = {"type": "fixed", "min": "30s"} if own else latency
    plugin = mocker(rule(**members), global_latency=everywhere, chance=lambda: 0.5)
    async with gateway_in_memory(plugins=[plugin]) as gateway:
        began = trio.current_time()
        assert (await gateway.ask("Hello")).text == "Sunny."
        assert trio.current_time() - began == pytest.approx(seconds)


async def test_a_client_that_leaves_while_the_mocker_waits(autojump_clock: trio.testing.MockClock) -> None:
    plugin = mocker(rule(), global_latency={"type": "fixed", "min": "30s"})
    async with gateway_in_memory(plugins=[plugin]) as gateway, trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            await gateway.ask("Hello")
        await gateway.quiet()
        assert plugin.statistics().answered == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("settings", "status", "text"),
    [
        ({}, 200, "This is the mocker's answer."),
        ({"enabled": False}, 200, "You said: Hello"),
        ({"default_behavior": "passthrough"}, 200, "You said: Hello"),
        ({"default_behavior": "success"}, 200, "This is the mocker's answer."),
        ({"default_behavior": "error"}, 500, ""),
        ({"rules": [rule(conditions={"providers": ["groq"]})]}, 200, "You said: Hello"),
        ({"rules": [rule(probability=0)], "default_behavior": "error"}, 500, ""),
    ],
)
async def test_where_no_rule_takes_it(
    settings: dict[str, Any], status: int, text: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with gateway_in_memory({"plugins": [{"name": "mocker", "config": settings}]}) as gateway:
        answer = await gateway.ask("Hello")
        assert answer.status == status
        assert status != 200 or answer.text == text


async def test_what_has_no_mocked_answer_passes_through(autojump_clock: trio.testing.MockClock) -> None:
    async with gateway_in_memory(config(rule())) as gateway:
        answer = await gateway.client().post("/v1/embeddings", {"model": "openai/m", "input": "x"})
        assert answer.status == 200
        assert answer.json["data"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rulse": []}, "there is no setting 'rulse'"),
        ({"default_behavior": "fail"}, "default_behavior: invalid enum value 'fail'"),
        ({"rules": [{"name": "a"}]}, "rules[0]: there must be a setting 'responses'"),
        ({"rules": [rule(name="")]}, "rules[0].name: expected 'str' of length >= 1"),
        ({"rules": [rule(), rule()]}, "rules: the name 'one' is given twice"),
        ({"rules": [rule(priority="high")]}, "rules[0].priority: expected 'int', got 'str'"),
        ({"rules": [rule(probability=1.5)]}, "rules[0].probability: expected 'float' <= 1.0"),
        ({"rules": [rule({**SUNNY, "weight": 0})]}, "rules[0]: one response at least must have a weight above 0"),
        ({"rules": [rule({"type": "success"})]}, "rules[0].responses[0]: a response of type success has content"),
        ({"rules": [rule({"type": "error"})]}, "rules[0].responses[0]: a response of type error has error"),
        (
            {"rules": [rule({"type": "success", "content": {}})]},
            "rules[0].responses[0].content: message or message_template is needed",
        ),
        (
            {"rules": [rule({"type": "success", "content": {"message_template": "{{faker.name}}"}})]},
            "rules[0].responses[0].content: message_template has an unknown placeholder {{faker.name}}; there are",
        ),
        (
            {"rules": [rule(conditions={"message_regex": "("})]},
            "rules[0].conditions: message_regex is not a regular expression: missing ), unterminated subpattern",
        ),
        (
            {"rules": [rule(conditions={"request_size": {"min": 9, "max": 1}})]},
            "rules[0].conditions.request_size: max must not be less than min",
        ),
        (
            {"global_latency": {"type": "fixed", "min": "soon"}},
            "global_latency: min must be a time with its unit up to one hour, such as \"250ms\", not 'soon'",
        ),
        (
            {"global_latency": {"type": "uniform", "min": "2s", "max": "1s"}},
            "global_latency: max must not be less than min",
        ),
        (
            {"rules": [rule({**LIMITED, "error": {"message": "x", "status_code": 200}})]},
            "rules[0].responses[0].error.status_code: expected 'int' >= 400",
        ),
    ],
)
def test_settings_that_are_of_no_use(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Mocker(settings)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


async def test_the_gateway_names_the_entry() -> None:
    with pytest.raises(ConfigError) as caught:
        async with gateway_in_memory(config_for_tests(config(rule(priority="high")))):
            pass
    [problem] = caught.value.problems
    assert problem.path == "plugins[0].config"
    assert problem.message.startswith("rules[0].priority: ")
