"""A provider's own list of models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import trio

from bifrost_trio.errors import MalformedAnswer, ProviderFault
from bifrost_trio.formats.codec import DecodeError, decode
from bifrost_trio.providers.rendering import Auth, render_get
from bifrost_trio.providers.verdicts import cleaned, long_secrets
from bifrost_trio.types import Headers, JsonObject
from bifrost_trio.upstream import Pool

__all__ = ["ProviderModel", "fetch_models"]

LIMIT_SECONDS = 10.0
"""For the whole list; who waits for it has a limit of its own that is shorter."""


@dataclass(frozen=True, slots=True)
class ProviderModel:
    """``created`` is in seconds since 1970, 0 where the provider does not say."""

    provider: str
    model: str
    created: int
    owned_by: str
    display_name: str

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.model}"


async def fetch_models(name: str, pool: Pool, path: str, auth: Auth, key: str, headers: Headers) -> list[ProviderModel]:
    """``GET`` the list (OpenAI "List models"; Anthropic's has the same ``data``). Raises ProviderError."""
    data = render_get(path, pool.origin.authority, auth, key, headers)
    began = trio.current_time()
    deadline = began + LIMIT_SECONDS
    connection, response = await pool.exchange(data, began, LIMIT_SECONDS)
    try:
        body = await connection.read_whole(response, max(deadline - trio.current_time(), 0.0))
    except BaseException:
        pool.drop(connection)
        raise
    pool.give_back(connection)
    if response.status != 200:
        raise ProviderFault(response.status, "the provider did not give its list of models")
    try:
        answer = decode(cleaned(body, long_secrets(key)))
        entries = answer["data"] if isinstance(answer, dict) else answer
        return [_read(name, entry) for entry in entries]
    except (DecodeError, AttributeError, KeyError, TypeError) as error:
        raise MalformedAnswer("the provider's list of models cannot be read") from error


def _read(provider: str, entry: JsonObject) -> ProviderModel:
    created = entry.get("created", 0)
    if not isinstance(created, int):
        created = 0
    if isinstance(entry.get("created_at"), str):
        created = _seconds(entry["created_at"])
    display_name = entry.get("display_name") or entry.get("name") or ""
    return ProviderModel(provider, str(entry["id"]), created, str(entry.get("owned_by") or ""), str(display_name))


def _seconds(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return 0
