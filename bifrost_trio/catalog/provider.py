"""What is known of a provider: one row of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

__all__ = ["ANTHROPIC_PATHS", "API_KEY", "BEARER", "OPENAI_PATHS", "X_API_KEY", "Auth", "Paths", "Provider", "under"]

FormatName: TypeAlias = Literal["openai", "anthropic"]
Paths: TypeAlias = Mapping[str, str]
"""`bifrost_trio.types.Operation` (a string) → path."""


@dataclass(frozen=True, slots=True)
class Auth:
    """The header that carries the key, in lower case, and what stands before the key in it."""

    header: str
    prefix: str = ""

    def line(self, key: str) -> tuple[bytes, bytes]:
        return self.header.encode(), f"{self.prefix}{key}".encode()


BEARER: Final = Auth("authorization", "Bearer ")
X_API_KEY: Final = Auth("x-api-key")
API_KEY: Final = Auth("api-key")

OPENAI_PATHS: Final[Paths] = MappingProxyType(
    {
        "chat_completion": "/chat/completions",
        "text_completion": "/completions",
        "embedding": "/embeddings",
        "responses": "/responses",
        "count_tokens": "/responses/input_tokens",
        "list_models": "/models",
    }
)
ANTHROPIC_PATHS: Final[Paths] = MappingProxyType(
    {
        "chat_completion": "/messages",
        "count_tokens": "/messages/count_tokens",
        "list_models": "/models",
    }
)


@dataclass(frozen=True, slots=True)
class Provider:
    """One row. ``paths`` has the operations that the provider offers in its own language; others are translated."""

    name: str
    title: str
    base_url: str | None
    """None where every customer has an address of their own: the configuration must give it."""
    format: FormatName
    paths: Paths
    auth: Auth = BEARER
    headers: tuple[tuple[str, str], ...] = ()
    """Sent with every request, beside the key."""
    environment: tuple[str, ...] = ()
    """Variables that usually hold the key; the first that is set counts."""
    base_url_environment: tuple[str, ...] = ()
    key_less: bool = False
    """Whether it works without a key. One that is configured is sent."""
    renames: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """OpenAI's name of a parameter → this provider's."""
    unsupported: frozenset[str] = frozenset()
    """Parameters of OpenAI's chat that this provider answers with an error: they are left out and reported."""
    stream_options: bool = True
    """Whether a stream must be asked for usage with ``stream_options.include_usage``; else it gives it unasked."""

    def offers(self, operation: str) -> bool:
        return operation in self.paths

    def trimmed(self, base_url: str) -> str:
        """``base_url`` without a trailing slash and without an end with which this provider's paths begin anyway."""
        url = base_url.rstrip("/")
        for path in self.paths.values():
            parts = path.split("/")
            # Longest first: "/openai/v1" before "/openai".
            for end in range(len(parts) - 1, 1, -1):
                if url.endswith("/".join(parts[:end])):
                    return url[: -len("/".join(parts[:end]))]
        return url


def under(prefix: str, paths: Paths, *operations: str) -> Paths:
    """The paths of ``operations`` (none named: all of ``paths``) below ``prefix``."""
    return MappingProxyType({name: prefix + paths[name] for name in operations or paths})
