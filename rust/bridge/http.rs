//! HTTP/1.1 for Python: requests, answers, rendering.
