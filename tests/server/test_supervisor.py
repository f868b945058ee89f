"""Several processes behind one socket: kept alive, drained, reloaded, counted together."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from bifrost_trio.server.control import Control, Gather, Snapshot
from bifrost_trio.sockets import listen
from bifrost_trio.telemetry import names

pytestmark = pytest.mark.real_clock


def workers_of(gateway: Any) -> list[int]:
    """The kernel lists the children of each thread."""
    lists = Path(f"/proc/{gateway.process.pid}/task").glob("*/children")
    return sorted(int(pid) for children in lists for pid in children.read_text("ascii").split())


async def until(what: Callable[[], bool]) -> None:
    with trio.fail_after(9):
        while not what():  # noqa: ASYNC110 - it happens in another process
            await trio.sleep(0.02)


def total(text: str, name: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line))


ANSWERED = "bifrost_success_requests_total"


class Load:
    """Three clients that ask without end, and one that reads the metrics."""

    def __init__(self, gateway: Any, ask: Any, body: dict[str, Any]) -> None:
        self.gateway = gateway
        self.results: list[bool] = []
        self.counted: list[float] = []
        self._ask = ask
        self._body = body

    def start(self, nursery: trio.Nursery) -> None:
        for task in (self._chat, self._chat, self._chat, self._scrape):
            nursery.start_soon(task)

    async def _chat(self) -> None:
        while True:
            try:
                status, _ = await self._ask(self.gateway, "/v1/chat/completions", self._body)
                self.results.append(status == 200)
            except (OSError, trio.BrokenResourceError):
                self.results.append(False)
            await trio.sleep(0.01)

    async def _scrape(self) -> None:
        while True:
            with contextlib.suppress(OSError, trio.BrokenResourceError):
                status, text = await self._ask(self.gateway, "/metrics")
                assert status == 200
                self.counted.append(total(text, ANSWERED))
            await trio.sleep(0.02)


async def test_a_killed_worker_is_replaced_and_no_counter_falls(
    config: Path, start_gateway: Any, chat: Any, ask: Any
) -> None:
    began = trio.current_time()
    gateway = await start_gateway("--config", config, "--port", 0, "--workers", 2)
    # Two seconds, or on a machine that is busy with other things no longer than the whole start took.
    limit = max(2.0, trio.current_time() - began)
    killed, other = workers_of(gateway)
    load = Load(gateway, ask, chat())
    async with trio.open_nursery() as nursery:
        load.start(nursery)
        await until(lambda: len(load.results) >= 100)
        os.kill(killed, signal.SIGKILL)
        killed_at = trio.current_time()
        await until(lambda: len(workers_of(gateway)) == 2 and killed not in workers_of(gateway))
        await gateway.until_accepting(3)
        assert trio.current_time() - killed_at < limit
        await trio.sleep(0.2)
        nursery.cancel_scope.cancel()
    assert other in workers_of(gateway)
    assert load.results.count(False) <= 4, "a connection each that the killed worker had, and no other"
    assert load.counted == sorted(load.counted)
    assert load.counted[-1] >= load.results.count(True) - 100, "no more is lost than the last second of it"


async def test_every_worker_is_asked_for_its_metrics(config: Path, start_gateway: Any, chat: Any, ask: Any) -> None:
    gateway = await start_gateway("--config", config, "--port", 0, "--workers", 2)
    for number in range(20):
        assert (await ask(gateway, "/v1/chat/completions", chat()))[0] == 200
        _, text = await ask(gateway, "/metrics")
        assert total(text, ANSWERED) == number + 1
    assert 'worker="0"' in text
    assert 'worker="1"' in text


async def test_a_silent_worker_does_not_hold_up_the_metrics(
    config: Path, start_gateway: Any, chat: Any, ask: Any
) -> None:
    gateway = await start_gateway("--config", config, "--port", 0, "--workers", 2)
    for _ in range(20):
        assert (await ask(gateway, "/v1/chat/completions", chat()))[0] == 200
    _, before = await ask(gateway, "/metrics")
    silent = workers_of(gateway)[0]
    os.kill(silent, signal.SIGSTOP)
    try:
        began = trio.current_time()
        _, text = await ask(gateway, "/metrics")
        assert trio.current_time() - began < 1
        assert total(text, ANSWERED) == total(before, ANSWERED) == 20
        assert total(text, names.WORKER_SILENT.name) == 1
    finally:
        os.kill(silent, signal.SIGCONT)


async def test_a_worker_that_keeps_ending_is_started_less_and_less_often(config: Path, start_gateway: Any) -> None:
    gateway = await start_gateway("--config", config, "--port", 0, "--workers", 2)
    for times in range(3):
        os.kill(max(workers_of(gateway)), signal.SIGKILL)
        await gateway.until_accepting(3 + times)
    assert re.findall(r"another worker \d is started in ([0-9.]+) s", gateway.said) == ["0.1", "0.2", "0.4"]


async def test_sigterm_lets_a_stream_finish(provider: Any, config: Path, start_gateway: Any, chat: Any) -> None:
    provider.hold = True
    gateway = await start_gateway("--config", config, "--port", 0, "--workers", 2)
    async with gateway.streaming(chat(stream=True)) as stream:
        gateway.signal(signal.SIGTERM)
        await until(lambda: len(workers_of(gateway)) == 1)
        with pytest.raises(httpx.ConnectError):
            await stream.client.get("/health")
        provider.let_go.set()
        rest = await stream.rest()
    assert rest.endswith("data: [DONE]\n\n")
    assert await gateway.process.wait() == 0


async def test_a_second_signal_ends_all_at_once(provider: Any, config: Path, start_gateway: Any, chat: Any) -> None:
    provider.hold = True
    gateway = await start_gateway("--config", config, "--port", 0, "--workers", 2)
    workers = workers_of(gateway)
    async with gateway.streaming(chat(stream=True)) as stream:
        gateway.signal(signal.SIGINT)
        await gateway.until_said("SIGINT")
        gateway.signal(signal.SIGTERM)
        await stream.cut_within(2)
        assert await gateway.process.wait() == 128 + signal.SIGTERM
    assert not any(map(running, workers))


async def test_sighup_reloads_every_worker_and_those_to_come(
    provider: Any, config: Path, start_gateway: Any, write_config: Any, chat: Any, ask: Any
) -> None:
    gateway = await start_gateway("--config", config, "--port", 0, "--workers", 2)
    write_config(config, provider, "openai", "groq")
    gateway.signal(signal.SIGHUP)
    await until(lambda: gateway.said.count("was reloaded") == 2)
    write_config(config, provider, "no such provider")
    gateway.signal(signal.SIGHUP)
    await gateway.until_said("the old one stays in use")
    os.kill(workers_of(gateway)[0], signal.SIGKILL)
    await gateway.until_accepting(3)
    for _ in range(20):
        assert (await ask(gateway, "/v1/chat/completions", chat("groq/small")))[0] == 200


async def test_a_reload_that_no_worker_can_follow(
    provider: Any, config: Path, start_gateway: Any, write_config: Any, chat: Any, ask: Any
) -> None:
    gateway = await start_gateway("--config", config, "--port", 0, "--workers", 2)
    break_plugin(config, "no_such_module:Plugin")
    gateway.signal(signal.SIGHUP)
    await until(lambda: gateway.said.count("the old one stays in use") == 2)
    os.kill(workers_of(gateway)[0], signal.SIGKILL)
    await gateway.until_accepting(3)
    for _ in range(8):
        assert (await ask(gateway, "/v1/chat/completions", chat()))[0] == 200


async def test_workers_end_with_their_supervisor(config: Path, start_gateway: Any) -> None:
    gateway = await start_gateway("--config", config, "--port", 0, "--workers", 2)
    workers = workers_of(gateway)
    gateway.process.kill()
    await until(lambda: not any(map(running, workers)))
    for sock in listen("127.0.0.1", gateway.port):
        sock.close()


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


async def test_a_worker_that_cannot_start_ends_the_start(config: Path, start_gateway: Any) -> None:
    break_plugin(config, "no_such_module:Plugin")
    gateway = await start_gateway("--config", config, "--port", 0, "--workers", 2, ready=False)
    with trio.fail_after(5):
        assert await gateway.process.wait() == 2
    await gateway.until_said("no_such_module")


def break_plugin(config: Path, plugin: str) -> None:
    text = config.read_text()
    config.write_text(text.replace("{", f'{{"plugins": [{{"name": "b", "path": "{plugin}"}}],', 1))


# --- the channel ------------------------------------------------------------------------------------------------------


def channel_pair() -> Iterator[Control]:
    return map(Control, socket.socketpair())


async def test_messages_arrive_whole_and_in_order() -> None:
    one, other = channel_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        sent = [Snapshot(number, b"x" * (number * 100_000)) for number in range(5)]
        for message in (*sent, Gather(7)):
            one.say(message)
        assert one.behind
        one.finish()
        assert [await other.receive() for _ in range(6)] == [*sent, Gather(7)]
        assert not one.behind
    one.close()
    assert await other.receive() is None
    other.say(Gather(1))
    await other.run()
    other.close()


@pytest.mark.parametrize("data", [b"\x00\x00\x00\x01\xff", b"\xff\xff\xff\xff", b"\x00\x00", b"\x00\x00\x00\x05\x81"])
async def test_nonsense_ends_the_channel(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    control = Control(ours)
    with theirs:
        theirs.sendall(data)
    assert await control.receive() is None
    control.close()
