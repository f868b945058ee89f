"""The keys of one provider: which may serve a model, and which of those is taken."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence

from bifrost_trio.errors import Forbidden, InvalidField, NoEligibleKey
from bifrost_trio.types import Options

__all__ = ["Key", "Keys"]

REMEMBERED_MODELS, REMEMBERED_LENGTH = 1024, 256
"""Models whose eligible keys are remembered, and the characters of the longest: names come from clients, so both must
have a bound."""


class Key:
    """One key. ``value`` is the secret and appears in no repr; ``allows`` says whether it may serve a model.

    ``resolve`` turns an alias into the name that the provider understands; None where the key has no aliases.
    """

    __slots__ = ("allows", "id", "name", "resolve", "value", "weight")

    def __init__(
        self,
        name: str,
        value: str,
        *,
        id: str = "",
        weight: float = 1.0,
        allows: Callable[[str], bool] = lambda model: True,
        resolve: Callable[[str], str] | None = None,
    ) -> None:
        self.name = name
        self.value = value
        self.id = id
        self.weight = weight
        self.allows = allows
        self.resolve = resolve

    def __repr__(self) -> str:
        return f"<Key {self.name}>"


class Keys:
    """Chooses by weight and chance among the keys that may serve a model."""

    def __init__(
        self, provider: str, keys: Sequence[Key], *, direct: bool = False, chance: Callable[[], float] = random.random
    ) -> None:
        """``direct``: callers may bring a key of their own; ``chance`` gives numbers in [0, 1)."""
        self.provider = provider
        self.keys = tuple(keys)
        self.direct = direct
        self._chance = chance
        self._eligible: dict[str, tuple[tuple[Key, ...], tuple[Key, ...]]] = {}

    def choose(self, model: str, options: Options | None = None, spent: Collection[str] = ()) -> Key | None:
        """A key for this attempt, not among those named in ``spent``; None when those that could are all spent.

        Raises NoEligibleKey when the configuration has none for the model, InvalidField for a pin that fits no key,
        Forbidden for a caller's own key where that is not allowed.
        """
        if options is not None and (options.direct_key or options.key_id or options.key_name):
            key = self._asked_for(options, model)
            return None if key.name in spent else key
        keys, reserve = self._eligible.get(model) or self._look_up(model)
        if spent:
            keys = _without(keys, spent) or _without(reserve, spent)
        if len(keys) == 1:
            return keys[0]
        return self._draw(keys) if keys else None

    def _look_up(self, model: str) -> tuple[tuple[Key, ...], tuple[Key, ...]]:
        """The keys that may serve the model, and those in reserve: with a weight of 0, for when no other is left."""
        allowed = [key for key in self.keys if key.allows(model)]
        if not allowed:
            shown = model if len(model) <= REMEMBERED_LENGTH else model[:REMEMBERED_LENGTH] + "…"
            raise NoEligibleKey(f"no key of provider {self.provider} may serve model {shown!r}")
        reserve = tuple(key for key in allowed if not key.weight)
        found = tuple(key for key in allowed if key.weight), reserve
        if not found[0]:
            found = reserve, ()
        if len(model) <= REMEMBERED_LENGTH:
            if len(self._eligible) >= REMEMBERED_MODELS:
                self._eligible.clear()
            self._eligible[model] = found
        return found

    def _draw(self, keys: tuple[Key, ...]) -> Key:
        total = sum(key.weight for key in keys)
        if not total:
            return keys[int(self._chance() * len(keys))]
        point = self._chance() * total
        for key in keys:
            point -= key.weight
            if point < 0:
                return key
        return keys[-1]

    def _asked_for(self, options: Options, model: str) -> Key:
        if options.direct_key:
            if not self.direct:
                raise Forbidden("this gateway does not take a provider's key from its callers", param="x-bf-direct-key")
            return Key("direct", options.direct_key)
        wanted, header = (options.key_id, "x-bf-api-key-id") if options.key_id else (options.key_name, "x-bf-api-key")
        for key in self.keys:
            if wanted == (key.id if options.key_id else key.name):
                if not key.allows(model):
                    raise InvalidField(f"key {wanted!r} may not serve this model", header)
                return key
        raise InvalidField(f"provider {self.provider} has no key {wanted!r}", header)

    def models_allowed(self, models: Sequence[str]) -> list[str]:
        """Those of the models that some key may serve."""
        return [model for model in models if any(key.allows(model) for key in self.keys)]


def _without(keys: tuple[Key, ...], spent: Collection[str]) -> tuple[Key, ...]:
    return tuple(key for key in keys if key.name not in spent)
