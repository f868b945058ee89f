//! Amazon's event streams (`application/vnd.amazon.eventstream`), cut anywhere.
//!
//! A message is: its length and that of its headers (big-endian, 32 bits each), the checksum of these eight bytes, the
//! headers, the payload, the checksum of all before. <https://smithy.io/2.0/aws/amazon-eventstream.html>

mod crc;
mod headers;
mod render;

pub use crc::crc32;
pub use render::render;

use super::{MAX_EVENT, WireError};
use headers::Headers;

/// Two lengths and their checksum.
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;
/// Bytes of the headers of one message, as the specification limits them.
pub const MAX_MESSAGE_HEADERS: usize = 128 * 1024;

/// One message, of its headers those that say what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// `:message-type`: `event`, `exception` or `error`; empty where there is none.
    pub kind: &'a [u8],
    /// `:event-type`, `:exception-type` or `:error-code`.
    pub name: &'a [u8],
    /// `:error-message`, which an `error` has in place of a payload.
    pub complaint: &'a [u8],
    pub payload: &'a [u8],
}

/// Takes reads, gives messages. One that came in one read is handed out without a copy.
#[derive(Debug, Default)]
pub struct MessageReader {
    /// The beginning of a message that was cut.
    held: Vec<u8>,
    /// Its length; 0 until its prelude has come.
    total: usize,
}

impl MessageReader {
    /// Calls `take` with each message that is complete now. After an error the stream cannot be read on.
    pub fn feed(
        &mut self,
        read: &[u8],
        mut take: impl FnMut(Message<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut rest = self.complete(read, &mut take)?;
        while let Some((lengths, _)) = rest.split_first_chunk::<PRELUDE>() {
            let total = total_length(lengths)?;
            let Some((message, behind)) = rest.split_at_checked(total) else {
                self.total = total;
                break;
            };
            take(read_message(message)?)?;
            rest = behind;
        }
        self.held.extend_from_slice(rest);
        Ok(())
    }

    /// Whether no message is under way.
    pub fn boundary(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes what the message under way lacks; what follows it.
    fn complete<'a>(
        &mut self,
        mut rest: &'a [u8],
        take: &mut impl FnMut(Message<'_>) -> Result<(), WireError>,
    ) -> Result<&'a [u8], WireError> {
        while !self.held.is_empty() {
            let wanted = if self.total == 0 { PRELUDE } else { self.total };
            let (more, behind) = rest.split_at(rest.len().min(wanted - self.held.len()));
            self.held.extend_from_slice(more);
            rest = behind;
            if self.held.len() < wanted {
                break;
            }
            match self.held.first_chunk() {
                Some(lengths) if self.total == 0 => self.total = total_length(lengths)?,
                _ => {
                    take(read_message(&self.held)?)?;
                    self.held.clear();
                    self.total = 0;
                }
            }
        }
        Ok(rest)
    }
}

/// The length of a message, from its prelude.
fn total_length(prelude: &[u8; PRELUDE]) -> Result<usize, WireError> {
    if crc32(&prelude[..8]) != number(&prelude[8..]) {
        return Err(broken("the checksum of the lengths is wrong"));
    }
    let (total, headers) = (length(&prelude[..4]), length(&prelude[4..8]));
    if total > MAX_EVENT {
        return Err(broken("more than 16 MiB"));
    }
    if headers > MAX_MESSAGE_HEADERS {
        return Err(broken("more than 128 KiB of headers"));
    }
    if total < PRELUDE + headers + CHECKSUM {
        return Err(broken("shorter than its parts"));
    }
    Ok(total)
}

/// Reads a message that is whole, and whose prelude has been checked.
fn read_message(message: &[u8]) -> Result<Message<'_>, WireError> {
    let (checked, checksum) = message.split_at(message.len() - CHECKSUM);
    if crc32(checked) != number(checksum) {
        return Err(broken("its checksum is wrong"));
    }
    let (headers, payload) = checked[PRELUDE..].split_at(length(&message[4..8]));
    let mut read = Message { payload, ..Message::default() };
    for header in Headers::new(headers) {
        let (name, text) = header?;
        let place = match name {
            b":message-type" => &mut read.kind,
            b":event-type" | b":exception-type" | b":error-code" => &mut read.name,
            b":error-message" => &mut read.complaint,
            _ => continue,
        };
        *place = text.unwrap_or_default();
    }
    Ok(read)
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

fn length(bytes: &[u8]) -> usize {
    // On a machine where it does not fit, it is beyond every limit.
    usize::try_from(number(bytes)).unwrap_or(usize::MAX)
}

fn broken(what: &str) -> WireError {
    WireError::answer(format!("a message of Amazon's event stream: {what}"))
}
