"""The provider: which language a request is in, how it is to be answered, and the answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from bifrost_trio.mock import anthropic, openai, responses
from bifrost_trio.mock.behaviour import MODELS, Behaviour, Rule
from bifrost_trio.mock.failures import anthropic_error, error_frame, openai_error
from bifrost_trio.mock.script import Received, Script
from bifrost_trio.mock.speech import DIRECTIVE, last_text, speak
from bifrost_trio.mock.staging import stage_stream, stage_whole
from bifrost_trio.types import JsonObject

__all__ = ["MockProvider"]

LANGUAGES = {
    "/chat/completions": "openai_chat",
    "/completions": "openai_completions",
    "/embeddings": "openai_embeddings",
    "/responses/input_tokens": "openai_count_tokens",
    "/responses": "openai_responses",
    "/messages/count_tokens": "anthropic_count_tokens",
    "/messages": "anthropic",
    "/models": "models",
}
"""By the end of the path; the first that fits."""

_WHOLE = {
    "openai_chat": openai.chat,
    "openai_completions": openai.completion,
    "openai_embeddings": openai.embeddings,
    "openai_responses": responses.response,
    "anthropic": anthropic.message,
}
_STREAMS = {
    "openai_chat": openai.chat_frames,
    "openai_completions": openai.completion_frames,
    "openai_responses": responses.response_frames,
    "anthropic": anthropic.message_frames,
}


class MockProvider:
    """Answers a request with a script; give it to `ScriptedUpstream` or `serve_mock`.

    ``default`` and ``rules`` are words of `behaviour`. What holds for a request: the default, then every rule that fits
    it, in order, then its model's name (``mock-429``), then the directives in its last text (``[[mock status=500]]``).
    The counts of ``times`` and ``every`` are those of one rule, or of one directive, word for word.
    """

    def __init__(self, default: str = "", rules: Iterable[str] = (), models: Iterable[str] = ("mock-1",)) -> None:
        """Raises ValueError with a sentence that names the word."""
        self._rules = [Rule.parse(words) for words in (default, *rules)]
        self._models = list(models) or ["mock-1"]
        self._seen: dict[object, int] = {}

    def __call__(self, request: Received) -> Script:
        language = next((name for end, name in LANGUAGES.items() if request.path.endswith(end)), None)
        if language is None and request.path != "/health":
            return self._refuse(request, 404, f"the mock has no {request.path}")
        try:
            wire = json.loads(request.body) if request.body else {}
            behaviour = self._behaviour(request, wire)
            if language is None:
                return stage_whole({"status": "ok"}, 200, behaviour)
            return self._answer(request, language, wire, behaviour)
        except ValueError as error:
            return self._refuse(request, 400, str(error))
        except (AttributeError, IndexError, KeyError, TypeError, RecursionError) as error:
            return self._refuse(request, 400, f"the mock does not understand this request: {error}")

    def _answer(self, request: Received, language: str, wire: JsonObject, behaviour: Behaviour) -> Script:
        inside = behaviour.error_body or behaviour.error_chunk is not None
        if inside and behaviour.status < 400:
            behaviour = replace(behaviour, status=500)
        said = speak(wire, behaviour)
        if behaviour.error_body or (behaviour.status != 200 and behaviour.error_chunk is None):
            return self._error(request, behaviour)
        if wire.get("stream") and language in _STREAMS:
            error = error_frame(language, behaviour) if behaviour.error_chunk is not None else None
            return stage_stream(_STREAMS[language](wire, said, request.number), behaviour, error)
        if language == "models":
            listed = anthropic.models if _is_anthropic(request) else openai.models
            return stage_whole(listed(self._models), 200, behaviour)
        if language == "anthropic_count_tokens":
            return stage_whole({"input_tokens": said.input_tokens}, 200, behaviour)
        if language == "openai_count_tokens":
            counted = {"object": "response.input_tokens", "input_tokens": said.input_tokens}
            return stage_whole(counted, 200, behaviour)
        return stage_whole(_WHOLE[language](wire, said, request.number), 200, behaviour)

    def _error(self, request: Received, behaviour: Behaviour) -> Script:
        worded = anthropic_error if _is_anthropic(request) else openai_error
        return stage_whole(worded(behaviour), 200 if behaviour.error_body else behaviour.status, behaviour)

    def _refuse(self, request: Received, status: int, message: str) -> Script:
        return self._error(request, Behaviour(status=status, message=message))

    # --- how to behave ---

    def _behaviour(self, request: Received, wire: JsonObject) -> Behaviour:
        """Raises ValueError when a directive is not understood."""
        if not isinstance(wire, dict):
            raise ValueError("the body is not a JSON object")
        model = str(wire.get("model") or "")
        facts = {"model": model, "host": request.host, "path": request.path, "key": _key(request)}
        behaviour = Behaviour()
        for place, rule in self._rules_for(model, wire):
            if rule.fits(facts):
                number = self._seen[place] = self._seen.get(place, 0) + 1
                if rule.counts(number):
                    behaviour = behaviour.but(rule)
        return behaviour

    def _rules_for(self, model: str, wire: JsonObject) -> Iterator[tuple[object, Rule]]:
        """Each rule and under what it is counted."""
        yield from enumerate(self._rules)
        status = model.removeprefix("mock-")
        if model in MODELS:
            yield model, Rule.parse(MODELS[model])
        elif status != model and len(status) == 3 and status.isdigit():
            yield model, Rule.parse(f"status={status}")
        for words in DIRECTIVE.findall(last_text(wire)):
            yield words, Rule.parse(words)


def _key(request: Received) -> str:
    return request.header("x-api-key") or (request.header("authorization") or "").removeprefix("Bearer ")


def _is_anthropic(request: Received) -> bool:
    return "/messages" in request.path or request.header("anthropic-version") is not None
