"""The command line: ``bifrost-trio``, or ``python -m bifrost_trio``.

| file | what |
|---|---|
| `options` | the words and options, their help |
| `serve` | ``serve``: from a configuration to a running gateway |
| `demo` | ``serve --demo``: the gateway and a provider of its own in one process |
| `check` | ``check`` and ``schema`` |
| `mock` | ``mock``: the provider that is not one |
| `source` | which configuration is meant, and where its keys come from |
| `screen` | what is told when the gateway accepts |
| `output` | words to the terminal; errors in one line |

Exit status: 0 done; 1 it could not be done here and now (a port in use); 2 it was asked for wrongly (an option, the
configuration); 130 broken off by Ctrl-C.

Nothing is imported before it is known what was asked for, so that ``--help`` and ``schema`` are quick, and a worker
process imports none of it. Hence argparse: typer takes several times its processor time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(words: Sequence[str] | None = None) -> int:
    """Does what ``words`` say (None: the command line's); the exit status."""
    from bifrost_trio.cli.output import UsageError, complain, ends_quietly, secure_streams

    secure_streams()
    with ends_quietly() as ending:
        try:
            ending.status = _run(sys.argv[1:] if words is None else words)
        except UsageError as error:
            complain(str(error))
            ending.status = 2
    return ending.status


def _run(words: Sequence[str]) -> int:
    from bifrost_trio.cli.options import parse

    options = parse(words)
    if options.command == "serve":
        if options.demo:
            from bifrost_trio.cli.demo import serve_demo as run
        else:
            from bifrost_trio.cli.serve import serve as run
    elif options.command == "mock":
        from bifrost_trio.cli.mock import mock as run
    elif options.command == "check":
        from bifrost_trio.cli.check import check as run
    else:
        from bifrost_trio.cli.check import print_schema as run
    return run(options)
