"""What happened, for people and machines: metrics, one log line per call."""

from bifrost_trio.telemetry.telemetry import Telemetry

__all__ = ["Telemetry"]
