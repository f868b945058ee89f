"""Every error of the gateway, grouped by whose doing it is.

::

    GatewayError
    ├── ConfigError                     the configuration file or the command line: exit status 2
    ├── RequestError                    the client's doing: 4xx, one attempt, no fallback
    │   ├── MalformedRequest            broken HTTP; the connection closes after the answer
    │   ├── MalformedJson               400, names the byte and, where it can, the member
    │   ├── InvalidField                400, names the field
    │   ├── UnsupportedOperation        400, this provider cannot do that
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
    │   │   └── ProviderFault           5xx, 408 and 529: the same key after a back-off
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

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "AuthenticationRequired",
    "BodyTooLarge",
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


class Retry(enum.Enum):
    """What another attempt at the same provider may do after an error."""

    NEVER = "never"
    SAME_KEY = "same_key"
    """After a back-off, with the key that was used."""
    NEXT_KEY = "next_key"
    """At once with another key; with none left, after Retry-After or a back-off."""
    WITHOUT_KEY = "without_key"
    """At once with another key; the one that was used is out for this call."""


class GatewayError(Exception):
    """The root: ``message`` is one sentence for a client, without keys, paths or tracebacks.

    ``param`` names the field of the request that is at fault, ``code`` is a stable word for programs,
    ``retry_after`` is in seconds.
    """

    status: int = 500
    type: str = "internal_error"
    kind: ClassVar[str] = "gateway_internal"
    retry: ClassVar[Retry] = Retry.NEVER
    fallback: ClassVar[bool] = False

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after


class Problem:
    """One thing wrong in a configuration: where it stands and, where one is near, the name that was meant."""

    __slots__ = ("column", "hint", "line", "message", "path")

    def __init__(self, message: str, path: str, line: int = 0, column: int = 0, hint: str | None = None) -> None:
        self.message = message
        self.path = path
        self.line = line
        self.column = column
        self.hint = hint

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        hint = f" (did you mean {self.hint!r}?)" if self.hint else ""
        return f"{place}{self.path}: {self.message}{hint}"


class ConfigError(GatewayError):
    """The configuration cannot be used; ``problems`` holds every one that was found, in the order of the file."""

    kind = "configuration"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


# --- the client's doing -----------------------------------------------------------------------------------------------


class RequestError(GatewayError):
    status = 400
    type = "invalid_request_error"
    kind = "caller_invalid_request"


class MalformedRequest(RequestError):
    """Broken HTTP (RFC 9112). ``status`` is the one to answer with: 400, 413, 414, 417, 431, 501 or 505."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message, code="malformed_request")
        self.status = status


class MalformedJson(RequestError):
    """The body is not one JSON object that every reader reads alike (RFC 8259).

    ``param`` names the member, when one is at fault.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message, param=param, code="invalid_json")


class InvalidField(RequestError):
    """A field is missing, has the wrong type, or a value that cannot be served."""

    def __init__(self, message: str, param: str, code: str = "invalid_parameter") -> None:
        super().__init__(message, param=param, code=code)


class UnsupportedOperation(RequestError):
    """The provider that the model names has no such operation."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message, param=param, code="unsupported_operation")


class AuthenticationRequired(RequestError):
    status = 401
    type = "authentication_error"
    kind = "policy_access_denied"


class Forbidden(RequestError):
    status = 403
    type = "permission_error"
    kind = "policy_access_denied"


class RouteNotFound(RequestError):
    status = 404
    type = "not_found_error"


class ModelNotFound(RequestError):
    status = 404
    type = "not_found_error"
    kind = "caller_model_unknown"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="model", code="model_not_found")


class MethodNotAllowed(RequestError):
    """The route exists, for the methods in ``allow``."""

    status = 405

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message, code="method_not_allowed")
        self.allow = allow


class RequestTimeout(RequestError):
    status = 408
    type = "timeout_error"


class BodyTooLarge(RequestError):
    status = 413
    type = "request_too_large"


