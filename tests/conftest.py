"""What every test has: the shared data, a limit of real time, repeatable random examples."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import hypothesis
import pytest
import trio

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
OVERDUE = pytest.StashKey[list[str]]()
GRACE = 3.0
"""Seconds that an overdue test has for its clean-up before it is broken off where it stands."""

hypothesis.settings.register_profile("desk", deadline=None)
hypothesis.settings.register_profile("gate", deadline=None, derandomize=True)
hypothesis.settings.load_profile("gate" if os.environ.get("CI") else "desk")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded traffic and public test vectors; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared test data is not beside the repository (../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's own folder: for tests that read its files. What is installed is found by importing it."""
    return ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what is marked ``recordings`` where there are none."""
    if SHARED_DATA.is_dir():
        return
    absent = pytest.mark.skip(reason="the shared test data is not beside the repository (../shared/data)")
    for item in items:
        if item.get_closest_marker("recordings"):
            item.add_marker(absent)


# --- the limit of real time -------------------------------------------------------------------------------------------
# pytest-timeout raises inside whatever runs when the time is up. In a test that hangs that is Trio's own loop, which
# does not survive it. So a Trio run is cancelled from within instead, and the test fails with the places where its
# tasks stood; only one that does not react to that (a busy loop) is broken off.


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: object) -> bool:
    limit: float = settings.timeout  # type: ignore[attr-defined]

    def overdue(signum: int, frame: FrameType | None) -> None:
        if OVERDUE not in item.stash and trio.lowlevel.in_trio_run():
            item.stash[OVERDUE] = []
            signal.setitimer(signal.ITIMER_REAL, GRACE)
            trio.lowlevel.current_trio_token().run_sync_soon(_cancel_run, item.stash[OVERDUE])
        else:
            pytest.fail(f"took more than {limit:g} s of real time")  # ends a busy loop just where it runs

    signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, limit)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    try:
        return (yield)
    finally:
        if OVERDUE in item.stash:
            places = item.stash[OVERDUE]
            pytest.fail("\n".join(["took too much real time; its tasks stood at", *places]), pytrace=False)


def _cancel_run(places: list[str]) -> None:
    """Notes where every task of the running test stands, then cancels them all."""
    root = trio.lowlevel.current_root_task()
    if root is not None:
        tests_own = root.child_nurseries[-1]  # the one before is Trio's, for run_sync_soon
        places += _places(tests_own)
        tests_own.cancel_scope.cancel()


def _places(nursery: trio.Nursery) -> Iterator[str]:
    for task in nursery.child_tasks:
        frames = [(f.f_code.co_filename, line, f.f_code.co_name) for f, line in task.iter_await_frames()]
        own = [frame for frame in frames if "site-packages/trio/" not in frame[0]]
        path, line, function = (own or frames)[-1]
        yield f"  {task.name}: {path}:{line} in {function}"
        for inner in task.child_nurseries:
            yield from _places(inner)
