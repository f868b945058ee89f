//! Event streams (WHATWG HTML, section "Server-sent events").
