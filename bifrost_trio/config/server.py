"""``server``: what ``serve`` needs. Bifrost has most of it on its command line alone."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import Field

from bifrost_trio.config.values import NO_EFFECT, Seconds, Strict

__all__ = ["ServerConfig"]


class ServerConfig(Strict):
    """How the gateway listens. The command line overrides each of these (`Config.with_server`)."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """0: any free port, which is printed."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that accept from the one listening socket."""
    backlog: Annotated[int, Field(ge=1, le=65_535)] = 2048
    """Connections that the kernel keeps until they are accepted."""
    certfile: str | None = None
    """PEM: the certificate and those that lead to its authority. Given: the gateway speaks TLS."""
    keyfile: str | None = None
    """PEM: the private key, where ``certfile`` does not hold it."""
    http2: bool = True
    """Whether HTTP/2 is offered: by ALPN under TLS, by prior knowledge without."""
    memory_budget_in_mb: Annotated[int, Field(ge=1)] = 1024
    """Megabytes (2**20 bytes) that the bodies in flight of one process may take; above it 503 with Retry-After."""
    max_connections: Annotated[int, Field(ge=1)] = 20_000
    """Client connections of one process; beyond it none is accepted until one ends."""
    handshake_timeout_in_seconds: Seconds = 10.0
    """The TLS handshake of a new connection."""
    head_timeout_in_seconds: Seconds = 30.0
    """From the first byte of a request to the end of its head."""
    body_timeout_in_seconds: Seconds = 30.0
    """The longest silence within a request body, and how far it may lag behind 4 KB a second; then 408."""
    keep_alive_timeout_in_seconds: Seconds = 75.0
    """The longest silence between two requests of one connection."""
    write_timeout_in_seconds: Seconds = 30.0
    """How long a client may take nothing of its answer before it is reset (``slow_client``)."""
    drain_timeout_in_seconds: Seconds = 30.0
    """How long calls in flight may go on after SIGTERM."""
    stream_comment_after_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """Silence on a waiting stream after which comments keep it alive; 0: never."""

    read_buffer_size: Annotated[int, Field(ge=0, description=NO_EFFECT)] = 65_536

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach ``host``."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False
