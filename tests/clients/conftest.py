"""What the tests with the real SDKs share: the recordings, and the count of what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bifrost_trio.testing import ScriptedUpstream
from tests.clients.recorded import SETTINGS, Recording, read_recordings
from tests.clients.running import MANNERS, Manner, Scene, gateway_on_a_port, open_sdk

TALLY = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="session")
def recordings(shared_data: Path) -> dict[str, list[Recording]]:
    """By kind."""
    return read_recordings(shared_data / "recordings")


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Counter[str]:
    """What became of the recordings, a line each; printed behind the tests."""
    return pytestconfig.stash.setdefault(TALLY, Counter())


@pytest.fixture(params=MANNERS)
def manner(request: pytest.FixtureRequest) -> Manner:
    """Sync and async."""
    found: Manner = request.param
    return found


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    """Whose language the provider speaks."""
    found: str = request.param
    return found


@pytest.fixture
async def scene(provider: str, manner: Manner) -> AsyncIterator[Scene]:
    """An SDK, a gateway and a mock provider; at the end the gateway has everything back."""
    async with gateway_on_a_port(ScriptedUpstream(), SETTINGS) as served:
        async with open_sdk(served.url, manner) as sdk:
            yield Scene(sdk, served, provider)
        await served.memory.quiet()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = config.stash.get(TALLY, None)
    if counts:
        terminalreporter.section("recordings")
        for what, count in sorted(counts.items()):
            terminalreporter.line(f"{count:5} {what}")
