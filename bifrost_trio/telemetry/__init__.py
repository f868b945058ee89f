"""What happened, for machines and people: metrics, and one log line for each call.

| file | what |
|---|---|
| `telemetry` | one process: counting a call when it ends, reading the rest when somebody asks |
| `tally`, `series` | what is counted by call, and under which labels; plain numbers |
| `sources` | the ``statistics()`` of pools, connections, bodies, poller, plugins |
| `names` | every metric there is |
| `families`, `exposition` | metrics as plain data, and as Prometheus' text |
| `ledger` | many workers as one node: snapshots, their sum, what dead ones left |
| `calls`, `lines` | the line of a call; lines on their way out, bounded, in batches |
| `logs` | the gateway's own loggers in the same form |
| `redaction` | no key is ever written |
"""

from bifrost_trio.telemetry.exposition import FamilyCollector
from bifrost_trio.telemetry.ledger import Ledger, expose, merge
from bifrost_trio.telemetry.logs import LogMode, configure_logging
from bifrost_trio.telemetry.telemetry import LEARNED_MODELS, Telemetry

__all__ = [
    "LEARNED_MODELS",
    "FamilyCollector",
    "Ledger",
    "LogMode",
    "Telemetry",
    "configure_logging",
    "expose",
    "merge",
]
