"""One address and one API in front of every large language model provider.

A request goes down seven stations to the upstream connections, and its answer comes back up the same way:

    Server → Transport → Router → Plugins → MCP → Workers → Providers → Upstream

The code stands on four floors; each imports only what is below it, and no station imports another:

    3  roof      app, cli, library, testing, mock, serving
    2  stations  server, transport, router, plugins, mcp, workers, providers
    1  tools     sockets, config, catalog, formats, upstream, telemetry
    0  words     errors, types, _wire (the Rust half)

`Gateway` is the gateway inside a program; ``bifrost-trio serve`` is the same as a server; `bifrost_trio.app.app` is the
same as an ASGI application. ARCHITECTURE.md tells the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bifrost_trio.library import Gateway

__all__ = ["Gateway", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`Gateway` is imported when it is asked for: a worker process or ``bifrost-trio check`` has no use for it."""
    if name == "Gateway":
        from bifrost_trio.library import Gateway

        return Gateway
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
