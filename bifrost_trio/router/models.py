"""Which provider offers which model: the names in the configuration, and the providers' own lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import trio

from bifrost_trio.errors import GatewayError

__all__ = ["ListedModel", "ModelList", "ModelLists"]

FRESH_SECONDS = 3600.0
"""A provider's list is asked for again after this (Bifrost's live_models_sync_interval)."""

FAILED_SECONDS = 30.0
"""After a failed look-up the provider is left alone for so long: unknown names must not become a flood of requests."""

ASK_SECONDS = 5.0
"""The longest that a client waits for lists: a provider that is silent counts as one that offers what is configured."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model of one provider. ``created`` is in seconds since 1970, 0 where the provider does not say."""

    provider: str
    model: str
    created: int = 0
    owned_by: str = ""
    display_name: str = ""

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.model}"


ModelList: TypeAlias = Sequence[ListedModel]
Ask: TypeAlias = Callable[[], Awaitable[ModelList]]


class ModelLists:
    """``configured`` are the names that the keys spell out; ``ask`` fetches each provider's own list."""

    def __init__(self, configured: Mapping[str, Sequence[str]], ask: Mapping[str, Ask]) -> None:
        self._configured = {p: [ListedModel(p, name) for name in names] for p, names in configured.items()}
        self._ask = ask
        self._listed: dict[str, ModelList] = {}
        self._due: dict[str, float] = {}
        self._asking: trio.Event | None = None
        self._offers: set[tuple[str, str]] = set()
        self.on_change: Callable[[], None] = lambda: None
        """Called when a name has come to lead elsewhere."""
        self._provider_of: dict[str, str] = {}
        self._index()

    def provider_of(self, model: str, preferred: str | None = None) -> str | None:
        """The provider of a bare name; of several the preferred one, else the first in the configuration's order."""
        if preferred is not None and (preferred, model) in self._offers:
            return preferred
        return self._provider_of.get(model)

    def _index(self) -> None:
        index: dict[str, str] = {}
        every = [*self._configured.values(), *(self._listed.get(p, ()) for p in self._ask)]
        for models in every:
            for listed in models:
                index.setdefault(listed.model, listed.provider)
        offers = {(listed.provider, listed.model) for models in every for listed in models}
        if (index, offers) != (self._provider_of, self._offers):
            self._provider_of, self._offers = index, offers
            self.on_change()

    async def refresh(self) -> None:
        """Asks those providers whose list is not fresh; one asking at a time, `ASK_SECONDS` at most. Never fails."""
        while self._asking is not None:
            await self._asking.wait()
        now = trio.current_time()
        stale = [provider for provider in self._ask if self._due.get(provider, 0.0) <= now]
        if not stale:
            return
        self._asking = trio.Event()
        try:
            with trio.move_on_after(ASK_SECONDS):
                async with trio.open_nursery() as nursery:
                    for provider in stale:
                        nursery.start_soon(self._fetch, provider)
            # Not reached by a client that leaves: whoever waited for its answer asks again.
            for provider in stale:
                if self._due.get(provider, 0.0) <= now:
                    self._due[provider] = now + FAILED_SECONDS
        finally:
            self._asking.set()
            self._asking = None
            self._index()

    async def _fetch(self, provider: str) -> None:
        try:
            self._listed[provider] = await self._ask[provider]()
        except GatewayError:
            return
        self._due[provider] = trio.current_time() + FRESH_SECONDS

    def all(self, provider: str | None = None) -> list[ListedModel]:
        """Every known model, of one provider or of all, without doubles, in the order of the configuration."""
        found: dict[str, ListedModel] = {}
        for name in dict.fromkeys([*self._ask, *self._configured]):
            if provider is None or name == provider:
                for listed in [*self._listed.get(name, ()), *self._configured.get(name, ())]:
                    found.setdefault(listed.id, listed)
        return list(found.values())
