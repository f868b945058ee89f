"""Tests without a network: a whole gateway in memory, providers that play what they are told."""

from bifrost_trio.mock import End, Pause, Received, Script, in_pieces, streamed, whole
from bifrost_trio.testing.client import Client, ClientAnswer, ClientStream
from bifrost_trio.testing.gateway import MemoryGateway, Upstreams, config_for_tests, gateway_in_memory
from bifrost_trio.testing.upstream import Connecting, PlayedAnswer, ScriptedUpstream

__all__ = [
    "Client",
    "ClientAnswer",
    "ClientStream",
    "Connecting",
    "End",
    "MemoryGateway",
    "Pause",
    "PlayedAnswer",
    "Received",
    "Script",
    "ScriptedUpstream",
    "Upstreams",
    "config_for_tests",
    "gateway_in_memory",
    "in_pieces",
    "streamed",
    "whole",
]
