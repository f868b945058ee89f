"""What a worker process is told about how to serve."""

from __future__ import annotations

from typing import Any

import msgspec

from bifrost_trio.telemetry import LogMode

__all__ = ["Orders"]


class Orders(msgspec.Struct):
    """``content`` is that of the configuration file, or None where the environment alone decides.

    A worker that is started again gets what the others run on, whatever has become of the file.
    """

    content: dict[str, Any] | None
    overrides: dict[str, Any]
    log: LogMode
    insecure_no_authentication: bool

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @staticmethod
    def decode(data: bytes) -> Orders:
        return msgspec.msgpack.decode(data, type=Orders)
