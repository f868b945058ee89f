"""``python -m bifrost_trio.serving --config FILE --port 8080``: for trying; the command line proper is elsewhere."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bifrost_trio.config import format_problems
from bifrost_trio.errors import ConfigError
from bifrost_trio.serving import serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bifrost_trio.serving")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--log", choices=("none", "text", "json"), default="text")
    parser.add_argument("--insecure-no-authentication", action="store_true")
    given = parser.parse_args()
    overrides = {"host": given.host, "port": given.port, "workers": given.workers}
    try:
        return serve(
            given.config,
            os.environ,
            overrides,
            log=given.log,
            insecure_no_authentication=given.insecure_no_authentication,
        )
    except ConfigError as error:
        sys.stderr.write(format_problems(error.problems) + "\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
