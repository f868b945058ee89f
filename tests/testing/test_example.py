"""The example of the testing kit does what it says."""

from __future__ import annotations

import importlib.util
import textwrap
from pathlib import Path
from types import ModuleType

import trio.testing

import bifrost_trio.testing


def example(folder: Path) -> ModuleType:
    """The indented block of the docstring, as a module."""
    assert bifrost_trio.testing.__doc__
    block = bifrost_trio.testing.__doc__.partition("::\n\n")[2].partition("\n| what")[0]
    file = folder / "example.py"
    file.write_text(textwrap.dedent(block), "utf-8")
    spec = importlib.util.spec_from_file_location("example", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_example_of_the_documentation(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    await example(tmp_path).test_polite(autojump_clock)
