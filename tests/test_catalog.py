"""The rows of the catalogue."""

from __future__ import annotations

import re

import pytest

from bifrost_trio.catalog import ANTHROPIC_PATHS, NOT_YET, OPENAI_PATHS, PROVIDERS, REQUEST_TYPES, Provider
from bifrost_trio.types import Operation

BIFROST = {
    "openai", "azure", "anthropic", "bedrock", "bedrock_mantle", "cohere", "vertex", "mistral", "ollama",
    "opencode-go", "opencode-zen", "groq", "sgl", "parasail", "perplexity", "cerebras", "deepseek", "gemini",
    "openrouter", "elevenlabs", "huggingface", "nebius", "xai", "replicate", "vllm", "runway", "runware",
    "fireworks", "sarvam", "wafer", "github-copilot", "databricks", "typesafe", "deepgram",
}  # fmt: skip
ROWS = pytest.mark.parametrize("row", PROVIDERS.values(), ids=PROVIDERS)


def test_every_provider_that_bifrost_names_is_known() -> None:
    assert PROVIDERS.keys() | NOT_YET.keys() == BIFROST
    assert not PROVIDERS.keys() & NOT_YET.keys()


@ROWS
def test_a_row_holds_together(row: Provider) -> None:
    assert PROVIDERS[row.name] is row
    assert row.base_url is None or re.fullmatch(r"https?://[a-z0-9.:-]+(/[a-z0-9]+)*", row.base_url)
    assert all(path.startswith("/") and "//" not in path for path in row.paths.values())
    assert set(row.paths) <= {operation.value for operation in Operation}
    assert row.offers(Operation.CHAT_COMPLETION)
    assert row.key_less or row.environment
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in (*row.environment, *row.base_url_environment))
    assert row.auth.header == row.auth.header.lower()
    assert row.stream_options or "stream_options" in row.unsupported


@ROWS
def test_paths_end_as_the_format_says(row: Provider) -> None:
    usual = OPENAI_PATHS if row.format == "openai" else ANTHROPIC_PATHS
    for operation, path in row.paths.items():
        assert path.endswith(usual[operation])


@ROWS
def test_an_address_from_an_sdk_comes_to_the_same(row: Provider) -> None:
    """An SDK's base URL holds everything up to the operation's own path."""
    base = row.base_url or "https://host.example.com"
    usual = OPENAI_PATHS if row.format == "openai" else ANTHROPIC_PATHS
    for operation, path in row.paths.items():
        sdk = base + path.removesuffix(usual[operation])
        assert row.trimmed(sdk + "/") == row.trimmed(base) == base


def test_urls_that_are_in_use() -> None:
    def url(name: str, operation: Operation = Operation.CHAT_COMPLETION) -> str:
        row = PROVIDERS[name]
        return f"{row.base_url}{row.paths[operation]}"

    assert url("openai") == "https://api.openai.com/v1/chat/completions"
    assert url("anthropic") == "https://api.anthropic.com/v1/messages"
    assert url("groq") == "https://api.groq.com/openai/v1/chat/completions"
    assert url("gemini") == "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"
    assert url("openrouter") == "https://openrouter.ai/api/v1/chat/completions"
    assert url("perplexity") == "https://api.perplexity.ai/chat/completions"
    assert url("perplexity", Operation.LIST_MODELS) == "https://api.perplexity.ai/v1/models"
    assert url("deepseek") == "https://api.deepseek.com/chat/completions"
    assert url("fireworks", Operation.EMBEDDING) == "https://api.fireworks.ai/inference/v1/embeddings"
    assert url("huggingface") == "https://router.huggingface.co/v1/chat/completions"


def test_keys_go_where_the_provider_looks() -> None:
    assert PROVIDERS["openai"].auth.line("k") == (b"authorization", b"Bearer k")
    assert PROVIDERS["anthropic"].auth.line("k") == (b"x-api-key", b"k")
    assert PROVIDERS["azure"].auth.line("k") == (b"api-key", b"k")
    assert PROVIDERS["anthropic"].headers == (("anthropic-version", "2023-06-01"),)


def test_quirks() -> None:
    mistral = PROVIDERS["mistral"]
    assert mistral.renames == {"max_completion_tokens": "max_tokens", "seed": "random_seed"}
    assert not mistral.stream_options
    assert not PROVIDERS["groq"].offers(Operation.EMBEDDING)
    assert PROVIDERS["ollama"].key_less


def test_request_types_include_the_operations() -> None:
    assert {operation.value for operation in Operation} <= set(REQUEST_TYPES)
    assert len(set(REQUEST_TYPES)) == len(REQUEST_TYPES)
