"""The workers station: for each provider its pool of workers, its keys, and the loop of attempts.

| file | what |
|---|---|
| `pool` | a memory channel of idle workers: N at work, a bounded number waiting |
| `keys` | which key may serve a model, and which of them is taken |
| `attempts` | one provider's attempts at a call: retries, back-off |
| `rotation` | the keys of one call after a failure: tried, out, to be left alone until their Retry-After |
| `building` | the three of them from the configuration |
| `station` | the station: a call goes to the workers of its target's provider |
"""

from bifrost_trio.workers.attempts import Attempts, RetryPolicy
from bifrost_trio.workers.building import build_attempts, configured_models
from bifrost_trio.workers.keys import Key, Keys
from bifrost_trio.workers.pool import Worker, WorkerPool, WorkerPoolStatistics
from bifrost_trio.workers.station import Workers

__all__ = [
    "Attempts",
    "Key",
    "Keys",
    "RetryPolicy",
    "Worker",
    "WorkerPool",
    "WorkerPoolStatistics",
    "Workers",
    "build_attempts",
    "configured_models",
]
