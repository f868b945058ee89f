"""Sockets: waiting for them, reading, writing, closing, TLS. Knows nothing of HTTP.

| file | what |
|---|---|
| `poller` | one edge-triggered epoll set and one sweep of deadlines for the whole process |
| `stream` | a connected socket: how a read waits is `Socket._wait`, one replaceable function |
| `tls` | the same surface over TLS |
| `listener` | listening sockets and accepting from them |
"""

from bifrost_trio.sockets.listener import Room, accept_from, listen
from bifrost_trio.sockets.poller import Poller, PollerStatistics
from bifrost_trio.sockets.stream import Channel, Socket, connect
from bifrost_trio.sockets.tls import TlsSocket, client_context, server_context

__all__ = [
    "Channel",
    "Poller",
    "PollerStatistics",
    "Room",
    "Socket",
    "TlsSocket",
    "accept_from",
    "client_context",
    "connect",
    "listen",
    "server_context",
]
