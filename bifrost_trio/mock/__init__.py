"""A provider that is not one: it speaks as OpenAI and Anthropic do, and fails in every way that they can.

`MockProvider` answers a request with a `Script`; `serve_mock` puts it on a port, `bifrost_trio.testing` into memory.
What it answers is always the same to the same request. How it behaves is said in the words of `behaviour`, for all
requests, by rules, by the model's name, or in the prompt: ``[[mock status=429 retry-after=2 times=1]]``.

| file | what |
|---|---|
| `behaviour` | the words: statuses, delays, cuts, stalls, garbled bytes; for whom and how often |
| `speech` | what is said: the text, its pieces, a call of a tool, the tokens |
| `openai`, `responses`, `anthropic` | how it is said in each language, whole and as a stream |
| `frames` | a stream's events before, as and after its output |
| `failures` | errors as the providers word them |
| `provider` | from a request to a script |
| `staging` | from an answer and a behaviour to bytes and pauses |
| `script` | what is played on a connection: bytes, pauses, how it ends |
| `connection` | one connection: requests read properly, answers played as bytes |
| `listening` | on a port |
"""

from bifrost_trio.mock.behaviour import Behaviour, Rule
from bifrost_trio.mock.connection import Answerer, Connection, MockStatistics, Tally
from bifrost_trio.mock.listening import Listening, serve_mock
from bifrost_trio.mock.provider import MockProvider
from bifrost_trio.mock.script import End, Pause, Received, Script, Step, in_pieces, streamed, whole

__all__ = [
    "Answerer",
    "Behaviour",
    "Connection",
    "End",
    "Listening",
    "MockProvider",
    "MockStatistics",
    "Pause",
    "Received",
    "Rule",
    "Script",
    "Step",
    "Tally",
    "in_pieces",
    "serve_mock",
    "streamed",
    "whole",
]
