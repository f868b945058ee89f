"""The router station: a model name becomes targets, tried in order while nothing is committed.

| file | what |
|---|---|
| `targets` | ``provider/model``, aliases and bare names to an ordered list of targets |
| `models` | which provider offers which model: what the configuration and the providers' own lists say |
| `fallback` | the station: one target after another |
"""

from bifrost_trio.router.fallback import Router
from bifrost_trio.router.models import ListedModel, ModelList, ModelLists
from bifrost_trio.router.targets import Targets

__all__ = ["ListedModel", "ModelList", "ModelLists", "Router", "Targets"]
