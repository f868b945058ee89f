"""The transport station: from a client's HTTP request to a `Call`, and from whatever became of it to one answer.

| file | what |
|---|---|
| `routes` | one table: path and method to operation, format and handler |
| `inference` | the handler of every inference route: body, call, settling |
| `reading` | the body of a request: its size, its time, its share of memory; scanned as it comes |
| `admission` | required headers, and pages of other origins (CORS) |
| `options` | what the client's ``x-bf-*`` headers ask for |
| `reply` | the client's end of a call: states, ``extra_fields``, ``x-bf-*`` headers |
| `failures` | any error to one answer in the client's own error shape |
| `heartbeat` | comments for clients that wait for a stream |
| `listing` | ``GET /v1/models`` |
| `observation` | ``/health`` and ``/metrics`` |
| `station` | the station: finds the route, calls its handler |
| `asgi` | the same station as an ASGI application |
"""

from bifrost_trio.transport.admission import Admission
from bifrost_trio.transport.asgi import AsgiCalls, AsgiTransport
from bifrost_trio.transport.heartbeat import Heartbeat
from bifrost_trio.transport.inference import Inference
from bifrost_trio.transport.listing import Listing
from bifrost_trio.transport.observation import Observation
from bifrost_trio.transport.reading import BodyBudget
from bifrost_trio.transport.reply import ClientReply
from bifrost_trio.transport.routes import Handler, Route, inference_routes
from bifrost_trio.transport.station import Transport

__all__ = [
    "Admission",
    "AsgiCalls",
    "AsgiTransport",
    "BodyBudget",
    "ClientReply",
    "Handler",
    "Heartbeat",
    "Inference",
    "Listing",
    "Observation",
    "Route",
    "Transport",
    "inference_routes",
]
