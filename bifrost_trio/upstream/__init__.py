"""Connections to providers: keep-alive, TLS, names, time limits by phase. Knows nothing of JSON.

| file | what |
|---|---|
| `connection` | one connection: an exchange, the body of its answer |
| `pool` | the idle connections of one provider; lends, makes, takes back |
| `resolve` | host names to addresses, in threads, cached, once at a time |
"""

from bifrost_trio.upstream.connection import Connection, TimeLimits
from bifrost_trio.upstream.pool import Dial, Origin, Pool, PoolStatistics, direct_dial
from bifrost_trio.upstream.resolve import Resolver

__all__ = ["Connection", "Dial", "Origin", "Pool", "PoolStatistics", "Resolver", "TimeLimits", "direct_dial"]
