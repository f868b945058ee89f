"""A provider that hangs, in each place in which one can."""

from __future__ import annotations

import enum

from bifrost_trio.testing.upstream import Connecting, ScriptedUpstream

__all__ = ["Phase", "hanging_upstream"]


class Phase(enum.StrEnum):
    """Where the provider falls silent."""

    CONNECT = "connect"
    """The connection never comes about."""
    REQUEST = "request"
    """Nothing of the request is read: one larger than the sockets' buffers is never sent to its end."""
    BEFORE_HEAD = "before head"
    WITHIN_HEAD = "within head"
    AFTER_HEAD = "after head"
    WITHIN_BODY = "within body"


_WORDS = {
    Phase.BEFORE_HEAD: "cut-head=0 end=stall",
    Phase.WITHIN_HEAD: "cut-head=20 end=stall",
    Phase.AFTER_HEAD: "cut-body=0 end=stall",
}


def hanging_upstream(phase: Phase | str, *, after: int = 400) -> ScriptedUpstream:
    """``after`` is the number of bytes of the body that still come, in `Phase.WITHIN_BODY`.

    The body of a stream is counted with its transfer coding; its first output comes within the first 400 bytes or so.
    """
    phase = Phase(phase)
    if phase is Phase.CONNECT:
        return ScriptedUpstream(connecting=Connecting.HANGS)
    if phase is Phase.REQUEST:
        return ScriptedUpstream(connecting=Connecting.DEAF)
    return ScriptedUpstream(_WORDS.get(phase, f"chunks=1000 cut-body={after} end=stall"))
