"""An answer and a behaviour to what goes over the wire."""

from __future__ import annotations

import email.utils
import gzip
import json
import time
from collections.abc import Iterator

from bifrost_trio._wire import render_answer, render_chunk, render_head
from bifrost_trio.mock.behaviour import Behaviour
from bifrost_trio.mock.frames import DONE, Frames
from bifrost_trio.mock.script import End, Pause, Script, Step
from bifrost_trio.types import JsonObject

__all__ = ["stage_stream", "stage_whole"]

EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
GARBAGE = b"\x15\x03\x01\x00\x02\x02\x16 this is not HTTP\r\n\r\n"
CUT_FRAME = b'data: {"id": "chatcmpl-mock", "choices": [{"index"\n\n'
"""An event whose data breaks off."""


def stage_whole(answer: JsonObject, status: int, behaviour: Behaviour) -> Script:
    """``status`` is the one of the head."""
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), *_headers(behaviour, status)]
    garble = behaviour.garble
    if garble == "json":
        body = body[: len(body) // 2]
    elif garble == "html":
        body, headers[0] = HTML, (b"content-type", b"text/html")
    elif garble == "gzip":
        body = gzip.compress(body, mtime=0)
        headers.append((b"content-encoding", b"gzip"))
    rendered = render_answer(status, headers, body, keep_alive=behaviour.close != "said")
    head = rendered[: len(rendered) - len(body)]
    if garble in ("length-long", "length-short"):
        length = b"content-length: %d\r\n"
        other = len(body) + (10 if garble == "length-long" else -10)
        head = head.replace(length % len(body), length % other)
    return Script([*_head(head, behaviour), *_body([body], behaviour)], _end(behaviour))


def stage_stream(frames: Frames, behaviour: Behaviour, error: bytes | None) -> Script:
    """``error`` is the event of an error, where there is to be one."""
    headers = [EVENT_STREAM, (b"cache-control", b"no-cache"), *_headers(behaviour, 200)]
    if behaviour.garble == "html":
        headers[0] = (b"content-type", b"text/html")
    head = render_head(200, headers, keep_alive=behaviour.close != "said")
    body = _body(_chunks(frames, behaviour, error), behaviour)
    return Script([*_head(head, behaviour), *body], _end(behaviour))


def _headers(behaviour: Behaviour, status: int) -> Iterator[tuple[bytes, bytes]]:
    yield b"x-request-id", b"req_mock"
    if behaviour.retry_after is not None:
        yield b"retry-after", _retry_after(behaviour.retry_after).encode()
    if behaviour.retry_after_ms is not None:
        yield b"retry-after-ms", str(behaviour.retry_after_ms).encode()


def _retry_after(value: str) -> str:
    seconds = value.removeprefix("date:")
    if seconds == value:
        return value
    return email.utils.formatdate(time.time() + float(seconds), usegmt=True)


def _end(behaviour: Behaviour) -> End:
    if behaviour.end is not None:
        return behaviour.end
    cut = (behaviour.cut_head, behaviour.cut_body, behaviour.cut_chunk) != (None, None, None)
    # What a wrong length promises never comes: the close says so.
    closes = behaviour.close is not None or behaviour.garble in ("length-long", "head")
    return End.CLOSE if cut or closes else End.KEEP


# --- head ---


def _head(head: bytes, behaviour: Behaviour) -> Iterator[Step]:
    if behaviour.delay:
        yield Pause(behaviour.delay)
    if behaviour.garble == "head":
        head = GARBAGE
    head = head[: behaviour.cut_head]
    if behaviour.slow_head:
        for n in range(len(head)):
            yield head[n : n + 1]
            yield Pause(behaviour.slow_head)
    else:
        yield head


# --- body ---


def _body(steps: Iterator[Step] | list[bytes], behaviour: Behaviour) -> Iterator[Step]:
    """The steps up to the byte at which they are cut."""
    if behaviour.cut_head is not None or behaviour.garble == "head":
        return
    left = behaviour.cut_body
    for step in steps:
        if left is None or isinstance(step, Pause):
            yield step
        elif left > 0:
            yield step[:left]
            left -= len(step[:left])
        else:
            return


def _chunks(frames: Frames, behaviour: Behaviour, error: bytes | None) -> Iterator[Step]:
    """The stream in the transfer coding of chunks, one event each."""
    for frame in frames.before:
        yield render_chunk(frame)
    if behaviour.first_output:
        yield Pause(behaviour.first_output)
    for number, frame in enumerate(frames.outputs):
        if number == behaviour.cut_chunk:
            return
        if error is not None and number == behaviour.error_chunk:
            yield render_chunk(error, last=True)
            return
        if number and behaviour.gap:
            yield Pause(behaviour.gap)
        if number == len(frames.outputs) // 2:
            yield from _garbled(behaviour)
        yield render_chunk(frame)
    if behaviour.cut_chunk is not None:
        return
    if error is not None:
        yield render_chunk(error, last=True)
        return
    for frame in frames.after:
        left_out = behaviour.garble == "no-end" or (behaviour.garble == "no-done" and frame == DONE)
        if not left_out:
            yield render_chunk(frame)
    yield render_chunk(b"", last=True)


def _garbled(behaviour: Behaviour) -> Iterator[bytes]:
    if behaviour.garble == "json":
        yield render_chunk(CUT_FRAME)
    elif behaviour.garble == "chunk-size":
        yield b"xyz\r\n"
