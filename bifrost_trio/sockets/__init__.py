"""Sockets: waiting for them, reading, writing, closing, TLS. Knows nothing of HTTP.

| file | what |
|---|---|
| `poller` | one edge-triggered epoll set for the whole process, looked at and written from once a turn |
| `clock` | a clock for Trio that lets the poller wait in its place |
| `flushing` | the moment before Trio waits, where it does that itself |
| `deadlines` | until when those who read will wait: one sweep for all |
| `channel` | what may be done with a connection, encrypted or not |
| `connecting` | connections to others |
| `inlet` | reading what has come, and when it came |
| `options` | what each socket is set to |
| `stream` | a connected socket: how a read waits is `Socket._wait`, one replaceable function |
| `tls` | the same surface over TLS |
| `listener` | listening sockets and accepting from them |
| `sharing` | how several processes that accept from one queue come to have the same number of connections |
"""

from bifrost_trio.sockets.channel import Channel, Take
from bifrost_trio.sockets.clock import PollingClock
from bifrost_trio.sockets.connecting import connect
from bifrost_trio.sockets.listener import Room, accept_from, listen
from bifrost_trio.sockets.options import set_options
from bifrost_trio.sockets.poller import Poller, PollerStatistics
from bifrost_trio.sockets.sharing import Share, Shares
from bifrost_trio.sockets.stream import Socket
from bifrost_trio.sockets.tls import TlsSocket, client_context, server_context

__all__ = [
    "Channel",
    "Poller",
    "PollerStatistics",
    "PollingClock",
    "Room",
    "Share",
    "Shares",
    "Socket",
    "Take",
    "TlsSocket",
    "accept_from",
    "client_context",
    "connect",
    "listen",
    "server_context",
    "set_options",
]
