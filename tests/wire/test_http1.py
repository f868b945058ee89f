"""HTTP/1.1: public cases and the rules of RFC 9110 and 9112, each whole and cut at every byte, with equal results."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bifrost_trio._wire import RequestReader, ResponseReader
from bifrost_trio.errors import ConnectionBroken, MalformedAnswer, MalformedRequest

CASES = Path(__file__).parents[2] / ".." / "shared" / "data" / "http1" / "cases.jsonl"


class Message(NamedTuple):
    """What a reader made of one message that was complete."""

    start: str
    fields: list[tuple[bytes, bytes]]
    body: bytes


class Result(NamedTuple):
    """``verdict``: ``ok`` (nothing left over), ``more``, ``closed`` (bytes after a last message),
    ``handover`` (another protocol), or a status."""

    messages: list[Message]
    verdict: str


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def cut_once(data: bytes) -> Iterator[list[bytes]]:
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]


class Server:
    """Reads requests as the gateway's server does: one after another, none after the one that closes."""

    def __init__(self) -> None:
        self.reader = RequestReader()
        self.messages: list[Message] = []
        self.open: Message | None = None
        self.last = False
        self.surplus = False
        self.handed_over = False

    def feed(self, data: bytes) -> None:
        if self.open is not None:
            if self.body(self.reader.feed_body(data)):
                self.requests(b"")
        elif self.last:
            self.surplus = True
        else:
            self.requests(data)

    def requests(self, data: bytes) -> None:
        request = self.reader.feed(data)
        while request is not None:
            target = request.path + ("?" + request.query if request.query else "")
            start = f"{request.method} {target} {request.minor_version}"
            self.open = Message(start, request.headers(), b"")
            self.last = not request.keep_alive or request.handover is not None
            self.handed_over = request.handover is not None
            follows = self.body(request.body)
            request = self.reader.feed(b"") if follows else None

    def body(self, data: bytes) -> bool:
        """Whether a next request is to be looked for."""
        assert self.open is not None
        self.open = self.open._replace(body=self.open.body + data)
        if not self.reader.body_complete:
            return False
        self.messages.append(self.open)
        self.open = None
        self.surplus = self.reader.pending
        return self.surplus and not self.last

    def verdict(self) -> str:
        if self.handed_over:
            return "handover"
        if self.last and self.open is None:
            return "closed" if self.surplus else "ok"
        return "more" if self.open is not None or self.reader.pending or not self.messages else "ok"


def read_requests(pieces: list[bytes]) -> Result:
    server = Server()
    try:
        for piece in pieces:
            server.feed(piece)
    except MalformedRequest as error:
        return Result(server.messages, str(error.status))
    return Result(server.messages, server.verdict())


def read_answers(pieces: list[bytes]) -> Result:
    """One exchange; ``more`` if the provider may not close here, ``closed`` if what followed spoils the connection."""
    reader = ResponseReader()
    reader.expect()
    answer, body, surplus = None, b"", False
    try:
        for piece in pieces:
            if reader.body_complete:
                surplus = True
            elif answer is None:
                answer = reader.feed(piece)
                body = b"" if answer is None else answer.body
            else:
                body += reader.feed_body(piece)
        whole_by_itself = reader.body_complete
        spoilt = surplus or (whole_by_itself and not reader.reusable)
        reader.end()
    except MalformedAnswer:
        return Result([], "502")
    except ConnectionBroken:
        return Result([], "more")
    assert answer is not None
    message = Message(str(answer.status), answer.headers(), body)
    return Result([message], "closed" if spoilt else "ok" if whole_by_itself else "until close")


def read_all_ways(read: Callable[[list[bytes]], Result], data: bytes) -> Result:
    result = read(whole(data))
    assert read(bytewise(data)) == result
    for pieces in cut_once(data):
        assert read(pieces) == result
    return result


# --- public cases -----------------------------------------------------------------------------------------------------


class Difference(NamedTuple):
    """Cases that are read differently here. ``pattern`` says what stands in them, ``verdict`` is ours, a pattern too;
    ``cases`` are their lines in the collection (from 0): nothing else is excused.
    """

    pattern: bytes
    verdict: str
    reason: str
    cases: frozenset[int]


# Read by tests/http1_vectors.rs too: a pattern holds only what re and Rust's regex understand alike.
DIFFERENCES = tuple(
    Difference(row["pattern"].encode("ascii"), row["verdict"], row["reason"], frozenset(row["cases"]))
    for row in json.loads(Path(__file__).with_name("http1_differences.json").read_text("utf-8"))
)


def public_cases() -> list[Any]:
    if not CASES.exists():
        return []
    cases = [{**json.loads(line), "line": n} for n, line in enumerate(CASES.read_text().splitlines())]
    return [pytest.param(case, id=f"{case['source']}-{case['line']}") for case in cases]


