"""Every error of the gateway, grouped by whose doing it is.

::

    GatewayError
    ├── ConfigError                     the configuration file or the command line: exit status 2
    ├── RequestError                    the client's doing: 4xx, one attempt, no fallback
    │   ├── MalformedRequest            broken HTTP; the connection closes after the answer
    │   ├── MalformedJson               400, names the byte and, where it can, the member
    │   ├── InvalidField                400, names the field
    │   ├── UnsupportedOperation        400, this provider cannot do that
    │   ├── CannotCarry                 400, the provider's language has no place for it; a fallback may
    │   ├── AuthenticationRequired      401
    │   ├── Forbidden                   403
    │   ├── RouteNotFound               404
    │   ├── ModelNotFound               404
    │   ├── MethodNotAllowed            405, carries Allow
    │   ├── RequestTimeout              408, the client stopped sending
    │   ├── BodyTooLarge                413
    │   └── UnsupportedMediaType        415
    ├── Unavailable                     the gateway's own limits
    │   ├── QueueFull                   429 with Retry-After
    │   ├── MemoryFull                  503 with Retry-After
    │   └── Draining                    503, the process is going down
    ├── ProviderError                   the provider's doing
    │   ├── ProviderAnswered            it answered, with a status that is not 2xx
    │   │   ├── RequestRefused          400, 404, 413, 422 and the other 4xx: never tried again
    │   │   ├── KeyRefused              401, 402, 403: the key is out for this call, the next one is tried
    │   │   ├── RateLimited             429: the next key at once, else Retry-After or back-off
    │   │   └── ProviderFault           5xx, 408 and 409: the same key after a back-off
    │   ├── StreamFault                 an error inside a stream that began with 200
    │   ├── KeysExhausted               502, no key is left for this call
    │   ├── NoEligibleKey               503, no key may serve this model
    │   ├── Unreachable                 502, no connection: refused, no address, TLS
    │   ├── ConnectionBroken            502, the connection ended before the answer did
    │   ├── MalformedAnswer             502, what came is not HTTP, JSON or an event stream
    │   └── ProviderTimeout             504
    │       ├── ConnectTimeout          no connection in time
    │       ├── FirstOutputTimeout      no first output in time
    │       ├── IdleTimeout             the stream stood still
    │       └── TotalTimeout            the whole answer took too long
    └── ClientLeft                      there is nobody to answer
        ├── ClientGone                  raised by Reply alone: reset, closed, hung up
        └── SlowClient                  did not read for 30 s; recorded as ``slow_client``

A class knows its HTTP ``status``, its ``type`` (the word in the client's error body), its ``kind`` (the closed
vocabulary of logs and metrics), and what may follow: ``retry`` (another attempt at the same provider) and ``fallback``
(the next target). ``ClientLeft`` is neither an ``OSError`` nor a ``ProviderError``, so that no retry, fallback or
breaker ever takes it for the provider's.
"""

from bifrost_trio.errors.client import (
    AuthenticationRequired,
    BodyTooLarge,
    CannotCarry,
    ClientGone,
    ClientLeft,
    Draining,
    Forbidden,
    InvalidField,
    MalformedJson,
    MalformedRequest,
    MemoryFull,
    MethodNotAllowed,
    ModelNotFound,
    QueueFull,
    RequestError,
    RequestTimeout,
    RouteNotFound,
    SlowClient,
    Unavailable,
    UnsupportedMediaType,
    UnsupportedOperation,
)
from bifrost_trio.errors.provider import (
    ConnectionBroken,
    ConnectTimeout,
    FirstOutputTimeout,
    IdleTimeout,
    KeyRefused,
    KeysExhausted,
    MalformedAnswer,
    NoEligibleKey,
    ProviderAnswered,
    ProviderError,
    ProviderFault,
    ProviderTimeout,
    RateLimited,
    RequestRefused,
    StreamFault,
    TotalTimeout,
    Unreachable,
)
from bifrost_trio.errors.root import ConfigError, GatewayError, Problem, Retry

__all__ = [
    "AuthenticationRequired",
    "BodyTooLarge",
    "CannotCarry",
    "ClientGone",
    "ClientLeft",
    "ConfigError",
    "ConnectTimeout",
    "ConnectionBroken",
    "Draining",
    "FirstOutputTimeout",
    "Forbidden",
    "GatewayError",
    "IdleTimeout",
    "InvalidField",
    "KeyRefused",
    "KeysExhausted",
    "MalformedAnswer",
    "MalformedJson",
    "MalformedRequest",
    "MemoryFull",
    "MethodNotAllowed",
    "ModelNotFound",
    "NoEligibleKey",
    "Problem",
    "ProviderAnswered",
    "ProviderError",
    "ProviderFault",
    "ProviderTimeout",
    "QueueFull",
    "RateLimited",
    "RequestError",
    "RequestRefused",
    "RequestTimeout",
    "Retry",
    "RouteNotFound",
    "SlowClient",
    "StreamFault",
    "TotalTimeout",
    "Unavailable",
    "Unreachable",
    "UnsupportedMediaType",
    "UnsupportedOperation",
]
