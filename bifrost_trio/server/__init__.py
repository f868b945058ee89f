"""The server station: listening sockets, TLS, HTTP/1.1 over the Rust parser, HTTP/2 by Hypercorn, processes, drain.

| file | what |
|---|---|
| `application` | what a server serves, and its time limits |
| `http1` | one HTTP/1.1 connection |
| `http2` | HTTP/2 and WebSocket: connections handed to Hypercorn, which is imported for the first of them |
| `hypercorn_connection`, `handed_stream` | one such connection; its stream as Hypercorn wants it |
| `h2_guard`, `h2_limits` | Hypercorn's HTTP/2 without its holes; how much a client may spend |
| `listen` | accepting, the tasks of the connections, draining |
| `supervisor` | several processes that accept from the same sockets |
| `control` | what a supervisor and its workers say to each other |
"""

from bifrost_trio.server.application import Application, Timeouts
from bifrost_trio.server.http1 import Http1Connection
from bifrost_trio.server.http2 import HypercornProtocols
from bifrost_trio.server.listen import Server, ServerStatistics
from bifrost_trio.server.supervisor import Supervisor, WorkersFailed

__all__ = [
    "Application",
    "Http1Connection",
    "HypercornProtocols",
    "Server",
    "ServerStatistics",
    "Supervisor",
    "Timeouts",
    "WorkersFailed",
]
