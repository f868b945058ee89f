//! Streams of one JSON text per line (NDJSON), cut anywhere.

use memchr::memchr;

use super::{MAX_EVENT, WireError};

/// Takes reads, gives lines. A line that came in one read is handed out without a copy.
///
/// A line ends with LF or CR LF, the last one too: what has no end is not whole, and is not handed out.
#[derive(Debug, Default)]
pub struct LineReader {
    /// The beginning of a line that was cut.
    line: Vec<u8>,
}

impl LineReader {
    /// Calls `take` with each line that is complete now and not empty. After an error the stream cannot be read on.
    pub fn feed(&mut self, read: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), WireError>) -> Result<(), WireError> {
        let mut rest = read;
        while let Some(end) = memchr(b'\n', rest) {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            self.check_size(line)?;
            if self.line.is_empty() {
                whole(line, &mut take)?;
            } else {
                self.line.extend_from_slice(line);
                whole(&self.line, &mut take)?;
                self.line.clear();
            }
        }
        self.check_size(rest)?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// Whether no line is under way.
    pub fn boundary(&self) -> bool {
        self.line.is_empty()
    }

    fn check_size(&self, more: &[u8]) -> Result<(), WireError> {
        if self.line.len() + more.len() > MAX_EVENT {
            return Err(WireError::answer("a line of more than 16 MiB"));
        }
        Ok(())
    }
}

/// Empty lines keep a connection alive; they say nothing.
fn whole(line: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), WireError>) -> Result<(), WireError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.trim_ascii().is_empty() { Ok(()) } else { take(line) }
}
