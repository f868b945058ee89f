"""The recordings: what was asked, what was answered, and how it is played again."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from bifrost_trio._wire import EventReader, render_answer, render_chunk, render_head
from bifrost_trio.testing import Received, Script, ScriptedUpstream

__all__ = ["KINDS", "PATHS", "SETTINGS", "Json", "Player", "Recording", "read_recordings", "same_as_sent"]

Json: TypeAlias = dict[str, Any]

PATHS: Final = {
    "openai.chat": "/openai/v1/chat/completions",
    "openai.responses": "/openai/v1/responses",
    "openai.embeddings": "/openai/v1/embeddings",
    "anthropic.messages": "/anthropic/v1/messages",
}
KINDS: Final = tuple(PATHS)

_ONCE: Final = {"network_config": {"max_retries": 0}}
SETTINGS: Final[Json] = {"providers": {"openai": _ONCE, "anthropic": _ONCE}}
"""Of a gateway that plays recordings: an error is answered, not tried again."""

FRAMING: Final = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})
"""Recorders took the transfer apart and undid the compression: what they wrote down is the body without either."""

PIECES: Final = (1000, 4000, 313, 64_000)
"""Bytes at which a stream is cut when it is played, one after another."""


class Recording:
    """One recorded interaction.

    ``borrowed``: its own request was not recorded, or is none of this kind, so another one's is sent. ``flaw`` is why
    it cannot be handed on as an answer, ``flaw_in_translation`` why it cannot be translated; None where it can.
    """

    def __init__(self, source: str, row: Json) -> None:
        self.name = source
        self.kind: str = row["kind"]
        self.status: int = row["status"]
        self.streaming: bool = row["streaming"]
        self.byte_exact: bool = row["byte_exact"]
        self.headers: dict[str, str] = row["response"]["headers"]
        self.body = _bytes(row["response"])
        self.sent = _bytes(row["request"]) if row["method"] == "POST" else b""
        self.request = _json(self.sent)
        self.beta: str | None = row["request"]["headers"].get("anthropic-beta")
        self.borrowed = False
        self.number = 0
        self.flaw = _flaw(self)
        self.flaw_in_translation = self.flaw or _flaw_in_translation(self)

    @property
    def provider(self) -> str:
        """The provider of the test's gateway that speaks this language."""
        return self.kind.partition(".")[0]

    @property
    def model(self) -> str:
        assert self.request is not None
        name = self.request["model"]
        assert isinstance(name, str)
        return name

    @property
    def answer(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Json]:
        return [json.loads(data) for _, data, _ in EventReader().feed(self.body) if data.strip() != b"[DONE]"]

    def borrow(self, other: Recording) -> None:
        self.sent, self.request, self.borrowed = other.sent, other.request, True

    def script(self) -> Script:
        headers = [
            (name.lower().encode("ascii"), value.strip().encode("latin-1"))
            for name, value in self.headers.items()
            if name.lower() not in FRAMING
        ]
        if not self.streaming:
            return Script([render_answer(self.status, headers, self.body)])
        # Some recorders kept no content type of a stream, or another one's.
        if not any(value.startswith(b"text/event-stream") for _, value in headers):
            headers = [header for header in headers if header[0] != b"content-type"]
            headers.append((b"content-type", b"text/event-stream; charset=utf-8"))
        size = PIECES[self.number % len(PIECES)]
        cuts = range(0, len(self.body), size)
        chunks = [render_chunk(self.body[at : at + size]) for at in cuts]
        return Script([render_head(200, headers), *chunks, render_chunk(b"", last=True)])


def _flaw(recording: Recording) -> str | None:
    if recording.status != 200:
        return None
    if not recording.streaming:
        answer = recording.answer
        if not isinstance(answer, dict):
            return "is no JSON object"
        return "is an error with status 200" if answer.get("error") else None
    if recording.kind == "openai.chat" and b'"response.created"' in recording.body:
        return "is a stream of the Responses API"
    if b"error" in recording.body:
        if any(event.get("error") or event.get("type") == "response.failed" for event in recording.events):
            return "has an error in its stream"
    return None


def _flaw_in_translation(recording: Recording) -> str | None:
    if recording.status != 200:
        return None
    if recording.streaming:
        several = recording.kind == "anthropic.messages" and recording.body.count(b'"type":"message_start"') != 1
        return "is a stream of several messages" if several else None
    member = {"openai.chat": "choices", "anthropic.messages": "content"}.get(recording.kind)
    return f"has no {member}" if member and not isinstance(recording.answer.get(member), list) else None


def _bytes(side: Json) -> bytes:
    body = side["body"] or ""
    return base64.b64decode(body) if side["encoding"] == "base64" else body.encode()


def _json(body: bytes) -> Json | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@lru_cache(maxsize=1)
def read_recordings(folder: Path) -> dict[str, list[Recording]]:
    """By kind, in the order of the files; each one has a request, of its own or borrowed."""
    found: dict[str, list[Recording]] = {kind: [] for kind in KINDS}
    for source, line in _lines(folder):
        # Reading one as JSON costs a hundred times as much as looking for its kind.
        if any(f'"{kind}"' in line for kind in KINDS):
            row = json.loads(line)
            if row["kind"] in found:
                found[row["kind"]].append(Recording(source, row))
    for recordings in found.values():
        _lend(recordings)
    return found


def _lines(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as rows:
            for number, line in enumerate(rows, 1):
                yield f"{file.name.partition('.')[0]}:{number}", line


def _lend(recordings: list[Recording]) -> None:
    """An answer whose request is missing, or asked for the other way of answering, gets one that fits."""
    lenders: dict[bool, list[Recording]] = {False: [], True: []}
    lost: list[Recording] = []
    for number, recording in enumerate(recordings):
        recording.number = number
        request = recording.request or {}
        if not _complete(recording.kind, request):
            lost.append(recording)
        elif bool(request.get("stream")) == recording.streaming:
            lenders[recording.streaming].append(recording)
        elif recording.status == 200:
            lost.append(recording)
    for recording in lost:
        found = lenders[recording.streaming]
        recording.borrow(found[recording.number % len(found)])


def _complete(kind: str, request: Json) -> bool:
    return "model" in request and (kind != "openai.embeddings" or "input" in request)


class Player:
    """A provider that answers each request with ``recording``; ``received`` is the last request."""

    def __init__(self) -> None:
        self.recording: Recording
        self.received: Received
        self.count = 0
        self.upstream = ScriptedUpstream(self._play)

    def _play(self, request: Received) -> Script:
        self.received = request
        self.count += 1
        self.upstream.requests.clear()
        return self.recording.script()


def same_as_sent(received: bytes, sent: bytes, asked: str, model: str) -> bool:
    """Whether the provider received byte for byte what was sent, but for the name of the model."""
    if received == sent:
        return asked == model
    given, wanted = json.dumps(asked).encode(), json.dumps(model).encode()
    return sent.count(given) == 1 and received == sent.replace(given, wanted)
