"""Every metric there is. The names are Bifrost's where it has one; ``method`` is its word for the operation."""

from __future__ import annotations

from bifrost_trio.telemetry.families import Labels, Metric

__all__ = [
    "ACTIVE",
    "BEGUN",
    "BODY_BYTES",
    "BODY_LIMIT",
    "BODY_REFUSED",
    "CACHED_TOKENS",
    "CACHE_WRITE_TOKENS",
    "CANCELLED",
    "CLIENTS",
    "CLIENTS_ACCEPTED",
    "CLIENTS_FILLED",
    "CONNECTIONS",
    "CONNECTIONS_MADE",
    "ERROR",
    "FIRST_TOKEN",
    "HTTP_DURATION",
    "HTTP_REQUESTS",
    "INPUT_TOKENS",
    "KEY_ROTATION",
    "LATENCY",
    "LOG_LINES",
    "OUTPUT_TOKENS",
    "OVERFLOW",
    "OVERHEAD",
    "OVERHEAD_LATENCY",
    "PLUGINS_LATE",
    "PLUGIN_ERRORS",
    "POLLER_BUCKETS",
    "POLLER_SOCKETS",
    "POLLER_WAITING",
    "REASONING_TOKENS",
    "REFUSED",
    "REQUEST_RETRIES",
    "RETRIES",
    "SETTLED",
    "SETTLE_FAILURES",
    "STALE_RETRIES",
    "SUCCESS",
    "TASKS",
    "UNREADABLE",
    "UPSTREAM",
    "UPSTREAM_LATENCY",
    "WORKERS_BUSY",
    "WORKERS_IDLE",
    "WORKERS_LIMIT",
    "WORKERS_REFUSED",
    "WORKERS_WAITING",
    "WORKER_DEATHS",
    "WORKER_SILENT",
]

LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds: from an embedding beside the gateway to the time limit of a whole answer."""
OVERHEAD = (10.0, 20.0, 30.0, 40.0, 50.0, 75.0, 100.0, 150.0, 250.0, 500.0, 1e3, 2.5e3, 1e4, 1e5, 1e6, 1e7)
"""Microseconds: fine where the gateway's own work lies, coarse where a call stood in the queue."""
RETRIES = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0)

CALL: Labels = ("provider", "model", "method", "stream")
"""The labels of everything that is counted by call."""


def _counter(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, help, "counter", labels)


def _gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, help, "gauge", labels)


def _histogram(name: str, help: str, bounds: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name, help, "histogram", labels, bounds)


# --- calls ------------------------------------------------------------------------------------------------------------

UPSTREAM = _counter("bifrost_upstream_requests_total", "Attempts: requests to providers.", *CALL)
SUCCESS = _counter("bifrost_success_requests_total", "Calls that were answered.", *CALL)
ERROR = _counter("bifrost_error_requests_total", "Calls that failed.", *CALL, "status_code", "error_type")
CANCELLED = _counter(
    "bifrost_cancelled_requests_total",
    "Calls whose client left. cancelled: a hang-up ended the call; the others: a write to the client found out.",
    *CALL,
    "error_type",
)
UPSTREAM_LATENCY = _histogram(
    "bifrost_upstream_latency_seconds",
    "One attempt, from its request to the end of its answer; those that the client's leaving cut short are left out.",
    LATENCY,
    *CALL,
    "is_success",
)
OVERHEAD_LATENCY = _histogram(
    "bifrost_overhead_latency_microseconds",
    "From when the kernel received the request until it has the last byte of the answer, less the wait for providers "
    "and the back-off between attempts; time in the queue included.",
    OVERHEAD,
    *CALL,
)
FIRST_TOKEN = _histogram(
    "bifrost_stream_first_token_latency_seconds", "Accept to the first output of a stream.", LATENCY, *CALL
)
INPUT_TOKENS = _counter("bifrost_input_tokens_total", "Input tokens, cached ones included.", *CALL)
OUTPUT_TOKENS = _counter("bifrost_output_tokens_total", "Output tokens, reasoning included.", *CALL)
CACHED_TOKENS = _counter("bifrost_cached_input_tokens_total", "Input tokens read from a provider's cache.", *CALL)
CACHE_WRITE_TOKENS = _counter("bifrost_cache_write_tokens_total", "Input tokens written to a provider's cache.", *CALL)
REASONING_TOKENS = _counter("bifrost_reasoning_tokens_total", "Output tokens spent on reasoning.", *CALL)
REQUEST_RETRIES = _histogram(
    "bifrost_request_retries", "Attempts of a call beyond the first one at each of its targets.", RETRIES, *CALL
)
KEY_ROTATION = _counter(
    "bifrost_key_rotation_events_total",
    "Changes to another key after an attempt failed; key_name is the one that was left.",
    "provider",
    "model",
    "key_name",
    "fail_reason",
)
HTTP_REQUESTS = _counter(
    "http_requests_total", "Requests to inference routes that became a call.", "path", "method", "status"
)
HTTP_DURATION = _histogram(
    "http_request_duration_seconds",
    "From the first byte to the last of requests to inference routes that became a call.",
    LATENCY,
    "path",
    "method",
    "status",
)
REFUSED = _counter(
    "bifrost_refused_requests_total",
    "Requests that never became a call: broken, to no route, too large. They have no line in the log.",
    "path",
    "status_code",
    "error_type",
)
ACTIVE = _gauge("bifrost_active_requests", "Calls that are open now.")
BEGUN = _counter("bifrost_begun_requests_total", "Calls that were begun.")
SETTLED = _counter("bifrost_settled_requests_total", "Calls that ended: answered, failed or cancelled.")

