"""The words and options of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from bifrost_trio import __version__
from bifrost_trio.cli.output import PROGRAM, UsageError

__all__ = ["Options", "parse"]

Options = argparse.Namespace

ABOUT = "One address and one API in front of every large language model provider."
OF_THE_CONFIGURATION = """\
The configuration is the file that --config names, else the one that BIFROST_CONFIG names, else ./config.json, else the
providers whose usual variables are set, such as OPENAI_API_KEY. SIGTERM or Ctrl-C ends it when the calls in flight are
done, a second one at once; SIGHUP reads the file again."""
OF_THE_MOCK = """\
It answers in the formats of OpenAI and Anthropic. RULE is what it does otherwise and for whom, in quotes:
  bifrost-trio mock 'status=429 retry-after=2 times=1' 'model=slow* delay=3'
The words, which may also stand in a prompt as [[mock status=500]]: python -m pydoc bifrost_trio.mock.behaviour"""


class Parser(argparse.ArgumentParser):
    """Errors are one sentence, raised."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Layout, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


class _Layout(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=120)


def parse(words: Sequence[str]) -> Options:
    """The options, with the name of the ``command``. Raises UsageError, and SystemExit after ``--help``."""
    parser, commands = _parser()
    if not words:
        raise UsageError(f"say what to do: {', '.join(commands.choices)} (see {PROGRAM} --help)")
    if not words[0].startswith("-") and words[0] not in commands.choices:
        hint = _nearest(words[0], commands.choices)
        raise UsageError(f"there is no command {words[0]!r}{hint} (see {PROGRAM} --help)")
    options, unknown = parser.parse_known_args(words)
    if unknown:
        _refuse(unknown[0], commands.choices[words[0]])
    return options


def _refuse(word: str, parser: argparse.ArgumentParser) -> NoReturn:
    # Only its name: what stands behind "=" may be a secret.
    name = word.partition("=")[0]
    kind = "unknown option" if name.startswith("-") else "one word too many:"
    parser.error(f"{kind} {name}{_nearest(name, parser._option_string_actions)}")


def _nearest(word: str, names: Any) -> str:
    import difflib

    found = difflib.get_close_matches(word, list(names), 1)
    return f" (did you mean {found[0]}?)" if found else ""


def _parser() -> tuple[Parser, Any]:
    parser = Parser(prog=PROGRAM, description=ABOUT)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)

    def command(name: str, about: str, more: str | None = None) -> Parser:
        made: Parser = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.", epilog=more)
        made.set_defaults(command=name)
        return made

    _serve(command("serve", "run the gateway", OF_THE_CONFIGURATION))
    _check(command("check", "say what is wrong with a configuration"))
    command("schema", "print the JSON Schema of the configuration file")
    _mock(command("mock", "run a provider that answers by itself, for trying and testing", OF_THE_MOCK))
    return parser, commands


def _serve(parser: Parser) -> None:
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="the configuration (JSON)")
    add("--host", metavar="ADDRESS", help="where to listen; 127.0.0.1 unless the file says otherwise")
    add(
        "--port", type=_port, metavar="N", help="8080 unless the file says otherwise; 0: any free one, which is printed"
    )
    add("--workers", type=_count, metavar="N", help="processes that serve; 1 unless the file says otherwise")
    add(
        "--log",
        choices=("text", "json", "none"),
        default="text",
        help="a line for each call: for people (text, the default), for machines (json), or none",
    )
    add("--certfile", metavar="FILE", help="PEM: speak TLS with this certificate")
    add("--keyfile", metavar="FILE", help="PEM: its private key, if the certificate's file does not hold it")
    add(
        "--demo", action="store_true", help="a gateway with a provider of its own: no key, no network, no configuration"
    )
    add(
        "--insecure-no-authentication",
        action="store_true",
        help="listen on an address that others can reach although nobody is asked for a key",
    )


def _check(parser: Parser) -> None:
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="none: what `serve` would use here, be it the environment"
    )


def _mock(parser: Parser) -> None:
    add = parser.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen; 127.0.0.1")
    add("--port", type=_port, default=8000, metavar="N", help="8000; 0: any free one, which is printed")
    add("--delay", type=_seconds, metavar="SECONDS", help="before each answer")
    add("--first-output", type=_seconds, metavar="SECONDS", help="between the head and the first output")
    add("--gap", type=_seconds, metavar="SECONDS", help="between two pieces of a stream")
    add("rules", nargs="*", metavar="RULE", help="what it does otherwise, and for whom")


def _port(text: str) -> int:
    return _whole(text, 0, 65_535)


def _count(text: str) -> int:
    return _whole(text, 1, 1024)


def _whole(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"expected seconds, such as 0.5, got {text!r}")
    return seconds
