"""The table of routes: what is not in it does not exist."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from bifrost_trio.formats import FORMATS
from bifrost_trio.types import Body, Format, Operation, Request, Sink

__all__ = ["Handler", "InferenceRoute", "Route", "inference_routes"]

Handler: TypeAlias = Callable[[Request, Body, Sink], Awaitable[None]]
"""Answers one request. Raises GatewayError while nothing of the answer has been sent."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path, the method that it takes, who answers, and in whose error shape.

    ``open`` routes are for watchers: the headers that the configuration requires are not asked of them. HEAD is served
    wherever GET is (RFC 9110 section 9.3.2).
    """

    path: str
    method: str
    handler: Handler
    format: Format
    native: bool = True
    open: bool = False


@dataclass(frozen=True, slots=True)
class InferenceRoute:
    """An inference route before it has its handler.

    ``native`` routes speak Bifrost's contract: ``extra_fields``, its error shape. The others are byte-exact drop-ins.
    ``default_provider`` takes the bare model names of a provider's own SDK.
    """

    path: str
    operation: Operation
    format: Format
    native: bool = False
    default_provider: str | None = None


def inference_routes() -> list[InferenceRoute]:
    """Every inference route, in the order of the documentation."""
    chat, text = FORMATS["openai_chat"], FORMATS["openai_completions"]
    embeddings, responses = FORMATS["openai_embeddings"], FORMATS["openai_responses"]
    operations = [
        ("/chat/completions", Operation.CHAT_COMPLETION, chat),
        ("/completions", Operation.TEXT_COMPLETION, text),
        ("/embeddings", Operation.EMBEDDING, embeddings),
        ("/responses", Operation.RESPONSES, responses),
    ]
    routes = [InferenceRoute(f"/v1{path}", operation, format, native=True) for path, operation, format in operations]
    for prefix in ("/openai/v1", "/openai"):
        routes += [
            InferenceRoute(f"{prefix}{path}", operation, format, default_provider="openai")
            for path, operation, format in operations
        ]
    for prefix in ("/anthropic/v1", "/v1"):
        routes.append(
            InferenceRoute(
                f"{prefix}/messages", Operation.CHAT_COMPLETION, FORMATS["anthropic"], default_provider="anthropic"
            )
        )
        routes.append(
            InferenceRoute(
                f"{prefix}/messages/count_tokens",
                Operation.COUNT_TOKENS,
                FORMATS["anthropic_count_tokens"],
                default_provider="anthropic",
            )
        )
    return routes
