//! The Rust half of bifrost-trio. `wire` takes bytes and gives facts; `bridge` is the only door to Python.
#![deny(clippy::unwrap_used, clippy::expect_used)]

pub mod wire;

#[cfg(feature = "python")]
mod bridge;
