"""From the configuration's ``plugins`` to plugins in their order, and what it says where that cannot be."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bifrost_trio.config import PluginConfig
from bifrost_trio.errors import ConfigError
from bifrost_trio.plugins import load_plugins

MODULE = '''
from bifrost_trio.plugins import Plugin

class Plain(Plugin):
    """Takes no settings."""

    def before(self, call):
        return None

class Misspelled(Plugin):
    def befor(self, call):
        return None

class Limited(Plain):
    def __init__(self, settings):
        self.limit = settings.pop("limit", 1)
        if self.limit < 0:
            raise ValueError('"limit" must not be negative')
        super().__init__(settings)

class Broken(Plain):
    def __init__(self, settings):
        super().__init__({})
        self.token = settings["token"]

class NoSettings(Plain):
    def __init__(self):
        pass

class Waits(Plugin):
    async def chunk(self, call, chunk):
        return chunk

class Stranger:
    pass

thing = Plain
number = 7
'''


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_users_plugins.py").write_text(MODULE)
    (tmp_path / "with_a_slip.py").write_text("class Half(:\n")
    (tmp_path / "with_a_bug.py").write_text("1 / 0\n")
    (tmp_path / "wants_more.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("a_users_plugins", "with_a_slip", "with_a_bug", "wants_more"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@dataclass
class Entry:
    """One of the configuration's ``plugins``."""

    name: str = "mine"
    path: str = "a_users_plugins:Plain"
    config: dict[str, Any] = field(default_factory=dict)
    enabled: bool = True
    placement: str = "post_builtin"
    order: int = 0


def names(*entries: Entry) -> list[str]:
    return [plugin.name for plugin in load_plugins(entries)]


def test_a_plugin_gets_its_name_and_its_settings() -> None:
    [plugin] = load_plugins([PluginConfig(name="mine", path="a_users_plugins:Limited", config={"limit": 3})])
    assert plugin.name == "mine"
    assert plugin.limit == 3  # type: ignore[attr-defined]


def test_one_that_is_built_in_needs_no_path() -> None:
    [plugin] = load_plugins([Entry("mocker", path="", config={})])
    assert type(plugin).__module__.startswith("bifrost_trio.plugins")


ORDERS: dict[str, tuple[list[Entry], str]] = {
    "as they stand": ([Entry("a"), Entry("b"), Entry("c")], "a b c"),
    "by order": ([Entry("a", order=2), Entry("b", order=-1), Entry("c")], "b c a"),
    "by placement": (
        [Entry("a"), Entry("b", placement="builtin"), Entry("c", placement="pre_builtin")],
        "c b a",
    ),
    "placement before order": ([Entry("a", order=-9), Entry("b", placement="pre_builtin", order=9)], "b a"),
    "equal order as they stand": ([Entry("a", order=1), Entry("b", order=1), Entry("c", order=0)], "c a b"),
    "built-in ones stand in the middle": (
        [Entry("a"), Entry("mocker", path="", placement="post_builtin", order=99), Entry("b", placement="pre_builtin")],
        "b mocker a",
    ),
    "disabled ones are left out": ([Entry("a", enabled=False, path="nowhere:No"), Entry("b")], "b"),
    "none": ([], ""),
}


@pytest.mark.parametrize(("entries", "expected"), ORDERS.values(), ids=ORDERS)
def test_the_order(entries: list[Entry], expected: str) -> None:
    assert " ".join(names(*entries)) == expected


PROBLEMS: dict[str, tuple[Entry, str, str]] = {
    "no path": (Entry("mine", path=""), "path", "'mine' is no built-in plugin"),
    "no colon": (Entry(path="a_users_plugins.Plain"), "path", 'expected "module:Class"'),
    "no class": (Entry(path="a_users_plugins:"), "path", 'expected "module:Class"'),
    "no module": (Entry(path=":Plain"), "path", 'expected "module:Class"'),
    "an unknown module": (Entry(path="not_there:Plain"), "path", "'not_there' cannot be imported"),
    "an unknown package": (Entry(path="not_there.at_all:Plain"), "path", "cannot be imported"),
    "a module that wants another": (Entry(path="wants_more:Plain"), "path", "a_module_that_is_not_there"),
    "a module with a slip": (Entry(path="with_a_slip:Half"), "path", "SyntaxError"),
    "a module with a bug": (Entry(path="with_a_bug:Half"), "path", "ZeroDivisionError"),
    "an unknown class": (Entry(path="a_users_plugins:Plane"), "path", "is not a class derived from"),
    "another class": (Entry(path="a_users_plugins:Stranger"), "path", "is not a class derived from"),
    "no class at all": (Entry(path="a_users_plugins:number"), "path", "is not a class derived from"),
    "a chunk hook that waits": (Entry(path="a_users_plugins:Waits"), "path", '"chunk" must be "def"'),
    "none of the hooks": (Entry(path="a_users_plugins:Misspelled"), "path", "defines none of before, after, chunk"),
    "settings for one that takes none": (Entry(config={"b": 1, "a": 2}), "config", "takes no settings, but got a, b"),
    "a setting that is refused": (
        Entry(path="a_users_plugins:Limited", config={"limit": -1}),
        "config",
        '"limit" must',
    ),
    "a setting too many": (Entry(path="a_users_plugins:Limited", config={"limt": 1}), "config", "limt"),
    "a setting that is missing": (Entry(path="a_users_plugins:Broken"), "config", "KeyError: 'token'"),
    "one that wants none": (Entry(path="a_users_plugins:NoSettings"), "config", "TypeError"),
}


@pytest.mark.parametrize(("entry", "member", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_plugin_that_cannot_be_had(entry: Entry, member: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_plugins([Entry(), entry])
    [problem] = caught.value.problems
    assert problem.path == f"plugins[1].{member}"
    assert message in problem.message


def test_every_problem_is_told() -> None:
    entries = [Entry("a", path="not_there:A"), Entry("b"), Entry("c", config={"x": 1}), Entry("d", path="")]
    with pytest.raises(ConfigError) as caught:
        load_plugins(entries)
    assert [problem.path for problem in caught.value.problems] == [
        "plugins[0].path",
        "plugins[2].config",
        "plugins[3].path",
    ]


def test_settings_stay_the_configurations_own() -> None:
    entry = Entry(path="a_users_plugins:Limited", config={"limit": 3})
    load_plugins([entry])
    assert entry.config == {"limit": 3}
