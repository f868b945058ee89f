"""``python -m bifrost_trio`` is ``bifrost-trio``."""

from __future__ import annotations

import sys

from bifrost_trio.cli import main

if __name__ == "__main__":
    sys.exit(main())
