"""``serve --demo``: what it prints is pasted into a shell."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme

pytestmark = [
    pytest.mark.real_clock,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


def paste(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("tls", [False, True])
def test_the_printed_commands_work(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    words = ["serve", "--demo", "--port", "0", "--log", "none"]
    if tls:
        issued = trustme.CA().issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
        words += ["--certfile", str(tmp_path / "both.pem")]
    demo = serve(*words, OPENAI_API_KEY="of-the-user")
    printed = demo.wait_for("anthropic/v1/messages")
    found = re.findall(r"^curl (?:.*\\\n)*.*$", printed, re.MULTILINE)
    assert len(found) == 3
    whole, streamed, anthropic = map(paste, found)
    assert json.loads(whole)["choices"][0]["message"]["content"] == "You said: Hello"
    assert json.loads(whole)["extra_fields"]["provider"] == "openai"
    assert streamed.startswith("data: {")
    assert streamed.endswith("data: [DONE]\n\n")
    assert json.loads(anthropic)["content"] == [{"type": "text", "text": "You said: Hello"}]
    ended = demo.end()
    assert (ended.status, ended.err) == (0, "")


def test_as_one_line_of_json(serve: Any) -> None:
    demo = serve("serve", "--demo", "--port", "0", "--log", "json")
    told = json.loads(demo.wait_for('"plugins": []}\n'))
    assert (told["event"], told["config"]) == ("started", "demo")
    assert told["providers"] == {"openai": 1, "anthropic": 1}
    assert demo.end().status == 0
