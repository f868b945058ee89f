"""Whole answers of the languages beside OpenAI's and Anthropic's: every recorded one against the json module."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bifrost_trio._wire import Usage, scan_answer
from bifrost_trio.errors import MalformedAnswer

FORMATS = {
    "bedrock.converse": "bedrock_converse",
    "bedrock.invoke": "bedrock_invoke",
    "cohere.v2.chat": "cohere",
    "cohere.embed": "cohere_embeddings",
    "gemini.countTokens": "gemini_count_tokens",
    "gemini.embedContent": "gemini_embeddings",
    "gemini.generateContent": "gemini",
    "ollama.chat": "ollama",
    "openai.images": "openai_images",
    "openai.moderations": "openai_moderations",
    "rerank": "rerank",
}


class Facts(NamedTuple):
    usage: Usage | None = None
    finish_reason: str | None = None
    model: str | None = None


def recorded_answers(shared_data: Path) -> Iterator[tuple[str, str]]:
    """Format and body of every recorded whole answer; of Bedrock's models those that speak Anthropic's language."""
    for path in sorted((shared_data / "recordings").glob("*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            for line in lines:
                recording = json.loads(line)
                kind = recording["kind"]
                foreign = kind == "bedrock.invoke" and "anthropic." not in recording["path"]
                if kind in FORMATS and not recording["streaming"] and not foreign:
                    yield FORMATS[kind], recording["response"]["body"]


def gemini(answer: dict[str, Any]) -> Facts:
    candidates = answer.get("candidates") or [{}]
    reason = candidates[0].get("finishReason") or answer.get("promptFeedback", {}).get("blockReason")
    if not isinstance(reason, str):
        reason = None  # one client asks for numbers in place of words
    read = answer.get("usageMetadata", {})
    thoughts = read.get("thoughtsTokenCount", 0)
    inputs = read.get("promptTokenCount", 0) + read.get("toolUsePromptTokenCount", 0)
    counts = inputs, read.get("candidatesTokenCount", 0) + thoughts, read.get("cachedContentTokenCount", 0)
    return Facts(
        Usage(*counts, 0, thoughts) if "promptTokenCount" in read else None, reason, answer.get("modelVersion")
    )


def converse(answer: dict[str, Any]) -> Facts:
    read = answer.get("usage")
    if read is None:
        return Facts()
    cached, written = read.get("cacheReadInputTokens", 0), read.get("cacheWriteInputTokens", 0)
    return Facts(
        Usage(read["inputTokens"] + cached + written, read["outputTokens"], cached, written), answer["stopReason"]
    )


def invoke(answer: dict[str, Any]) -> Facts:
    read = answer.get("usage")
    if read is None:
        return Facts(finish_reason=answer.get("stop_reason"))
    cached, written = read.get("cache_read_input_tokens", 0), read.get("cache_creation_input_tokens", 0)
    usage = Usage(read["input_tokens"] + cached + written, read["output_tokens"], cached, written)
    return Facts(usage, answer["stop_reason"], answer["model"])


def cohere(answer: dict[str, Any]) -> Facts:
    read = answer.get("usage")
    if read is None:
        return Facts()
    tokens = read["tokens"]
    counts = tokens["input_tokens"], tokens["output_tokens"], read.get("cached_tokens", 0), 0
    return Facts(Usage(*counts, tokens.get("reasoning_tokens", 0)), answer["finish_reason"])


def cohere_embeddings(answer: dict[str, Any]) -> Facts:
    billed = answer.get("meta", {}).get("billed_units", {})
    inputs = [billed[name] for name in ("input_tokens", "image_tokens") if name in billed]
    return Facts(Usage(int(sum(inputs))) if inputs else None)


def ollama(answer: dict[str, Any]) -> Facts:
    usage = Usage(answer.get("prompt_eval_count", 0), answer["eval_count"])
    return Facts(usage, answer.get("done_reason"), answer["model"])


def rerank(answer: dict[str, Any]) -> Facts:
    read = answer.get("usage", {})
    usage = (
        Usage(read.get("prompt_tokens", read.get("total_tokens")), read.get("completion_tokens", 0)) if read else None
    )
    return Facts(usage, None, answer.get("model"))


def images(answer: dict[str, Any]) -> Facts:
    read = answer.get("usage", {})
    return Facts(Usage(read["input_tokens"], read["output_tokens"]) if "input_tokens" in read else None)


READERS = {
    "bedrock_converse": converse,
    "bedrock_invoke": invoke,
    "cohere": cohere,
    "cohere_embeddings": cohere_embeddings,
    "gemini": gemini,
    "gemini_count_tokens": lambda answer: Facts(Usage(answer["totalTokens"])),
    "gemini_embeddings": lambda answer: gemini(answer),
    "ollama": ollama,
    "openai_images": images,
    "openai_moderations": lambda answer: Facts(model=answer["model"]),
    "rerank": rerank,
}


def test_every_recorded_answer(shared_data: Path) -> None:
    seen = dict.fromkeys(READERS, 0)
    for format, body in recorded_answers(shared_data):
        answer = json.loads(body)
        if format == "cohere_embeddings" and "embeddings" not in answer:
            continue  # some recordings of embeddings hold the answer of another call
        read = scan_answer(format, body.encode())
        assert read.error == ("error" in answer), body
        if "error" in answer or answer.keys() <= {"id", "message", "error_type"}:
            assert read.usage is None
            continue
        assert Facts(read.usage, read.finish_reason, read.model) == READERS[format](answer), body
        seen[format] += 1
    assert min(seen.values()) >= 5
    assert sum(seen.values()) > 700


@pytest.mark.parametrize("format", [*READERS, "json"])
def test_an_answer_is_one_object(format: str) -> None:
    assert scan_answer(format, b'{"x":1}').usage is None
    for body in (b"[]", b'{"x":1', b"oops"):
        with pytest.raises(MalformedAnswer):
            scan_answer(format, body)
