"""The rows. Above each stands the page of the provider's documentation that says so."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bifrost_trio.catalog.provider import (
    ANTHROPIC_PATHS,
    API_KEY,
    OPENAI_PATHS,
    X_API_KEY,
    Provider,
    under,
)

__all__ = ["NOT_YET", "PROVIDERS"]

_CHAT: Final = "chat_completion"
_TEXT: Final = "text_completion"
_EMBEDDING: Final = "embedding"
_RESPONSES: Final = "responses"
_COUNT: Final = "count_tokens"
_MODELS: Final = "list_models"

_OLD_LIMIT: Final = MappingProxyType({"max_completion_tokens": "max_tokens"})

_ROWS: Final = (
    # platform.openai.com/docs/api-reference
    Provider(
        "openai",
        "OpenAI",
        "https://api.openai.com",
        "openai",
        under("/v1", OPENAI_PATHS),
        environment=("OPENAI_API_KEY",),
        base_url_environment=("OPENAI_BASE_URL",),
    ),
    # docs.claude.com/en/api/overview, /en/api/versioning
    Provider(
        "anthropic",
        "Anthropic",
        "https://api.anthropic.com",
        "anthropic",
        under("/v1", ANTHROPIC_PATHS),
        auth=X_API_KEY,
        headers=(("anthropic-version", "2023-06-01"),),
        environment=("ANTHROPIC_API_KEY",),
        base_url_environment=("ANTHROPIC_BASE_URL",),
    ),
    # learn.microsoft.com/azure/foundry/openai/api-version-lifecycle: the v1 API takes no api-version
    Provider(
        "azure",
        "Azure OpenAI",
        None,
        "openai",
        under("/openai/v1", OPENAI_PATHS, _CHAT, _TEXT, _EMBEDDING, _RESPONSES, _MODELS),
        auth=API_KEY,
        environment=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        base_url_environment=("AZURE_OPENAI_ENDPOINT",),
    ),
    # docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html: Bedrock's OpenAI-compatible endpoint, by region
    Provider(
        "bedrock_mantle",
        "Amazon Bedrock (OpenAI-compatible)",
        None,
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _RESPONSES, _MODELS),
        environment=("AWS_BEARER_TOKEN_BEDROCK",),
    ),
    # inference-docs.cerebras.ai/resources/openai: penalties, logit_bias and service_tier are answered with 400
    Provider(
        "cerebras",
        "Cerebras",
        "https://api.cerebras.ai",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _TEXT, _MODELS),
        environment=("CEREBRAS_API_KEY",),
        unsupported=frozenset({"frequency_penalty", "presence_penalty", "logit_bias", "service_tier"}),
    ),
    # docs.databricks.com/machine-learning/model-serving/score-foundation-models: an address for each workspace; the
    # model is the name of a serving endpoint, and no list of models in OpenAI's shape is documented
    Provider(
        "databricks",
        "Databricks",
        None,
        "openai",
        under("/serving-endpoints", OPENAI_PATHS, _CHAT, _TEXT, _EMBEDDING, _RESPONSES),
        environment=("DATABRICKS_TOKEN",),
        base_url_environment=("DATABRICKS_HOST",),
        renames=_OLD_LIMIT,
    ),
    # api-docs.deepseek.com: paths without /v1, which is accepted in the base URL as well; /responses answers too,
    # undocumented
    Provider(
        "deepseek",
        "DeepSeek",
        "https://api.deepseek.com",
        "openai",
        under("", OPENAI_PATHS, _CHAT, _RESPONSES, _MODELS),
        environment=("DEEPSEEK_API_KEY",),
        renames=_OLD_LIMIT,
    ),
    # docs.fireworks.ai/tools-sdks/openai-compatibility
    Provider(
        "fireworks",
        "Fireworks AI",
        "https://api.fireworks.ai/inference",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _TEXT, _EMBEDDING, _RESPONSES, _MODELS),
        environment=("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
    ),
    # ai.google.dev/gemini-api/docs/openai: unknown members are answered with 400
    Provider(
        "gemini",
        "Google Gemini (OpenAI-compatible)",
        "https://generativelanguage.googleapis.com/v1beta",
        "openai",
        under("/openai", OPENAI_PATHS, _CHAT, _EMBEDDING, _MODELS),
        environment=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        unsupported=frozenset({"store", "metadata", "frequency_penalty", "logit_bias"}),
    ),
    # console.groq.com/docs/openai: logprobs, top_logprobs and logit_bias are answered with 400; no text completions
    Provider(
        "groq",
        "Groq",
        "https://api.groq.com/openai",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _RESPONSES, _MODELS),
        environment=("GROQ_API_KEY",),
        unsupported=frozenset({"logprobs", "top_logprobs", "logit_bias"}),
    ),
    # huggingface.co/docs/inference-providers: the router
    Provider(
        "huggingface",
        "Hugging Face",
        "https://router.huggingface.co",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _RESPONSES, _MODELS),
        environment=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
        renames=_OLD_LIMIT,
    ),
    # docs.mistral.ai/api: the schema admits no other members; usage comes at a stream's end unasked
    Provider(
        "mistral",
        "Mistral AI",
        "https://api.mistral.ai",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _EMBEDDING, _MODELS),
        environment=("MISTRAL_API_KEY",),
        renames=MappingProxyType({"max_completion_tokens": "max_tokens", "seed": "random_seed"}),
        unsupported=frozenset(
            {
                "audio",
                "function_call",
                "functions",
                "logit_bias",
                "logprobs",
                "modalities",
                "prompt_cache_retention",
                "safety_identifier",
                "store",
                "stream_options",
                "top_logprobs",
                "user",
                "verbosity",
                "web_search_options",
            }
        ),
        stream_options=False,
    ),
    # docs.tokenfactory.nebius.com
    Provider(
        "nebius",
        "Nebius Token Factory",
        "https://api.tokenfactory.nebius.com",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _TEXT, _EMBEDDING, _MODELS),
        environment=("NEBIUS_API_KEY",),
        renames=_OLD_LIMIT,
    ),
    # docs.ollama.com/api/openai-compatibility: max_tokens alone is listed; a local server asks for no key
    Provider(
        "ollama",
        "Ollama",
        "http://localhost:11434",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _TEXT, _EMBEDDING, _RESPONSES, _MODELS),
        environment=("OLLAMA_API_KEY",),
        base_url_environment=("OLLAMA_BASE_URL",),
        key_less=True,
        renames=_OLD_LIMIT,
    ),
    # opencode.ai/docs/zen, /docs/go: each model is served on one API; these are the OpenAI ones
    Provider(
        "opencode-zen",
        "OpenCode Zen",
        "https://opencode.ai/zen",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _RESPONSES, _MODELS),
        environment=("OPENCODE_API_KEY", "OPENCODE_ZEN_API_KEY"),
    ),
    Provider(
        "opencode-go",
        "OpenCode Go",
        "https://opencode.ai/zen/go",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _MODELS),
        environment=("OPENCODE_GO_API_KEY",),
    ),
    # openrouter.ai/docs/api-reference/overview
    Provider(
        "openrouter",
        "OpenRouter",
        "https://openrouter.ai/api",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _EMBEDDING, _RESPONSES, _MODELS),
        environment=("OPENROUTER_API_KEY",),
    ),
    # docs.parasail.io/parasail-docs
    Provider(
        "parasail",
        "Parasail",
        "https://api.parasail.io",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _MODELS),
        environment=("PARASAIL_API_KEY",),
    ),
    # docs.perplexity.ai/docs/grounded-llm/openai-compatibility: chat stands at the root, the rest under /v1
    Provider(
        "perplexity",
        "Perplexity",
        "https://api.perplexity.ai",
        "openai",
        MappingProxyType(
            {
                "chat_completion": "/chat/completions",
                "embedding": "/v1/embeddings",
                "responses": "/v1/responses",
                "list_models": "/v1/models",
            }
        ),
        environment=("PERPLEXITY_API_KEY", "PPLX_API_KEY"),
        renames=_OLD_LIMIT,
    ),
    # docs.sarvam.ai/api-reference-docs/chat/chat-completions
    Provider(
        "sarvam",
        "Sarvam AI",
        "https://api.sarvam.ai",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _MODELS),
        environment=("SARVAM_API_KEY",),
        renames=_OLD_LIMIT,
    ),
    # docs.sglang.ai/basic_usage/openai_api.html: a server of one's own, port 30000 unless told otherwise
    Provider(
        "sgl",
        "SGLang",
        None,
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _TEXT, _EMBEDDING, _RESPONSES, _MODELS),
        base_url_environment=("SGL_BASE_URL",),
        key_less=True,
    ),
    # docs.vllm.ai/en/latest/serving/openai_compatible_server.html: a server of one's own
    Provider(
        "vllm",
        "vLLM",
        None,
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _TEXT, _EMBEDDING, _RESPONSES, _MODELS),
        environment=("VLLM_API_KEY",),
        base_url_environment=("VLLM_BASE_URL",),
        key_less=True,
    ),
    # docs.wafer.ai
    Provider(
        "wafer",
        "Wafer",
        "https://pass.wafer.ai",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _TEXT, _MODELS),
        environment=("WAFER_API_KEY",),
    ),
    # docs.x.ai/docs/api-reference
    Provider(
        "xai",
        "xAI",
        "https://api.x.ai",
        "openai",
        under("/v1", OPENAI_PATHS, _CHAT, _EMBEDDING, _RESPONSES, _MODELS),
        environment=("XAI_API_KEY",),
    ),
)

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType({row.name: row for row in _ROWS})

NOT_YET: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bedrock": "Amazon's Converse API; bedrock_mantle is its OpenAI-compatible endpoint",
        "cohere": "Cohere's own API",
        "deepgram": "speech only",
        "elevenlabs": "speech only",
        "github-copilot": "its keys must be exchanged for tokens that last half an hour",
        "replicate": "Replicate's own API",
        "runware": "images only",
        "runway": "video only",
        "typesafe": "Typesafe's own API",
        "vertex": "Google Cloud's own API and tokens; gemini is the API with a key",
    }
)
"""Providers that Bifrost names and this version cannot speak to → why."""
