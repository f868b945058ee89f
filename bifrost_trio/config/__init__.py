"""The configuration: one JSON file with Bifrost's names, read strictly.

`load` gives a frozen `Config` or raises ConfigError with every problem at once; `check` gives the problems alone;
`schema` is the file's JSON Schema. ``env.NAME`` stands for an environment variable wherever a secret, a URL or a
header's value is expected. Member names are in `models`, `client`, `providers` and `server`.
"""

from bifrost_trio.config.client import ClientConfig, HeaderFilterConfig
from bifrost_trio.config.load import check, format_problems, load
from bifrost_trio.config.models import Config, PluginConfig
from bifrost_trio.config.providers import (
    AliasTarget,
    ConcurrencyConfig,
    CustomProviderConfig,
    KeyConfig,
    NetworkConfig,
    OpenAIConfig,
    ProviderConfig,
    ProxyConfig,
)
from bifrost_trio.config.schema import schema
from bifrost_trio.config.secret import Secret
from bifrost_trio.config.server import ServerConfig

__all__ = [
    "AliasTarget",
    "ClientConfig",
    "ConcurrencyConfig",
    "Config",
    "CustomProviderConfig",
    "HeaderFilterConfig",
    "KeyConfig",
    "NetworkConfig",
    "OpenAIConfig",
    "PluginConfig",
    "ProviderConfig",
    "ProxyConfig",
    "Secret",
    "ServerConfig",
    "check",
    "format_problems",
    "load",
    "schema",
]
