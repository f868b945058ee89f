"""What ``bifrost-trio serve`` runs: the gateway behind listening sockets, in one process or in several.

| file | what |
|---|---|
| `command` | `serve`: from a configuration to an exit status |
| `settings` | the configuration as a process needs it: read, checked, compared with the one before |
| `process` | one process: a gateway and its server; draining, reloading |
| `obeying` | signals and what they mean |
| `alone` | one process that obeys signals |
| `many` | the supervisor of several, which obeys signals |
| `orders` | what a worker is told about how to serve |
| `worker` | one of several, which obeys its supervisor: ``python -m bifrost_trio.serving.worker`` |

SIGTERM and SIGINT drain: calls in flight finish, within ``server.drain_timeout_in_seconds``; a second one ends at once.
SIGHUP reads the configuration file again; one that is broken is reported with every problem and changes nothing.
"""

from bifrost_trio.serving.command import serve
from bifrost_trio.serving.settings import Listening

__all__ = ["Listening", "serve"]
