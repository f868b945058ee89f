"""What the provider did."""

from __future__ import annotations

from collections.abc import Sequence

from bifrost_trio.errors.root import GatewayError, Retry

__all__ = [
    "ConnectTimeout",
    "ConnectionBroken",
    "FirstOutputTimeout",
    "IdleTimeout",
    "KeyRefused",
    "KeysExhausted",
    "MalformedAnswer",
    "NoEligibleKey",
    "ProviderAnswered",
    "ProviderError",
    "ProviderFault",
    "ProviderTimeout",
    "RateLimited",
    "RequestRefused",
    "StreamFault",
    "TotalTimeout",
    "Unreachable",
]


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
    ``code`` are read from the body by the provider's format; ``headers`` are those that its own SDK reads.
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
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message, param=param, code=code, retry_after=retry_after)
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
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

    ``told``: the client has it already, as the provider said it. ``status`` is the true one where the frame tells it
    (an overloaded Anthropic says 529), else 502.
    """

    retry = Retry.SAME_KEY

    def __init__(
        self, message: str, *, frame: bytes = b"", status: int = 502, type: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.frame = frame
        self.told = False
        self.status = status
        if status in (400, 404, 413, 422):
            self.retry, self.fallback = Retry.NEVER, False
        elif status in (401, 402, 403):
            self.retry = Retry.WITHOUT_KEY
        elif status == 429:
            self.retry = Retry.NEXT_KEY
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
