"""The words that every station speaks. Nothing here does anything.

One client request is one `Call`. It goes down the path as ``await station(call, reply)``; what comes back goes into
``reply``, and what became of it is written, as facts arrive, into ``call.outcome``.

| file | what |
|---|---|
| `facts` | records of what is known of a call |
| `protocols` | requests, bodies, sinks, replies, formats |
| `call` | the call itself, and the shape of a station |
"""

from bifrost_trio._wire import Usage
from bifrost_trio.types.call import Call, Station
from bifrost_trio.types.facts import (
    MAX_DECODED,
    Attempt,
    Clock,
    Headers,
    JsonObject,
    Operation,
    Options,
    Outcome,
    State,
    Target,
    WholeAnswer,
)
from bifrost_trio.types.protocols import Body, Format, Reply, Request, Sink, StreamDecoder, StreamEncoder

__all__ = [
    "MAX_DECODED",
    "Attempt",
    "Body",
    "Call",
    "Clock",
    "Format",
    "Headers",
    "JsonObject",
    "Operation",
    "Options",
    "Outcome",
    "Reply",
    "Request",
    "Sink",
    "State",
    "Station",
    "StreamDecoder",
    "StreamEncoder",
    "Target",
    "Usage",
    "WholeAnswer",
]
