"""The head of an upstream request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bifrost_trio.types import Headers

__all__ = ["Auth", "hyphenated", "render_get", "render_prefix"]

NEVER_FORWARDED = frozenset(
    {
        b"accept-encoding",
        b"api-key",
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"keep-alive",
        b"http2-settings",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"x-api-key",
        b"x-goog-api-key",
    }
)
"""Headers that the gateway says itself: framing, identity, and what would let a caller speak for the gateway."""


@dataclass(frozen=True, slots=True)
class Auth:
    """How a key is shown to the provider: ``header: scheme key``; an empty header shows none."""

    header: bytes = b"authorization"
    scheme: bytes = b"Bearer "


def render_prefix(
    path: str, authority: str, auth: Auth, key: str, fixed: Headers, forwarded: Sequence[tuple[bytes, bytes]] = ()
) -> bytes:
    """A request's head up to and including ``content-length: ``; the number and the body follow.

    ``fixed`` are the provider's own headers, ``forwarded`` the client's: the latter replace the former, but never what
    the gateway itself has to say.
    """
    headers = _own_headers(authority)
    headers[b"content-type"] = b"application/json"
    headers.update(fixed)
    headers.update((name, value) for name, value in forwarded if hyphenated(name) not in NEVER_FORWARDED)
    return _render(b"POST", path, headers, auth, key) + b"content-length: "


def hyphenated(name: bytes) -> bytes:
    """Servers that hand headers on as variables (CGI, WSGI) take an underscore for a hyphen (RFC 3875, 4.1.18)."""
    return name.replace(b"_", b"-")


def render_get(path: str, authority: str, auth: Auth, key: str, fixed: Headers) -> bytes:
    """A whole GET request."""
    headers = _own_headers(authority)
    headers.update(fixed)
    return _render(b"GET", path, headers, auth, key) + b"\r\n"


def _own_headers(authority: str) -> dict[bytes, bytes]:
    return {
        b"host": authority.encode("ascii"),
        b"user-agent": b"bifrost-trio",
        b"accept": b"*/*",
        # A compressed answer could neither be scanned nor passed on frame by frame.
        b"accept-encoding": b"identity",
    }


def _render(method: bytes, path: str, headers: dict[bytes, bytes], auth: Auth, key: str) -> bytes:
    if auth.header and key:
        headers[auth.header] = auth.scheme + key.encode("latin-1")
    lines = [method + b" " + path.encode("ascii") + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in headers.items()]
    return b"\r\n".join(lines) + b"\r\n"