class UnsupportedMediaType(RequestError):
    status = 415


# --- the gateway's own limits -----------------------------------------------------------------------------------------


class Unavailable(GatewayError):
    status = 503
    type = "overloaded_error"
    kind = "gateway_dropped"


class QueueFull(Unavailable):
    """A provider's waiting room is full; another provider may have room, so a fallback may follow."""

    status = 429
    fallback = True


class MemoryFull(Unavailable):
    """The bodies in flight have used up their share of memory."""


class Draining(Unavailable):
    """This process is going down and takes no new calls."""


# --- the provider's doing ---------------------------------------------------------------------------------------------


class ProviderError(GatewayError):
    """``provider`` is filled in by the station that knows it."""

    status = 502
    type = "provider_error"
    kind = "provider_server_error"
    fallback = True
    provider: str = ""


class ProviderAnswered(ProviderError):
    """The provider answered with an error of its own.

    ``status`` is the provider's, ``body`` and ``content_type`` are what it sent, unchanged; ``message``, ``type`` and
    ``code`` are read from the body by the provider's format.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        body: bytes = b"",
        content_type: bytes = b"application/json",
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, param=param, code=code, retry_after=retry_after)
        self.status = status
        self.body = body
        self.content_type = content_type
        if type is not None:
            self.type = type


class RequestRefused(ProviderAnswered):
    type = "invalid_request_error"
    kind = "caller_invalid_request"
    fallback = False


class KeyRefused(ProviderAnswered):
    type = "authentication_error"
    kind = "provider_auth_failed"
    retry = Retry.WITHOUT_KEY


class RateLimited(ProviderAnswered):
    type = "rate_limit_error"
    kind = "provider_rate_limited"
    retry = Retry.NEXT_KEY


class ProviderFault(ProviderAnswered):
    retry = Retry.SAME_KEY


class StreamFault(ProviderError):
    """An error frame inside a stream that began with 200. ``frame`` is its JSON, as the provider sent it.

    ``told``: the client has it already, as the provider said it. ``status`` is the true one where the frame tells it (an overloaded Anthropic says 529), else 502.
    """

    retry = Retry.SAME_KEY

    def __init__(
        self, message: str, *, frame: bytes = b"", status: int = 502, type: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.frame = frame
        self.told = False
        self.status = status
        if type is not None:
            self.type = type


class KeysExhausted(ProviderError):
    """Every key that may serve the model was refused by the provider."""

    kind = "provider_credentials_exhausted"

    def __init__(self, message: str) -> None:
        super().__init__(message, code="upstream_credentials_exhausted")


class NoEligibleKey(ProviderError):
    """The configuration has no key of this provider that may serve the model."""

    status = 503
    kind = "caller_model_not_available"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="model", code="no_eligible_keys")


class Unreachable(ProviderError):
    kind = "provider_connection_failed"
    retry = Retry.SAME_KEY


class ConnectionBroken(ProviderError):
    kind = "provider_connection_failed"
    retry = Retry.SAME_KEY


class MalformedAnswer(ProviderError):
    retry = Retry.SAME_KEY


class ProviderTimeout(ProviderError):
    status = 504
    type = "timeout_error"
    kind = "provider_timeout"
    retry = Retry.SAME_KEY


class ConnectTimeout(ProviderTimeout):
    pass


class FirstOutputTimeout(ProviderTimeout):
    pass


class IdleTimeout(ProviderTimeout):
    pass


class TotalTimeout(ProviderTimeout):
    retry = Retry.NEVER


# --- nobody to answer -------------------------------------------------------------------------------------------------


class ClientLeft(GatewayError):
    status = 499
    type = "client_closed_request"
    kind = "caller_cancelled"


class ClientGone(ClientLeft):
    """The client reset, closed or hung up. Raised by Reply and by the reading of a request body, nowhere else."""


class SlowClient(ClientLeft):
    """The client took nothing for the time that a write may wait; its connection is reset."""

    kind = "slow_client"