# --- what holds state -------------------------------------------------------------------------------------------------

WORKERS_LIMIT = _gauge("bifrost_workers_limit", "Calls that may be at work at once.", "provider")
WORKERS_BUSY = _gauge("bifrost_workers_busy", "Calls at work.", "provider")
WORKERS_IDLE = _gauge("bifrost_workers_idle", "Workers that wait for calls.", "provider")
WORKERS_WAITING = _gauge("bifrost_workers_waiting", "Calls that wait for a worker.", "provider")
WORKERS_REFUSED = _counter("bifrost_workers_refused_total", "Calls refused because the queue was full.", "provider")
CONNECTIONS = _gauge(
    "bifrost_upstream_connections", "Connections to providers; state: idle, busy.", "provider", "origin", "state"
)
CONNECTIONS_MADE = _counter(
    "bifrost_upstream_connections_made_total", "Connections to providers ever opened.", "provider", "origin"
)
STALE_RETRIES = _counter(
    "bifrost_upstream_stale_retries_total",
    "Requests sent again because a kept connection had been closed by the provider.",
    "provider",
    "origin",
)
CLIENTS = _gauge("bifrost_client_connections", "Connections of clients; state: idle, busy.", "state")
CLIENTS_ACCEPTED = _counter("bifrost_client_connections_accepted_total", "Connections of clients accepted.")
CLIENTS_FILLED = _counter(
    "bifrost_client_connections_filled_total", "Times that the last place was taken; the next one waits to be accepted."
)
BODY_BYTES = _gauge("bifrost_body_bytes", "Bytes of large request bodies in flight.")
BODY_LIMIT = _gauge("bifrost_body_limit_bytes", "Bytes that large request bodies may take together.")
BODY_REFUSED = _counter("bifrost_body_refused_total", "Requests refused for want of memory.")
POLLER_SOCKETS = _gauge("bifrost_poller_sockets", "Sockets in the poller's set.")
POLLER_WAITING = _gauge("bifrost_poller_waiting", "Sockets that somebody waits for.")
TASKS = _gauge("bifrost_tasks", "Trio tasks: one for each client connection, and a handful.")
POLLER_BUCKETS = _gauge("bifrost_poller_deadline_buckets", "Buckets of deadlines, 50 ms each.")
PLUGIN_ERRORS = _counter("bifrost_plugin_errors_total", "Hooks that raised an error of their own.", "plugin")
PLUGINS_LATE = _counter("bifrost_plugin_late_total", "After-hooks of cancelled calls cut short.")

# --- the telemetry itself ---------------------------------------------------------------------------------------------

OVERFLOW = _counter(
    "bifrost_metric_overflow_total", "Sets of label values that found no room and went to other.", "metric"
)
SETTLE_FAILURES = _counter("bifrost_settle_failures_total", "Calls that could not be counted: a fault of the gateway.")
LOG_LINES = _counter("bifrost_log_lines_total", "Lines of the log; result: written, dropped, lost.", "result")
WORKER_SILENT = _counter(
    "bifrost_worker_silent_total", "Times that a worker process did not tell its metrics in time.", "worker"
)
WORKER_DEATHS = _counter("bifrost_worker_retired_total", "Worker processes that ended; their counts are kept.")
UNREADABLE = _counter("bifrost_snapshot_unreadable_total", "Snapshots of metrics that could not be read or added.")
