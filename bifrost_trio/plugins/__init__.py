"""The plugins station: hooks around each target's attempt, run in order before it and in reverse order after it.

| file | what |
|---|---|
| `plugin` | what a plugin is: `Plugin`, `Answer` |
| `chain` | the station: the hooks that are defined, compiled once |
| `answers` | replies that let hooks see and change answers and chunks |
| `replay` | a whole answer as the stream that it would have come in |
| `loading` | ``"module:Class"`` from the configuration to a plugin |
| `mocker` | a built-in plugin: answers by rule, without a provider |
| `mocker_settings` | its rules, read from the configuration |
"""

from bifrost_trio.plugins.chain import Plugins, PluginStatistics
from bifrost_trio.plugins.loading import load_plugins
from bifrost_trio.plugins.plugin import Answer, Plugin

__all__ = ["Answer", "Plugin", "PluginStatistics", "Plugins", "load_plugins"]
