"""The gateway's own loggers, and that no key leaves through them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from bifrost_trio.telemetry import Telemetry, configure_logging
from bifrost_trio.telemetry.redaction import Redactor

KEY = "sk-ant-api03-0123456789abcdef"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    logger = logging.getLogger("bifrost_trio")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def test_json() -> None:
    stream = io.StringIO()
    configure_logging("json", stream)
    logging.getLogger("bifrost_trio.server").info("listens on %s", "127.0.0.1:8080")
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "event": "log",
        "logger": "bifrost_trio.server",
        "message": "listens on 127.0.0.1:8080",
    }


def test_text_with_the_way_to_an_error() -> None:
    stream = io.StringIO()
    configure_logging("text", stream)
    try:
        raise RuntimeError(f"refused {KEY}")
    except RuntimeError:
        logging.getLogger("bifrost_trio.plugins").exception("plugin audit failed with %s", KEY)
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith(" error bifrost_trio.plugins: plugin audit failed with ***")
    assert rest[-1] == "RuntimeError: refused ***"


def test_without_a_log_warnings_are_still_told() -> None:
    stream = io.StringIO()
    configure_logging("none", stream)
    logging.getLogger("bifrost_trio.server").info("nothing new")
    logging.getLogger("bifrost_trio.server").warning("little memory")
    assert stream.getvalue().count("\n") == 1


def test_configuring_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("text", first)
    configure_logging("text", second)
    logging.getLogger("bifrost_trio.server").info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


async def test_while_the_gateway_runs_lines_wait_in_the_queue(
    assembly: Any, autojump_clock: trio.testing.MockClock
) -> None:
    stream = io.StringIO()
    configure_logging("text", stream)
    telemetry = Telemetry()
    telemetry.watch(assembly(keys=["a-key-of-no-known-shape"]))
    log = logging.getLogger("bifrost_trio.server")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(telemetry.run)
        await trio.testing.wait_all_tasks_blocked()
        log.info("one with a-key-of-no-known-shape")
        assert stream.getvalue() == ""
        await trio.sleep(1)
        assert "one with ***" in stream.getvalue()
        log.info("two")
        nursery.cancel_scope.cancel()
    log.info("three")
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["***", "two", "three"]


@pytest.mark.real_clock
async def test_a_thread_may_log() -> None:
    stream = io.StringIO()
    configure_logging("text", stream)
    telemetry = Telemetry()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(telemetry.run)
        await trio.testing.wait_all_tasks_blocked()
        await trio.to_thread.run_sync(logging.getLogger("bifrost_trio.upstream").warning, "from a thread")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert "from a thread" in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-abcdefgh12345678.",
        "key sk-abcd************wxyz is not valid",
        "x-api-key sk-ant-api03-AbCdEf_0123-xyz",
        "AIzaSyA0123456789abcdefghijklmnopqrstuv is blocked",
        "gsk_0123456789abcdefghij was revoked",
        "Authorization: Bearer eyJhbGciOi.J9abc-def_123",
        "hf_AbCdEfGhIjKlMnOp",
        "AKIAIOSFODNN7EXAMPLE",
    ],
)
def test_the_shapes_of_keys(text: str) -> None:
    shown = Redactor()(text)
    assert "***" in shown
    assert not any(len(word) > 14 and any(c.isdigit() for c in word) for word in shown.split())


@pytest.mark.parametrize(
    "text", ["no key is left for this call", "the task-based risk-assessment", "gpt-4o-mini-2024-07-18"]
)
def test_other_words_stay(text: str) -> None:
    assert Redactor()(text) == text


def test_keys_of_the_configuration_before_are_still_known() -> None:
    redact = Redactor()
    redact.learn(["first-secret", "none"])
    redact.learn(["first-secret-2"])
    assert redact("first-secret first-secret-2 none") == "*** *** none"
    redact.learn([])
    assert redact("first-secret first-secret-2") == "first-secret ***"
