"""How the mock behaves, in words: ``status=429 retry-after=2 times=1``.

The same words stand in a prompt (``[[mock status=500]]``), in the rules of `MockProvider` and on the command line.

=================== ====================================================================================================
what it says
------------------------------------------------------------------------------------------------------------------------
``content``         the text of the answer (else it repeats what it was told); with blanks: ``content="two words"``
``chunks``          the number of pieces in which a stream says it
``tool``            the name of a tool that is called
``finish``          the finish reason, in the format's own word
``input-tokens``    ``output-tokens``: the usage that is reported
``status``          an error with this status, as the provider words it; ``type``, ``code``, ``message`` change it
``error-body``      that error as a whole answer with status 200
``error-chunk``     that error inside a stream, in place of output number n (0: before any output)
``retry-after``     seconds, or ``date:2`` for the date in two seconds; ``retry-after-ms`` milliseconds
------------------------------------------------------------------------------------------------------------------------
when it says it (seconds)
------------------------------------------------------------------------------------------------------------------------
``delay``           before the head
``first-output``    between the head and the first output
``gap``             between two outputs
``slow-head``       between two bytes of the head
------------------------------------------------------------------------------------------------------------------------
how it breaks off
------------------------------------------------------------------------------------------------------------------------
``cut-head``        after n bytes of the head; ``cut-body``: of the body; ``cut-chunk``: after n outputs of a stream
``end``             what follows a cut: ``close``, ``reset``, ``stall`` (silence); without a cut, after the whole answer
``stall``           ``reset``: ``head`` (before it), ``body`` (behind the head) or ``output`` (behind the first output)
``close``           ``said`` in the head, or ``unsaid``: a connection that was to be kept alive is closed all the same
``garble``          ``json``, ``head``, ``chunk-size``, ``length-long``, ``length-short``, ``gzip``, ``html``,
                    ``no-end`` (a stream without its last events), ``no-done`` (without ``[DONE]`` alone)
------------------------------------------------------------------------------------------------------------------------
for whom (all of them must fit; ``*`` and ``?`` stand for anything)
------------------------------------------------------------------------------------------------------------------------
``model``           ``host``, ``path``, ``key`` (that the gateway sent)
``times``           only the first n of those; ``every``: only each k-th
=================== ====================================================================================================
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from bifrost_trio.mock.script import End

__all__ = ["MODELS", "Behaviour", "Rule"]

MODELS: Final[Mapping[str, str]] = {
    "mock-slow": "delay=2 first-output=2 gap=0.5",
    "mock-stall": "stall=head",
    "mock-stall-body": "stall=body",
    "mock-stall-output": "stall=output",
    "mock-reset": "reset=head",
    "mock-cut": "cut-body=100 cut-chunk=3",
    "mock-error-in-stream": "error-chunk=0 status=500",
    "mock-error-late": "error-chunk=3 status=500",
    "mock-error-body": "error-body=yes status=500",
    "mock-garbage": "garble=head",
}
"""Models that misbehave by name; so does ``mock-STATUS`` for every status (``mock-429``)."""

PHASES: Final[Mapping[str, Mapping[str, int]]] = {
    "head": {"cut_head": 0},
    "body": {"cut_body": 0},
    "output": {"cut_chunk": 1},
}
GARBLES: Final = ("json", "head", "chunk-size", "length-long", "length-short", "gzip", "html", "no-end", "no-done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One answer's worth; the members are the words of this module."""

    content: str | None = None
    chunks: int | None = None
    tool: str | None = None
    finish: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    status: int = 200
    type: str | None = None
    code: str | None = None
    message: str | None = None
    error_body: bool = False
    error_chunk: int | None = None
    retry_after: str | None = None
    retry_after_ms: int | None = None
    delay: float = 0.0
    first_output: float = 0.0
    gap: float = 0.0
    slow_head: float = 0.0
    cut_head: int | None = None
    cut_body: int | None = None
    cut_chunk: int | None = None
    end: End | None = None
    close: str | None = None
    garble: str | None = None

    def but(self, rule: Rule) -> Behaviour:
        """This behaviour, except for what the rule says."""
        return replace(self, **rule.says)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is said, and for whom. `parse` makes one of words."""

    says: Mapping[str, Any]
    only: Mapping[str, str] = field(default_factory=dict)
    """Of ``model``, ``host``, ``path``, ``key``: the pattern that must fit."""
    times: int | None = None
    every: int = 1

    @classmethod
    def parse(cls, words: str) -> Rule:
        """Raises ValueError with a sentence that names the word."""
        says: dict[str, Any] = {}
        only: dict[str, str] = {}
        counts: dict[str, int] = {}
        for word in shlex.split(words):
            name, equals, value = word.partition("=")
            if not equals:
                raise ValueError(f"a word of the mock's is name=value, not {word!r}")
            if name in ("model", "host", "path", "key"):
                only[name] = value
            elif name in ("times", "every"):
                counts[name] = _count(name, value)
            else:
                says |= _said(name, value)
        return cls(says, only, counts.get("times"), max(counts.get("every", 1), 1))

    def fits(self, facts: Mapping[str, str]) -> bool:
        return all(fnmatchcase(facts.get(name, ""), pattern) for name, pattern in self.only.items())

    def counts(self, number: int) -> bool:
        """Whether it holds for the request that is number ``number``, from 1, of those that it fits."""
        return number % self.every == 0 and (self.times is None or number <= self.times * self.every)


def _said(name: str, value: str) -> dict[str, Any]:
    if name in ("stall", "reset"):
        if value not in PHASES:
            raise ValueError(f"{name} is one of {', '.join(PHASES)}, not {value!r}")
        return {**PHASES[value], "end": End(name)}
    read = _READ.get(name)
    if read is None:
        raise ValueError(f"the mock knows no word {name!r}; it knows {', '.join(sorted(_READ))}")
    return {name.replace("-", "_"): read(name, value)}


def _count(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 7:
        raise ValueError(f"{name} is a whole number below ten million, not {value!r}")
    return int(value)


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise ValueError(f"{name} is a number of seconds, not {value!r}")
    return seconds


def _status(name: str, value: str) -> int:
    status = _count(name, value)
    if not 200 <= status <= 999:
        raise ValueError(f"{name} is a status from 200 on, not {value!r}")
    return status


def _text(name: str, value: str) -> str:
    return value


def _retry_after(name: str, value: str) -> str:
    _seconds(name, value.removeprefix("date:"))
    return value


def _yes(name: str, value: str) -> bool:
    if value not in ("yes", "no"):
        raise ValueError(f"{name} is yes or no, not {value!r}")
    return value == "yes"


def _one_of(*words: str) -> Callable[[str, str], str]:
    def read(name: str, value: str) -> str:
        if value not in words:
            raise ValueError(f"{name} is one of {', '.join(words)}, not {value!r}")
        return value

    return read


def _end(name: str, value: str) -> End:
    return End(_one_of("close", "reset", "stall")(name, value))


_READ: Final[Mapping[str, Callable[[str, str], Any]]] = {
    **dict.fromkeys(("content", "tool", "finish", "type", "code", "message"), _text),
    **dict.fromkeys(
        ("chunks", "input-tokens", "output-tokens", "error-chunk", "cut-head", "cut-body", "cut-chunk"), _count
    ),
    **dict.fromkeys(("delay", "first-output", "gap", "slow-head"), _seconds),
    "status": _status,
    "error-body": _yes,
    "retry-after": _retry_after,
    "retry-after-ms": _count,
    "end": _end,
    "close": _one_of("said", "unsaid"),
    "garble": _one_of(*GARBLES),
}
