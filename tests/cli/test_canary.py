"""A key is never printed, whatever else is: not by a good configuration, not by a broken one, not in any log."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real_clock

Write = Callable[..., Path]
KEY = "sk-canary-4e1f9a7700bc"


def configuration(base_url: str = "http://127.0.0.1:9") -> dict[str, Any]:
    """Good, with the key everywhere."""
    return {
        "client": {"allow_direct_keys": True},
        "providers": {
            "openai": {
                "keys": [{"name": "one", "value": KEY, "models": ["*"]}, {"value": "env.CANARY", "models": ["*"]}],
                "network_config": {
                    "base_url": base_url,
                    "max_retries": 0,
                    "extra_headers": {"x-tenant": KEY, "x-other": "env.CANARY"},
                },
            },
        },
    }


OPENAI: list[str | int] = ["providers", "openai"]
FIRST: list[str | int] = [*OPENAI, "keys", 0]
CHANGES: list[tuple[list[str | int], Any]] = [
    ([*FIRST, "value"], [KEY]),
    ([*FIRST, "value"], {"value": KEY}),
    ([*FIRST, "value"], f"{KEY}\n{KEY}"),
    ([*FIRST, "value"], f"{KEY}\u00e9"),
    ([*FIRST, "value"], f"env.{KEY}"),
    ([*FIRST, "vlaue"], KEY),
    ([*FIRST, "weight"], KEY),
    ([*FIRST, "enabled"], KEY),
    ([*FIRST, "models"], KEY),
    ([*FIRST, "aliases"], {"a": [KEY]}),
    ([*FIRST, "azure_key_config"], {"endpoint": KEY}),
    ([*OPENAI, "keys"], KEY),
    ([*OPENAI, "keys"], [KEY]),
    ([*OPENAI], KEY),
    (["providers"], KEY),
    ([*OPENAI, "network_config", "base_url"], f"https://user:{KEY}@example.org"),
    ([*OPENAI, "network_config", "base_url"], f"{KEY}://example.org"),
    ([*OPENAI, "network_config", "extra_headers"], {"x-tenant": f"{KEY}\r\n{KEY}"}),
    ([*OPENAI, "network_config", "extra_headers"], {"x-tenant": [KEY]}),
    ([*OPENAI, "network_config", "ca_cert_pem"], KEY),
    ([*OPENAI, "network_config", "retry_backoff_max"], KEY),
    ([*OPENAI, "proxy_config"], {"type": "http", "url": f"http://user:{KEY}@proxy", "password": [KEY]}),
    ([*OPENAI, "proxy_config"], {"type": KEY, "username": KEY, "password": KEY}),
    ([*OPENAI, "custom_provider_config"], {"base_provider_type": KEY}),
    (["plugins"], [{"name": "audit", "path": "nowhere_at_all:Audit", "config": {"token": KEY}}]),
    (["plugins"], [{"name": "audit", "path": KEY}]),
    (["plugins"], [{"name": "mocker", "config": {"toekn": KEY}}]),
    (["encryption_key"], KEY),
    (["client", "allowed_origins"], [KEY]),
    (["server"], {"certfile": "nowhere.pem", "port": KEY}),
    (["governance"], {"virtual_keys": [{"value": KEY, "nmae": KEY}]}),
    (["auth_config"], {"admin_password": KEY}),
]
"""A member that is set, and to what."""


def places(good: dict[str, Any]) -> list[tuple[str, Any]]:
    """Configurations in which the key stands where it should not, or beside something that is wrong."""
    made: list[tuple[str, Any]] = []
    for path, value in CHANGES:
        changed = copy.deepcopy(good)
        inner: Any = changed
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value
        made.append((f"{'.'.join(map(str, path))} = {value!r}", changed))
    text = json.dumps(good)
    at = text.index(KEY) + len(KEY)
    made += [(f"JSON broken at {cut:+}", text[: at + cut] + "\x01'," + text[at + cut :]) for cut in (-3, 0, 1, 2)]
    return made


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[Path], tuple[int, str]]:
    """``check`` in this process: dozens of them are asked for."""
    from bifrost_trio.cli import main

    monkeypatch.setenv("CANARY", KEY)

    def check(path: Path) -> tuple[int, str]:
        status = main(["check", str(path)])
        return status, "".join(capsys.readouterr())

    return check


def test_no_problem_repeats_it(write: Write, checked: Callable[[Path], tuple[int, str]]) -> None:
    told = []
    for what, content in places(configuration()):
        status, text = checked(write(content))
        assert status == 2, f"{what}: {text}"
        if KEY in text or KEY[3:] in text:
            told.append(f"{what}: {text}")
    assert not told, "\n".join(told)


def test_serve_does_not_repeat_it_either(run: Any, write: Write) -> None:
    broken = configuration()
    broken["providers"]["openai"]["keys"][0] |= {"weight": KEY, "vlaue": KEY}
    write(broken)
    for mode in ("text", "json", "none"):
        ended = run("serve", "--log", mode, CANARY=KEY)
        assert ended.status == 2
        assert KEY not in ended.text


@pytest.mark.parametrize("mode", ["text", "json", "none"])
def test_no_log_repeats_it(serve: Any, ask: Any, write: Write, mode: str) -> None:
    refusal = f'status=401 message="Incorrect API key provided: {KEY}. Bearer {KEY}" model=refused'
    mock = serve("mock", "--port", "0", refusal, f'status=500 message="{KEY} {KEY[:12]}***" model=broken')
    path = write(configuration(mock.wait_for("Ctrl-C").partition(" on ")[2].split(",")[0]))
    gateway = serve("serve", "--config", str(path), "--port", "0", "--log", mode, CANARY=KEY)
    if mode == "json":
        url = json.loads(gateway.wait_for('"plugins": []}\n'))["urls"][0]
    else:
        url = gateway.wait_for_url()
    for model in ("gpt-4o-mini", "refused", "broken", KEY):
        body = {"model": f"openai/{model}", "messages": [{"role": "user", "content": KEY}]}
        ask(url, "/v1/chat/completions", body, {"authorization": f"Bearer {KEY}"})
        ask(url, "/v1/chat/completions", body, {"x-bf-direct-key": KEY, "x-request-id": "r"})
    ask(url, f"/v1/{KEY}?key={KEY}")
    path.write_text("{}}", "utf-8")
    gateway.process.send_signal(1)
    gateway.wait_for("not reloaded")
    metrics = ask(url, "/metrics")[1].decode()
    ended = gateway.end()
    assert ended.status == 0
    if mode != "none":
        assert "refused" in ended.text
    assert KEY not in ended.text
    assert KEY not in metrics
