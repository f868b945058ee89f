"""Which key serves a call: by weight and chance, by allow list, by the caller's wish."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from bifrost_trio.config import KeyConfig
from bifrost_trio.errors import Forbidden, GatewayError, InvalidField, NoEligibleKey
from bifrost_trio.types import Options
from bifrost_trio.workers import Key, Keys
from bifrost_trio.workers.keys import REMEMBERED_LENGTH, REMEMBERED_MODELS

SECRET = "sk-canary-0123456789"


def weighted(weights: Iterable[float], chance: Callable[[], float] = random.random, *, direct: bool = False) -> Keys:
    """Keys a, b, c … of these weights."""
    named = zip("abcdefgh", weights, strict=False)
    keys = [Key(name, f"{SECRET}-{name}", id=f"id-{name}", weight=weight) for name, weight in named]
    return Keys("openai", keys, direct=direct, chance=chance)


def chosen(keys: Keys, spent: Iterable[str] = (), options: Options | None = None, model: str = "m") -> str | None:
    key = keys.choose(model, options, set(spent))
    return key.name if key is not None else None


# Weights, the point between 0 and 1, keys spent, the key that is chosen.
DRAWS: list[tuple[list[float], float, str, str | None]] = [
    ([1], 0.99, "", "a"),
    ([1], 0.0, "a", None),
    ([1, 1], 0.0, "", "a"),
    ([1, 1], 0.499, "", "a"),
    ([1, 1], 0.5, "", "b"),
    ([1, 1], 0.999999, "", "b"),
    ([0.7, 0.2, 0.1], 0.69, "", "a"),
    ([0.7, 0.2, 0.1], 0.71, "", "b"),
    ([0.7, 0.2, 0.1], 0.95, "", "c"),
    ([0.7, 0.2, 0.1], 0.6, "a", "b"),
    ([0.7, 0.2, 0.1], 0.7, "a", "c"),
    ([0.7, 0.2, 0.1], 0.0, "ab", "c"),
    ([0.7, 0.2, 0.1], 0.5, "abc", None),
    ([1000, 1], 0.9989, "", "a"),
    ([1000, 1], 0.9991, "", "b"),
    # A weight of 0 keeps a key in reserve.
    ([0, 1], 0.0, "", "b"),
    ([1, 0], 0.999999, "", "a"),
    ([0, 1, 1], 0.4, "", "b"),
    ([0, 1, 1], 0.4, "b", "c"),
    ([0, 1, 1], 0.4, "bc", "a"),
    ([0, 1, 1], 0.4, "abc", None),
    ([0], 0.5, "", "a"),
    ([0, 0], 0.49, "", "a"),
    ([0, 0], 0.5, "", "b"),
    ([0, 0], 0.0, "a", "b"),
]


@pytest.mark.parametrize(("weights", "point", "spent", "expected"), DRAWS)
def test_the_draw(weights: list[float], point: float, spent: str, expected: str | None) -> None:
    assert chosen(weighted(weights, lambda: point), spent) == expected


def test_shares_follow_the_weights() -> None:
    chance = random.Random(1)
    keys = weighted([5, 3, 2, 0], chance.random)
    shares = Counter(chosen(keys) for _ in range(20_000))
    assert shares.keys() == {"a", "b", "c"}
    for name, share in (("a", 0.5), ("b", 0.3), ("c", 0.2)):
        assert shares[name] / 20_000 == pytest.approx(share, abs=0.015)


# What a key's entry says, and the models that it serves.
LISTS = [
    ({"models": ["*"]}, {"x": True, "y": True}),
    ({"models": []}, {"x": False}),
    ({"models": ["x"]}, {"x": True, "y": False, "X": False, "x2": False}),
    ({"models": ["*"], "blacklisted_models": ["y"]}, {"x": True, "y": False}),
    ({"models": ["x"], "blacklisted_models": ["x"]}, {"x": False}),
    ({"models": ["x"], "blacklisted_models": ["*"]}, {"x": False}),
    ({"models": ["x"], "aliases": {"fast": "x"}}, {"fast": True, "x": True, "slow": False}),
    ({"models": ["fast"], "aliases": {"fast": "x"}}, {"fast": True, "x": False}),
    ({"models": ["*"], "aliases": {"fast": "x"}, "blacklisted_models": ["x"]}, {"fast": False, "y": True}),
]


@pytest.mark.parametrize(("entry", "expected"), LISTS)
def test_allow_and_deny_lists(entry: dict[str, object], expected: dict[str, bool]) -> None:
    config = KeyConfig.model_validate({"name": "a", "value": SECRET, **entry})
    keys = Keys("openai", [Key("a", SECRET, allows=config.allows)])
    for model, served in expected.items():
        if served:
            assert chosen(keys, model=model) == "a"
        else:
            with pytest.raises(NoEligibleKey) as caught:
                keys.choose(model)
            assert (caught.value.status, caught.value.param, caught.value.code) == (503, "model", "no_eligible_keys")
            assert repr(model) in caught.value.message


def test_each_model_has_its_own_keys() -> None:
    keys = Keys("p", [Key("a", "1", allows="x".__eq__), Key("b", "2", allows=lambda model: model in "xy")])
    for _ in range(2):  # looked up, then remembered
        assert chosen(keys, spent="a", model="x") == "b"
        assert chosen(keys, model="y") == "b"
        assert chosen(keys, spent="b", model="y") is None
    assert keys.models_allowed(["z", "y", "x"]) == ["y", "x"]


def test_no_keys_at_all() -> None:
    with pytest.raises(NoEligibleKey):
        Keys("p", []).choose("m")


def wish(**wanted: str) -> Options:
    options = Options()
    for name, value in wanted.items():
        setattr(options, name, value)
    return options


WISHES: list[tuple[Options, str]] = [
    (wish(key_name="b"), "b"),
    (wish(key_id="id-b"), "b"),
    (wish(key_id="id-b", key_name="a"), "b"),
    (wish(key_name="c"), "c"),
    (wish(), "a"),
]


@pytest.mark.parametrize(("options", "expected"), WISHES)
def test_a_caller_pins_a_key(options: Options, expected: str) -> None:
    keys = weighted([1, 1, 0], lambda: 0.0)
    assert chosen(keys, options=options) == expected
    assert chosen(keys, spent=expected, options=options) == ("b" if expected == "a" else None)


@pytest.mark.parametrize(
    ("options", "error", "param"),
    [
        (wish(key_name="nobody"), InvalidField, "x-bf-api-key"),
        (wish(key_id="b"), InvalidField, "x-bf-api-key-id"),
        (wish(key_name="id-b"), InvalidField, "x-bf-api-key"),
        (wish(direct_key=SECRET), Forbidden, "x-bf-direct-key"),
    ],
)
def test_a_wish_that_is_not_granted(options: Options, error: type[GatewayError], param: str) -> None:
    with pytest.raises(error) as caught:
        weighted([1, 1]).choose("m", options)
    assert caught.value.param == param
    assert caught.value.status in (400, 403)
    assert SECRET not in str(caught.value)


def test_a_callers_own_key_where_it_is_allowed() -> None:
    keys = weighted([1], direct=True)
    options = wish(direct_key="sk-of-the-caller", key_name="a")
    key = keys.choose("whatever", options)
    assert key is not None
    assert (key.name, key.value) == ("direct", "sk-of-the-caller")
    assert chosen(keys, spent=["direct"], options=options) is None


def test_a_callers_own_key_needs_no_configured_one() -> None:
    assert chosen(Keys("p", [], direct=True), options=wish(direct_key="sk")) == "direct"


def test_a_key_is_not_shown() -> None:
    key = Key("main", SECRET, id="7")
    assert repr(key) == "<Key main>"
    assert SECRET not in f"{key} {key!r}"


def test_what_is_remembered_of_clients_names_is_bounded() -> None:
    asked: list[str] = []

    def allows(model: str) -> bool:
        asked.append(model)
        return True

    keys = Keys("p", [Key("a", SECRET, allows=allows)])
    for number in range(REMEMBERED_MODELS * 3):
        keys.choose(f"model-{number}")
        assert len(keys._eligible) <= REMEMBERED_MODELS
    asked.clear()
    keys.choose(f"model-{REMEMBERED_MODELS * 3 - 1}")
    assert asked == []
    for _ in range(2):
        keys.choose("m" * (REMEMBERED_LENGTH + 1))
    assert len(asked) == 2
    assert max(map(len, keys._eligible)) <= REMEMBERED_LENGTH


def test_a_long_name_is_not_repeated_whole() -> None:
    with pytest.raises(NoEligibleKey) as caught:
        Keys("p", [Key("a", SECRET, allows=lambda model: False)]).choose("m" * 1_000_000)
    assert len(caught.value.message) < 1000


def test_a_pinned_key_serves_no_model_that_it_may_not() -> None:
    options = Options()
    options.key_name = "small"
    keys = Keys("openai", [Key("small", "sk-1", allows=lambda model: model == "mini"), Key("all", "sk-2")])
    assert keys.choose("mini", options) is keys.keys[0]
    with pytest.raises(InvalidField, match="may not serve") as raised:
        keys.choose("large", options)
    assert raised.value.param == "x-bf-api-key"
