"""A built-in plugin that answers by rule, without a provider: Bifrost's mocker.

In the configuration::

    {"name": "mocker", "config": {
        "default_behavior": "passthrough",
        "global_latency": {"type": "uniform", "min": "50ms", "max": "200ms"},
        "rules": [{
            "name": "sometimes limited",
            "priority": 10,
            "probability": 0.5,
            "conditions": {"providers": ["openai"], "message_regex": "(?i)weather"},
            "responses": [
                {"type": "success", "weight": 0.8, "content": {"message_template": "Sunny, says {{model}}."}},
                {"type": "error", "weight": 0.2,
                 "error": {"status_code": 429, "code": "rate_limit_exceeded", "message": "Slow down."}}
            ]
        }]
    }}

Errors are given to every operation, answers to chats (of every client format, whole and streamed); other operations
pass through where an answer would be due. A provider's error is not tried again, since there is nobody to try; its
fallbacks are, unless ``allow_fallbacks`` is false. All settings are in `mocker_settings`.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import trio

from bifrost_trio.errors import GatewayError, KeyRefused, ProviderAnswered, ProviderFault, RateLimited, RequestRefused
from bifrost_trio.plugins.mocker_settings import Content, Failure, Latency, Response, Rule, Settings, read_settings
from bifrost_trio.plugins.plugin import Answer, Plugin
from bifrost_trio.types import Call, JsonObject, Operation

__all__ = ["Mocker", "MockerStatistics"]

_SUCCESS = Response(type="success", content=Content(message="This is the mocker's answer."))
_ERROR = Response(
    type="error", error=Failure(message="The mocker answers every call with an error.", type="mock_error")
)


@dataclass(frozen=True, slots=True)
class MockerStatistics:
    """``calls`` seen, of which ``answered`` and ``failed`` by the mocker; ``hits`` of each rule by its name."""

    calls: int
    answered: int
    failed: int
    hits: dict[str, int]


class Mocker(Plugin):
    name = "mocker"

    def __init__(self, settings: dict[str, Any], *, chance: Callable[[], float] = random.random) -> None:
        """``chance`` gives numbers in [0, 1)."""
        self._settings = read_settings(settings)
        self._chance = chance
        rules = [rule for rule in self._settings.rules if rule.enabled]
        self._rules = [_Compiled(rule) for rule in sorted(rules, key=lambda rule: -rule.priority)]
        self._default = _default(self._settings)
        self._calls = self._answered = self._failed = 0
        self._hits = {rule.name: 0 for rule in self._settings.rules}

    def before(self, call: Call) -> Answer | Awaitable[Answer | None] | None:
        if not self._settings.enabled:
            return None
        self._calls += 1
        latency = self._settings.global_latency
        response = self._default
        rule = next((rule for rule in self._rules if rule.takes(call, self._chance)), None)
        if rule is not None:
            self._hits[rule.name] += 1
            latency = rule.latency or latency
            response = rule.choose(self._chance)
        if response is None or (response.content is not None and call.operation is not Operation.CHAT_COMPLETION):
            return None
        if latency is None:
            return self._respond(call, response)
        return self._respond_late(call, response, latency)

    async def _respond_late(self, call: Call, response: Response, latency: Latency) -> Answer | None:
        low, high = latency.seconds
        await trio.sleep(low + (high - low) * self._chance())
        return self._respond(call, response)

    def _respond(self, call: Call, response: Response) -> Answer:
        if response.error is not None:
            self._failed += 1
            raise _failure(call, response.error, allow_fallbacks=response.allow_fallbacks)
        assert response.content is not None
        self._answered += 1
        if response.content.custom_fields is not None:
            call.raw_response = msgspec.json.encode(response.content.custom_fields)
        return Answer(_completion(call, response.content))

    def statistics(self) -> MockerStatistics:
        return MockerStatistics(self._calls, self._answered, self._failed, dict(self._hits))


def _default(settings: Settings) -> Response | None:
    behaviour = settings.default_behavior or ("passthrough" if settings.rules else "success")
    return {"passthrough": None, "success": _SUCCESS, "error": _ERROR}[behaviour]


class _Compiled:
    """A rule that is ready to be asked."""

    def __init__(self, rule: Rule) -> None:
        conditions = rule.conditions
        self.name = rule.name
        self.latency = rule.latency
        self._probability = rule.probability
        self._responses = rule.responses
        self._weights = sum(response.weight for response in rule.responses)
        self._providers = frozenset(conditions.providers)
        self._models = frozenset(conditions.models)
        self._size = conditions.request_size
        self._regex = re.compile(conditions.message_regex) if conditions.message_regex is not None else None

    def takes(self, call: Call, chance: Callable[[], float]) -> bool:
        """What costs most is asked last."""
        target = call.target
        assert target is not None
        if self._providers and target.provider not in self._providers:
            return False
        if self._models and not self._models & {target.model, str(target)}:
            return False
        if self._size is not None and not self._size.min <= len(call.body) <= self._size.max:
            return False
        if self._regex is not None and not self._regex.search(_texts(call)):
            return False
        return self._probability >= 1 or chance() < self._probability

    def choose(self, chance: Callable[[], float]) -> Response:
        point = chance() * self._weights
        for response in self._responses:
            point -= response.weight
            if point < 0:
                return response
        return self._responses[-1]


def _texts(call: Call) -> str:
    """The texts of all messages, a line or more each; of other operations the prompt or the input."""
    request = call.request
    parts = [message.get("content") for message in request.get("messages") or []]
    parts += [request.get("prompt"), request.get("input")]
    return "\n".join(text for part in parts for text in _strings(part))


def _strings(part: Any) -> list[str]:
    if isinstance(part, str):
        return [part]
    if isinstance(part, list):
        return [text for one in part for text in _strings(one)]
    if isinstance(part, dict):
        return _strings(part.get("text") or part.get("content"))
    return []


def _completion(call: Call, content: Content) -> JsonObject:
    assert call.target is not None
    identity, now = str(uuid.uuid4()), int(time.time())
    facts = {"model": call.target.model, "provider": call.target.provider, "uuid": identity, "timestamp": str(now)}
    text = content.text(facts)
    message = {"role": "assistant", "content": text}
    return {
        "id": f"chatcmpl-{identity}",
        "object": "chat.completion",
        "created": now,
        "model": content.model or call.target.model,
        "choices": [{"index": 0, "message": message, "finish_reason": content.finish_reason}],
        "usage": _usage(call, content, text),
    }


def _usage(call: Call, content: Content, text: str) -> JsonObject:
    """As the rule says, else words counted as tokens."""
    said = content.usage
    asked, answered = (len(_texts(call).split()), len(text.split()))
    total = None
    if said is not None:
        asked, answered, total = said.prompt_tokens, said.completion_tokens, said.total_tokens
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered if total is None else total,
    }


def _failure(call: Call, failure: Failure, *, allow_fallbacks: bool) -> GatewayError:
    assert call.target is not None
    status = failure.status_code
    kind: type[ProviderAnswered] = RequestRefused
    if status in (401, 402, 403):
        kind = KeyRefused
    elif status == 429:
        kind = RateLimited
    elif status >= 500 or status == 408:
        kind = ProviderFault
    error = kind(status, failure.message, type=failure.type, code=failure.code)
    error.provider = call.target.provider
    error.fallback = error.fallback and allow_fallbacks
    return error
