"""What a provider's answer means: an answer to hand on, or which error."""

from __future__ import annotations

import email.utils
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime

from bifrost_trio._wire import Response
from bifrost_trio.errors import (
    KeyRefused,
    MalformedAnswer,
    ProviderAnswered,
    ProviderFault,
    RateLimited,
    RequestRefused,
)
from bifrost_trio.formats.codec import DecodeError, decode, encode
from bifrost_trio.types import Format

__all__ = [
    "LONG",
    "MAX_REFUSAL",
    "blotted",
    "cleaned",
    "decompress",
    "forwarded_headers",
    "long_secrets",
    "refusal",
    "retry_after",
]

_BY_STATUS: dict[int, type[ProviderAnswered]] = {
    401: KeyRefused,
    402: KeyRefused,
    403: KeyRefused,
    408: ProviderFault,
    409: ProviderFault,
    429: RateLimited,
}

SHOWN_HEADERS = frozenset({b"request-id", b"retry-after", b"retry-after-ms", b"x-request-id"})
SHOWN_PREFIXES = (b"anthropic-", b"openai-", b"x-ratelimit-")
"""What of a provider's headers its own SDK reads (request ids, rate limits); all else stays with the gateway."""


def refusal(format: Format, response: Response, body: bytes, *secrets: str) -> ProviderAnswered:
    """The error for an answer whose status is not 2xx. ``secrets`` are blotted out should the provider repeat them."""
    status = response.status
    if not 400 <= status < 600:
        raise MalformedAnswer(f"the provider answered with status {status}, which is no answer to such a request")
    try:
        body = blotted(decompress(response.header(b"content-encoding"), body, MAX_REFUSAL), *secrets)
    except MalformedAnswer:
        # The status says enough.
        body = b""
    message, type, code, param = format.decode_error(status, body)
    kind = _BY_STATUS.get(status) or (ProviderFault if status >= 500 else RequestRefused)
    return kind(
        status,
        message,
        body=body,
        content_type=blotted(response.header(b"content-type") or b"application/json", *secrets),
        type=type,
        code=code,
        param=param,
        retry_after=retry_after(response),
        headers=forwarded_headers(response, *secrets),
    )


LONG = 20
"""Characters of a secret that is blotted out of answers too: a shorter one (``ollama``) may be a word of the answer."""


def blotted(data: bytes, *secrets: str) -> bytes:
    """What a provider says in an error, without the secrets, should it repeat them, be it with escapes."""
    for secret in secrets:
        if len(secret) > 3:
            plain = secret.encode("latin-1")
            if b"\\" in data and plain not in data:
                data = _without_escapes(data, plain)
            data = data.replace(plain, b"***")
    return data


def _without_escapes(data: bytes, secret: bytes) -> bytes:
    """JSON written anew if it holds the secret behind escapes (RFC 8259 section 7)."""
    try:
        written = encode(decode(data))
    except DecodeError:
        return data
    return written if secret in written else data


def long_secrets(*secrets: str) -> tuple[bytes, ...]:
    """Those that are blotted out of answers."""
    return tuple(secret.encode("latin-1") for secret in secrets if len(secret) >= LONG)


def cleaned(data: bytes, secrets: Iterable[bytes]) -> bytes:
    """An answer, or a piece of one, without the secrets."""
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, b"***")
    return data


def retry_after(response: Response) -> float | None:
    """Seconds, from ``retry-after-ms`` (OpenAI) or ``retry-after`` as seconds or a date (RFC 9110 section 10.2.3)."""
    milliseconds = response.header(b"retry-after-ms")
    if milliseconds is not None:
        seconds = _number(milliseconds)
        if seconds is not None:
            return seconds / 1000
    value = response.header(b"retry-after")
    if value is None:
        return None
    seconds = _number(value)
    return seconds if seconds is not None else _until(value)


def _number(value: bytes) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < 1e9 else None


def _until(value: bytes) -> float | None:
    try:
        date = email.utils.parsedate_to_datetime(value.decode("latin-1"))
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max((date - datetime.now(UTC)).total_seconds(), 0.0)


MAX_DECOMPRESSED = 16 * 1024 * 1024
"""Bytes: what is decompressed and read in less than a tenth of a second, for nobody else is served meanwhile."""

MAX_REFUSAL = 1024 * 1024
"""Bytes of an error; what is larger is none that anybody would read, and its status says enough."""


def decompress(encoding: bytes | None, body: bytes, most: int = MAX_DECOMPRESSED) -> bytes:
    """A body as it was before its content coding. The gateway asks for none; some providers compress all the same."""
    if not encoding or encoding.lower() == b"identity":
        return body
    if encoding.lower() not in (b"gzip", b"x-gzip", b"deflate"):
        raise MalformedAnswer("the provider used a content coding that was not asked for")
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = decoder.decompress(body, most)
    except zlib.error as error:
        raise MalformedAnswer("the provider's compressed answer cannot be read") from error
    if not decoder.eof:
        raise MalformedAnswer("the provider's compressed answer is not whole or too large")
    return plain


def forwarded_headers(response: Response, *secrets: str) -> list[tuple[bytes, bytes]]:
    """The provider's headers that a client of its own SDK needs; none that repeats a secret."""
    hidden = [secret.encode("latin-1") for secret in secrets if len(secret) > 3]
    return [
        (name, value)
        for name, value in response.headers()
        if (name in SHOWN_HEADERS or name.startswith(SHOWN_PREFIXES)) and not any(secret in value for secret in hidden)
    ]
