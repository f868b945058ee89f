//! Parsers and renderers without I/O, clock or Python. Three outcomes: a fact, "more, please" (`None`), or an error.
#![forbid(unsafe_code)]

pub mod amazon;
pub mod answer;
mod base64;
mod body;
mod chars;
pub mod envelope;
pub mod error;
mod frames;
pub mod framing;
mod handshake;
mod head;
mod inbox;
pub mod json;
mod members;
pub mod ndjson;
pub mod render;
pub mod request;
pub mod response;
pub mod splice;
pub mod sse;
pub mod stream_scan;
mod target;
pub mod usage;

pub use body::Pieces;
pub use error::WireError;
pub use head::Fields;
pub use usage::Usage;

/// Bytes of a head, start line included: room for long cookies, small enough that a thousand idle clients cost 64 MB.
pub const MAX_HEAD: usize = 64 * 1024;
/// Header lines of one head: browsers behind several proxies send about 40.
pub const MAX_HEADERS: usize = 128;
/// Bytes of a request target: RFC 9112 section 3 asks for 8,000 at least.
pub const MAX_TARGET: usize = 8 * 1024;
/// Bytes of chunk extensions over one body: nobody uses them, and without a bound they are a free flood.
pub const MAX_CHUNK_EXTENSION: usize = 4 * 1024;
/// Bytes of a trailer section.
pub const MAX_TRAILERS: usize = 8 * 1024;
/// Nesting of a JSON body.
pub const MAX_DEPTH: usize = 512;
/// Members of one JSON object at the top level.
pub const MAX_MEMBERS: usize = 1024;
/// Bytes of one event of an event stream: an image in base64 fits.
pub const MAX_EVENT: usize = 16 * 1024 * 1024;
