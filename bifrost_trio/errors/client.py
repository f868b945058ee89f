"""What the client did, what it found full, and that it left."""

from __future__ import annotations

from bifrost_trio.errors.root import GatewayError

__all__ = [
    "AuthenticationRequired",
    "BodyTooLarge",
    "CannotCarry",
    "ClientGone",
    "ClientLeft",
    "Draining",
    "Forbidden",
    "InvalidField",
    "MalformedJson",
    "MalformedRequest",
    "MemoryFull",
    "MethodNotAllowed",
    "ModelNotFound",
    "QueueFull",
    "RequestError",
    "RequestTimeout",
    "RouteNotFound",
    "SlowClient",
    "Unavailable",
    "UnsupportedMediaType",
    "UnsupportedOperation",
]


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


class CannotCarry(RequestError):
    """What the client sent has no place in the language of the provider that the model names.

    For what a translation must not leave out: a part of a message, a role, a tool's schema. (A parameter that has no
    place is named in ``dropped_params`` instead.) A fallback may speak a language that has one.
    """

    fallback = True

    def __init__(self, what: str, param: str, target: str) -> None:
        """``what`` is short (``input_audio``), ``param`` its path in the common shape, ``target`` a language's name."""
        super().__init__(f"{param}: {what} cannot be carried to {target}", param=param, code="cannot_be_carried")


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


class Unavailable(GatewayError):
    status = 503
    type = "overloaded_error"
    kind = "gateway_dropped"


class QueueFull(Unavailable):
    """A provider's waiting room is full; another provider may have room, so a fallback may follow."""

    status = 429
    type = "rate_limit_error"
    fallback = True


class MemoryFull(Unavailable):
    """The bodies in flight have used up their share of memory."""


class Draining(Unavailable):
    """This process is going down and takes no new calls."""


class ClientLeft(GatewayError):
    status = 499
    type = "client_closed_request"
    kind = "caller_cancelled"


class ClientGone(ClientLeft):
    """The client reset, closed or hung up. Raised by Reply and by the reading of a request body, nowhere else."""


class SlowClient(ClientLeft):
    """The client took nothing for the time that a write may wait; its connection is reset."""

    kind = "slow_client"
