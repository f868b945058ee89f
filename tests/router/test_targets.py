"""A model's name to its target."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from bifrost_trio.errors import InvalidField, ModelNotFound
from bifrost_trio.router import ListedModel, ModelLists, Targets
from bifrost_trio.router.targets import REMEMBERED_LENGTH, REMEMBERED_NAMES

CONFIGURED = {"openai": ["gpt-4o", "fast"], "anthropic": ["claude", "fast"], "own": []}
LISTED = {"openai": ["gpt-4o", "o1"], "anthropic": ["o1", "gpt-4o", "claude-2"], "own": ["llama/big", "llama"]}


@dataclass
class Lists:
    """The providers' own lists. ``asked`` is who was asked, in order."""

    asked: list[str] = field(default_factory=list)
    slow: float = 0.0

    def of(self, provider: str) -> object:
        async def ask() -> list[ListedModel]:
            self.asked.append(provider)
            await trio.sleep(self.slow)
            return [ListedModel(provider, model) for model in LISTED[provider]]

        return ask


def targets_of(lists: Lists) -> Targets:
    models = ModelLists(CONFIGURED, {name: lists.of(name) for name in CONFIGURED})  # type: ignore[misc]
    return Targets(CONFIGURED, models)


# The name, the route's own provider, the target, whether the providers had to be asked for their lists.
NAMES: list[tuple[str, str | None, str, bool]] = [
    ("openai/gpt-4o", None, "openai/gpt-4o", False),
    ("openai/gpt-4o", "anthropic", "openai/gpt-4o", False),
    ("openai/never-heard-of", None, "openai/never-heard-of", False),
    ("own/meta-llama/Llama-3-8b", None, "own/meta-llama/Llama-3-8b", False),
    ("openai/anthropic/claude", None, "openai/anthropic/claude", False),
    ("gpt-4o", None, "openai/gpt-4o", False),
    ("claude", None, "anthropic/claude", False),
    ("claude", "openai", "anthropic/claude", False),
    ("fast", None, "openai/fast", False),
    ("fast", "anthropic", "anthropic/fast", False),
    ("never-heard-of", "openai", "openai/never-heard-of", False),
    ("llama/big", "openai", "openai/llama/big", False),
    ("claude-2", None, "anthropic/claude-2", True),
    ("o1", None, "openai/o1", True),
    ("llama/big", None, "own/llama/big", True),
    ("llama", "cohere", "own/llama", True),
]


@pytest.mark.parametrize(("name", "default", "expected", "asked"), NAMES)
async def test_a_name_and_its_target(name: str, default: str | None, expected: str, asked: bool) -> None:
    lists = Lists()
    targets = targets_of(lists)
    for _ in range(2):
        target = targets.known(name, default) or await targets.find(name)
        assert repr(target) == expected
        assert target.asked == name
    assert sorted(lists.asked) == (sorted(CONFIGURED) if asked else [])


@pytest.mark.parametrize(
    "name", ["never-heard-of", "cohere/command", "", "/", "/gpt-4o", "OpenAI/gpt-4o", "x" * 10_000]
)
async def test_a_name_that_nobody_knows(name: str) -> None:
    targets = targets_of(Lists())
    with pytest.raises(ModelNotFound) as caught:
        await targets.find(name)
    assert caught.value.status == 404
    assert caught.value.param == "model"
    assert "anthropic, openai, own" in caught.value.message
    assert len(caught.value.message) < 300
    with pytest.raises(InvalidField) as caught_fallback:
        await targets.find(name, "fallbacks")
    assert caught_fallback.value.status == 400
    assert caught_fallback.value.param == "fallbacks"


@pytest.mark.parametrize("param", ["model", "fallbacks"])
async def test_a_provider_without_a_model(param: str) -> None:
    with pytest.raises(InvalidField, match="missing") as caught:
        await targets_of(Lists()).find("openai/", param)
    assert caught.value.param == param


def test_what_isremembered_of_clients_names_is_bounded() -> None:
    targets = targets_of(Lists())
    for number in range(REMEMBERED_NAMES * 2 + 5):
        assert targets.known(f"openai/{number}") is targets.known(f"openai/{number}")
        assert len(targets.remembered) <= REMEMBERED_NAMES
    long = "openai/" + "m" * 1_000_000
    assert repr(targets.known(long)) == long
    assert max(len(name) for name, _ in targets.remembered) <= REMEMBERED_LENGTH


async def test_without_providers() -> None:
    with pytest.raises(ModelNotFound, match="no provider is configured"):
        await Targets([], ModelLists({}, {})).find("gpt-4o")


async def test_the_lists_are_waited_for_together(autojump_clock: trio.testing.MockClock) -> None:
    lists = Lists(slow=1.0)
    targets = targets_of(lists)
    async with trio.open_nursery() as nursery:
        for name in ["o1", "claude-2", "llama", "o1"] * 10:
            nursery.start_soon(targets.find, name)
    assert sorted(lists.asked) == sorted(CONFIGURED)
    assert trio.current_time() == pytest.approx(1.0)


async def test_a_name_leads_where_the_newest_lists_say() -> None:
    """What was resolved before a list was known is not kept once it is."""
    models = ModelLists(CONFIGURED, {name: Lists().of(name) for name in CONFIGURED})  # type: ignore[misc]
    targets = Targets(CONFIGURED, models)
    assert str(targets.known("claude-2", "openai")) == "openai/claude-2"
    await models.refresh()
    assert str(targets.known("claude-2", "openai")) == "anthropic/claude-2"
