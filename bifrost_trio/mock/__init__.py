"""A provider that is not one: it speaks as OpenAI and Anthropic do, and fails in every way that they can.

| file | what |
|---|---|
| `script` | what is played on a connection: bytes, pauses, how it ends |
| `connection` | one connection: requests read properly, answers played as bytes |
"""

from bifrost_trio.mock.connection import Answerer, Connection, MockStatistics, Tally
from bifrost_trio.mock.script import End, Pause, Received, Script, Step, in_pieces, streamed, whole

__all__ = [
    "Answerer",
    "Connection",
    "End",
    "MockStatistics",
    "Pause",
    "Received",
    "Script",
    "Step",
    "Tally",
    "in_pieces",
    "streamed",
    "whole",
]
