"""Tests without a network: a whole gateway in memory, providers that play what they are told.

The whole path runs, from the server's socket to the upstream's, but the sockets are pairs within the process. With
Trio's ``autojump_clock`` (pytest-trio) minutes of waiting pass in no time. A plugin and its test::

    from bifrost_trio.plugins import Plugin
    from bifrost_trio.testing import ScriptedUpstream, gateway_in_memory


    class Polite(Plugin):
        def before(self, call):
            call.request["messages"][-1]["content"] += " Please."
            call.request = call.request  # what is changed in place is set again


    async def test_polite(autojump_clock):
        upstream = ScriptedUpstream("status=500 times=1")  # fails once, then repeats what it is told
        async with gateway_in_memory(plugins=[Polite({})], upstream=upstream) as gateway:
            answer = await gateway.ask("Tell me a story.")
            assert answer.text == "You said: Tell me a story. Please."
            assert len(upstream.requests) == 2
            await gateway.quiet()  # every worker, connection and call is home

| what | |
|---|---|
| `gateway_in_memory` | a running gateway: ``ask``, ``client``, ``quiet``, ``assert_home`` |
| `config_for_tests` | a configuration whose providers are at ``http://NAME.test`` |
| `ScriptedUpstream` | a provider: plays words of `mock.behaviour`, recorded bytes, scripts, functions; keeps requests |
| `hanging_upstream` | a provider that falls silent in a chosen phase |
| `whole`, `streamed`, `in_pieces` | scripts: an answer, an event stream, recorded bytes cut up |
| `Client` | a client: requests, streams, raw bytes, hang-ups, resets |

Sockets in pairs are Unix sockets. They differ from TCP in one thing: what the *gateway* resets looks to the client like
a close. Whether an answer was whole is told by its framing in both.
"""

from bifrost_trio.mock import End, Pause, Received, Script, in_pieces, streamed, whole
from bifrost_trio.testing.client import Client, ClientAnswer, ClientStream
from bifrost_trio.testing.gateway import MemoryGateway, Upstreams, config_for_tests, gateway_in_memory
from bifrost_trio.testing.hanging import Phase, hanging_upstream
from bifrost_trio.testing.upstream import Connecting, PlayedAnswer, ScriptedUpstream

__all__ = [
    "Client",
    "ClientAnswer",
    "ClientStream",
    "Connecting",
    "End",
    "MemoryGateway",
    "Pause",
    "Phase",
    "PlayedAnswer",
    "Received",
    "Script",
    "ScriptedUpstream",
    "Upstreams",
    "config_for_tests",
    "gateway_in_memory",
    "hanging_upstream",
    "in_pieces",
    "streamed",
    "whole",
]
