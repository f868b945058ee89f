"""What is built upon inside Hypercorn, and that nobody pays for it who does not use it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from typing import Any


def test_hypercorn_is_not_imported_before_it_is_needed() -> None:
    unwanted = ("hypercorn", "h2", "wsproto", "h11")
    code = f"import sys, bifrost_trio.serving; print([m for m in {unwanted} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def hypercorns() -> Iterator[tuple[Any, list[str]]]:
    from hypercorn.app_wrappers import ASGIWrapper
    from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
    from hypercorn.protocol.h11 import H11Protocol
    from hypercorn.trio.task_group import TaskGroup
    from hypercorn.trio.tcp_server import TCPServer
    from hypercorn.trio.worker_context import TrioSingleTask, WorkerContext

    protocol = ["self", "app", "config", "context", "task_group", "connection_state", "ssl", "client", "server", "send"]
    yield H2Protocol.__init__, protocol
    yield H11Protocol.__init__, protocol
    yield H2Protocol.initiate, ["self", "headers", "settings"]
    yield H2Protocol.stream_send, ["self", "event"]
    yield H2Protocol._handle_events, ["self", "events"]
    yield H2Protocol._send_data, ["self", "stream_id"]
    yield H2Protocol._close_stream, ["self", "stream_id"]
    yield H2Protocol._create_stream, ["self", "request"]
    yield H2Protocol._window_updated, ["self", "stream_id"]
    yield StreamBuffer.close, ["self"]
    yield TCPServer.__init__, ["self", "app", "config", "context", "state", "stream"]
    yield TCPServer.protocol_send, ["self", "event"]
    yield TCPServer._read_data, ["self"]
    yield TCPServer._idle_timeout, ["self"]
    yield TCPServer._initiate_server_close, ["self"]
    yield TaskGroup.spawn_app, ["self", "app", "config", "scope", "send"]
    yield TrioSingleTask.restart, ["self", "task_group", "action"]
    yield WorkerContext.__init__, ["self", "max_requests"]
    yield ASGIWrapper.__call__, ["self", "scope", "receive", "send", "sync_spawn", "call_soon"]


def test_hypercorns_signatures_are_those_that_were_built_upon() -> None:
    for function, expected in hypercorns():
        assert parameters(function) == expected, function.__qualname__