def case_bytes(case: dict[str, Any]) -> bytes:
    data = base64.b64decode(case["input_b64"])
    if case["type"] == "url":
        return b"GET " + data + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    if case["type"] == "headers":
        return b"GET / HTTP/1.0\r\n" + data
    # The collection lost the empty line where it ended a case.
    if case["source"] == "llhttp" and data.endswith(b"\r\n") and (b"\r\n\r\n" not in data or ends_early(case, data)):
        data += b"\r\n"
    if case["type"].startswith("request") and not re.search(rb"(?i)\nhost[ \t]*:", data):
        # Without it each of them would be refused for this alone.
        data = re.sub(rb"( HTTP/1\.1\r\n)", rb"\1Host: example.com\r\n", data)
    return data


def ends_early(case: dict[str, Any], data: bytes) -> bool:
    return f"off={len(data) + 2} " in case["log"]


def agrees(case: dict[str, Any], result: Result) -> bool:
    """Whether we read the case as its suite does; what is right only when lenient is to be refused."""
    if case["expect"] == "error" or case["lenient"]:
        if result.verdict == "more" and not result.messages:
            # Some cases break off before the line that is at fault ends.
            result = reader(case)([case_bytes(case) + b"\r\n\r\n"])
        return result.verdict.isdigit()
    if case["expect"] == "incomplete":
        return not result.verdict.isdigit() and result.verdict != "closed"
    complete = result.verdict in ("ok", "closed", "until close")
    if case["source"] != "llhttp":
        return complete and len(result.messages) == len(expected(case) or result.messages)
    if case["type"].startswith("request"):
        complete = not result.verdict.isdigit() and len(result.messages) == case["complete"]
    return complete and bodies(case).startswith(b"".join(message.body for message in result.messages))


def expected(case: dict[str, Any]) -> list[Any]:
    """The requests that the suite reads, where it says so."""
    said = case.get("expected") or []
    return said if isinstance(said, list) else [said]


def bodies(case: dict[str, Any]) -> bytes:
    """What llhttp said of the bodies, that of an unfinished message included."""
    spans = re.findall(r'span\[body\]=(?:"(.*)"|(cr|lf))$', case["log"], re.MULTILINE)
    ends = {"cr": b"\r", "lf": b"\n", "": b""}
    return b"".join(text.encode() + ends[end] for text, end in spans)


def test_public_cases_are_present_or_said_to_be_absent() -> None:
    if not CASES.exists():
        pytest.skip(f"no public cases at {CASES}")
    assert len(public_cases()) == 471


def reader(case: dict[str, Any]) -> Callable[[list[bytes]], Result]:
    return read_answers if case["type"].startswith("response") else read_requests


def difference(case: dict[str, Any], result: Result) -> Difference | None:
    """The row that says why we read the case differently."""
    data = case_bytes(case)
    rows = [row for row in DIFFERENCES if case["line"] in row.cases]
    fitting = (row for row in rows if re.fullmatch(row.verdict, result.verdict) and re.search(row.pattern, data))
    return next(fitting, None)


@pytest.mark.parametrize("case", public_cases())
def test_public_case(case: dict[str, Any]) -> None:
    result = read_all_ways(reader(case), case_bytes(case))
    assert agrees(case, result) or difference(case, result), result


def test_every_difference_is_needed() -> None:
    """By each case that it names; no case stands in two rows."""
    if not CASES.exists():
        pytest.skip(f"no public cases at {CASES}")
    cases = [case.values[0] for case in public_cases()]
    results = [(case, reader(case)([case_bytes(case)])) for case in cases]
    differ = {(difference(case, result), case["line"]) for case, result in results if not agrees(case, result)}
    assert differ == {(row, line) for row in DIFFERENCES for line in row.cases}
    assert len(differ) == sum(len(row.cases) for row in DIFFERENCES)


def has_two_faults(case: dict[str, Any]) -> bool:
    """A fragment in its target, and a coding on which its framing hangs."""
    return bool(re.search(rb"(?i)^[A-Z]+ \S+#.*(?s:.*)\ntransfer-encoding:", case_bytes(case)))


@pytest.mark.parametrize("case", [case for case in public_cases() if has_two_faults(case.values[0])])
def test_a_fragment_hides_no_other_fault(case: dict[str, Any]) -> None:
    assert read_requests([re.sub(rb"#\S*", b"", case_bytes(case), count=1)]).verdict in ("400", "501")


@pytest.mark.parametrize("case", [case for case in public_cases() if case.values[0].get("expected")])
def test_public_request_says_the_same(case: dict[str, Any]) -> None:
    result = read_requests([case_bytes(case)])
    # One whose connection ends before is a difference with a reason.
    for message, wanted in zip(result.messages, expected(case), strict=False):
        method, target, _ = message.start.split(" ")
        assert method.upper() == wanted["method"].upper()
        assert wanted["uri"].endswith(target)
        fields = {(name.upper(), value) for name, value in message.fields if name != b"host"}
        assert fields >= {(n.encode(), v.encode("latin-1")) for n, v in wanted["headers"] if n != "HOST"}
        assert message.body.replace(b"Host: example.com\r\n", b"")[:20] == wanted["body"].encode()[:20]
