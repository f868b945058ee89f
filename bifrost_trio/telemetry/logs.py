"""What the gateway itself has to say (loggers ``bifrost_trio.*``), in the same form as the lines of the calls."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Literal, TextIO, TypeAlias

import msgspec
import trio

from bifrost_trio.telemetry.calls import timestamp
from bifrost_trio.telemetry.lines import LineWriter, write
from bifrost_trio.telemetry.redaction import Redactor

__all__ = ["LineHandler", "LogMode", "configure_logging", "line_handlers"]

LogMode: TypeAlias = Literal["none", "text", "json"]

ROOT = "bifrost_trio"


class _RecordLine(msgspec.Struct, omit_defaults=True):
    time: str
    level: str
    event: str
    logger: str
    message: str
    exception: str | None = None


class LineHandler(logging.Handler):
    """Writes at once, or through ``writer`` while that runs: then a stuck stream stops nobody."""

    def __init__(self, mode: LogMode, stream: TextIO) -> None:
        super().__init__()
        self.redact: Callable[[str], str] = Redactor()
        self.stream = stream
        self._json = mode == "json"
        self._token: trio.lowlevel.TrioToken | None = None
        self.writer: LineWriter[bytes] = LineWriter(stream, lambda line: line)

    async def run(self) -> None:
        """Diverts the lines into the queue until it is cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        try:
            await self.writer.run()
        finally:
            self._token = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._put(self._line(record))
        except Exception:
            self.handleError(record)

    def _put(self, line: bytes) -> None:
        if self._token is None:
            write(self.stream, [line])
        elif trio.lowlevel.in_trio_run():
            self.writer.put(line)
        else:
            # From a thread: only Trio's own may wake a task.
            self._token.run_sync_soon(self.writer.put, line)

    def _line(self, record: logging.LogRecord) -> bytes:
        message = self.redact(record.getMessage())
        exception = None
        if record.exc_info:
            exception = self.redact(logging.Formatter().formatException(record.exc_info))
        when, level = timestamp(record.created), record.levelname.lower()
        if self._json:
            line = _RecordLine(when, level, "log", record.name, message, exception)
            return msgspec.json.encode(line) + b"\n"
        text = f"{when} {level} {record.name}: {message}\n"
        if exception is not None:
            text += exception + "\n"
        return text.encode("utf-8", "backslashreplace")


def line_handlers() -> list[LineHandler]:
    return [handler for handler in logging.getLogger(ROOT).handlers if isinstance(handler, LineHandler)]


def configure_logging(mode: LogMode, stream: TextIO | None = None) -> LineHandler:
    """Gives the gateway's loggers one handler in place of any from before; ``stream`` is stderr by default.

    ``none``: warnings and errors alone, as text. `Telemetry.run` runs the handler's queue.
    """
    logger = logging.getLogger(ROOT)
    for former in line_handlers():
        logger.removeHandler(former)
    handler = LineHandler(mode, stream if stream is not None else sys.stderr)
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if mode == "none" else logging.INFO)
    logger.propagate = False
    return handler
