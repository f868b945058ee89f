//! Parsers and renderers without I/O, clock or Python. Three outcomes: a fact, "more, please" (`None`), or an error.
#![forbid(unsafe_code)]
