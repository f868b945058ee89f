"""Model names to targets."""

from __future__ import annotations

from collections.abc import Collection

from bifrost_trio.errors import InvalidField, ModelNotFound
from bifrost_trio.router.models import ModelLists
from bifrost_trio.types import Target

__all__ = ["Targets"]

REMEMBERED_NAMES, REMEMBERED_LENGTH = 4096, 256
"""Names whose target is remembered, and the characters of the longest: they come from clients, so both must have a
bound."""

SHOWN = 100
"""Characters of a client's model name that an error message repeats."""


class Targets:
    """``provider/model`` names its target; a bare name is looked up in the providers' model lists.

    A slash alone does not make a provider: ``meta-llama/Llama-3-8b`` is a bare name unless a provider ``meta-llama``
    is configured.
    """

    def __init__(self, providers: Collection[str], models: ModelLists) -> None:
        self._providers = frozenset(providers)
        self._models = models
        self.remembered: dict[tuple[str, str | None], Target] = {}
        """What `known` has found, by its name and default provider: to be looked into first."""
        # What was resolved by the lists that were known then is resolved anew by those that are known now.
        models.on_change = self.remembered.clear

    def known(self, name: str, default_provider: str | None = None, param: str = "model") -> Target | None:
        """The target, as far as it is known without asking anybody. Raises InvalidField for ``param``.

        ``default_provider`` serves bare names of a drop-in route whose own provider is configured, unless only another
        one is known to offer them.
        """
        target = self.remembered.get((name, default_provider))
        if target is None:
            target = self._resolve(name, default_provider, param)
            if target is not None and len(name) <= REMEMBERED_LENGTH:
                if len(self.remembered) >= REMEMBERED_NAMES:
                    self.remembered.clear()
                self.remembered[name, default_provider] = target
        return target

    def _resolve(self, name: str, default_provider: str | None, param: str) -> Target | None:
        provider, slash, model = name.partition("/")
        if slash and provider in self._providers:
            if not model:
                raise InvalidField("the model's name is missing behind the provider's", param)
            return Target(provider, model, name)
        offered = self._models.provider_of(name, default_provider)
        if offered is not None:
            return Target(offered, name, name)
        if default_provider in self._providers and default_provider is not None:
            return Target(default_provider, name, name)
        return None

    async def find(self, name: str, param: str = "model") -> Target:
        """As `known`; if it is not, after asking the providers for their lists. Raises ModelNotFound, InvalidField."""
        target = self.known(name, param=param)
        if target is None:
            await self._models.refresh()
            target = self.known(name, param=param)
        if target is not None:
            return target
        shown = name if len(name) <= SHOWN else name[:SHOWN] + "…"
        if param != "model":
            raise InvalidField(f"no provider offers {shown!r}", param, "model_not_found")
        if not self._providers:
            raise ModelNotFound("no provider is configured: set a key such as OPENAI_API_KEY, or name a configuration")
        names = ", ".join(sorted(self._providers))
        raise ModelNotFound(f"no provider offers model {shown!r}; write provider/model (configured: {names})")
