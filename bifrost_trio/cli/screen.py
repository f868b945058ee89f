"""What is told when the gateway accepts: for a person, or as one line of JSON. Never a key, not even a part of one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bifrost_trio import __version__
from bifrost_trio.cli.output import Style
from bifrost_trio.cli.source import key_sources, title
from bifrost_trio.config import Config, ProviderConfig

__all__ = ["Facts", "screen", "started"]

WIDTH = 15


@dataclass(frozen=True, slots=True)
class Facts:
    """What runs: on which URLs, in how many processes, with which configuration (``content``: as the file has it)."""

    urls: Sequence[str]
    workers: int
    config: Config
    path: Path | None
    content: Mapping[str, Any] | None
    demo: bool = False
    """Whether the providers are played by this process."""

    @property
    def plugins(self) -> list[str]:
        return [plugin.name for plugin in self.config.plugins if plugin.enabled]

    @property
    def source(self) -> str:
        return "demo" if self.demo else title(self.path)

    def sources(self, provider: ProviderConfig) -> list[str]:
        return key_sources(provider, self.content, self.path)


def started(facts: Facts) -> str:
    """One line for machines; ``providers`` has the number of keys of each."""
    providers = {name: len(facts.sources(provider)) for name, provider in facts.config.providers.items()}
    return json.dumps(
        {
            "event": "started",
            "version": __version__,
            "urls": list(facts.urls),
            "workers": facts.workers,
            "config": facts.source,
            "providers": providers,
            "plugins": facts.plugins,
        }
    )


def screen(facts: Facts, style: Style) -> str:
    """A page for people."""
    processes = "1 process" if facts.workers == 1 else f"{facts.workers} processes"
    where = ", ".join(map(style.link, facts.urls))
    lines = [f"{style.strong(f'bifrost-trio {__version__}')} on {where} {style.quiet(f'({processes})')}", ""]
    lines += _listed("providers", _providers(facts), style)
    lines += _listed("plugins", [", ".join(facts.plugins)] if facts.plugins else [], style)
    lines += _listed("configuration", [facts.source], style)
    return "\n".join([*lines, "", *_addresses(facts.urls[0], style), ""])


def _providers(facts: Facts) -> list[str]:
    found = facts.config.providers
    width = max(map(len, found), default=0)
    if facts.demo:
        return [f"{name:{width}}  played by this process: it repeats what it is told" for name in found]
    return [f"{name:{width}}  {_told(provider, facts.sources(provider))}" for name, provider in found.items()]


def _told(provider: ProviderConfig, sources: list[str]) -> str:
    keys = f"{len(sources)} key{'' if len(sources) == 1 else 's'}"
    told = f"{keys} from {', '.join(dict.fromkeys(sources))}" if sources else "no key"
    # The address alone, and only if it is not the usual one: a path or a query may hold what is nobody's business.
    address = provider.network_config.base_url
    return f"{told}, at {urlsplit(address).hostname}" if address and address != provider.row.base_url else told


def _addresses(url: str, style: Style) -> list[str]:
    bases = {
        "OpenAI SDK": f'base_url="{style.link(f"{url}/openai/v1")}"',
        "Anthropic SDK": f'base_url="{style.link(f"{url}/anthropic")}"',
        "Bifrost's API": f"{style.link(f'{url}/v1')}, models as provider/model",
        "to watch it": f"{style.link(f'{url}/health')}, {style.link(f'{url}/metrics')}",
    }
    return [f"  {style.quiet(f'{name:{WIDTH}}')}{base}" for name, base in bases.items()]


def _listed(name: str, values: list[str], style: Style) -> list[str]:
    heads = [name, *[""] * len(values)]
    return [f"  {style.quiet(f'{head:{WIDTH}}')}{value}" for head, value in zip(heads, values, strict=False)]
