//! Time. Durations come from the monotonic clock, marks in chunks from the wall clock, which two processes share.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970: sixteen decimal digits until the year 2286.
pub(crate) fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
