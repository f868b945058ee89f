"""Words to the terminal; errors in one line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TextIO

__all__ = ["Ending", "Style", "UsageError", "complain", "ends_quietly", "say", "secure_streams"]

PROGRAM = "bifrost-trio"
INTERRUPTED = 130
"""A shell's status for what Ctrl-C broke off: 128 and SIGINT's number."""


class UsageError(Exception):
    """It was asked for wrongly: one sentence for a person, exit status 2."""


class Ending:
    """How the command ended."""

    status = 0


def secure_streams() -> None:
    """Where a service manager closed stdin, stdout or stderr, nothing else may take their place: not a client's socket,
    into which the log would be written."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def say(text: str) -> None:
    _write(sys.stdout, text)


def complain(text: str) -> None:
    """To where errors go, after the program's name."""
    _write(sys.stderr, f"{PROGRAM}: {text}")


def _write(stream: TextIO, text: str) -> None:
    # A file's name, or a terminal's encoding, may know characters that the other does not.
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        # Who read it has seen enough (``| head``); that is no reason to stop serving, nor for Python's own complaint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextlib.contextmanager
def ends_quietly() -> Iterator[Ending]:
    """Ctrl-C ends it without a traceback."""
    ending = Ending()
    try:
        yield ending
    except KeyboardInterrupt:
        ending.status = INTERRUPTED


class Style:
    """Emphasis where there is a terminal that shows it (https://no-color.org), nothing elsewhere."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._on = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

    def strong(self, text: str) -> str:
        return self._in("1", text)

    def quiet(self, text: str) -> str:
        return self._in("2", text)

    def link(self, text: str) -> str:
        return self._in("36", text)

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text
