//! Messages of the gateway's own.

use super::{CHECKSUM, MAX_MESSAGE_HEADERS, PRELUDE, crc32};
use crate::wire::{MAX_EVENT, MAX_HEADERS, WireError};

/// The kind of a value that is a string.
const STRING: u8 = 7;
/// Bytes of a string, as the specification limits them.
const MAX_STRING: usize = 32_767;

/// One message with headers that are strings.
pub fn render(headers: &[(&str, &str)], payload: &[u8]) -> Result<Vec<u8>, WireError> {
    if headers.len() > MAX_HEADERS {
        return Err(WireError::value("more than 128 headers"));
    }
    let mut message = Vec::with_capacity(PRELUDE + 32 * headers.len() + payload.len() + CHECKSUM);
    message.resize(PRELUDE, 0);
    for (index, (name, value)) in headers.iter().enumerate() {
        if headers[..index].iter().any(|(known, _)| known == name) {
            return Err(WireError::value(format!("a header twice: {name:?}")));
        }
        header(&mut message, name, value)?;
    }
    let headers = message.len() - PRELUDE;
    let total = message.len() + payload.len() + CHECKSUM;
    if headers > MAX_MESSAGE_HEADERS || total > MAX_EVENT {
        return Err(WireError::value("a message that is too large"));
    }
    message[..4].copy_from_slice(&number(total));
    message[4..8].copy_from_slice(&number(headers));
    let checksum = crc32(&message[..8]).to_be_bytes();
    message[8..PRELUDE].copy_from_slice(&checksum);
    message.extend_from_slice(payload);
    let checksum = crc32(&message).to_be_bytes();
    message.extend_from_slice(&checksum);
    Ok(message)
}

fn header(message: &mut Vec<u8>, name: &str, value: &str) -> Result<(), WireError> {
    let length = u8::try_from(name.len()).ok().filter(|&length| length > 0);
    let length = length.ok_or_else(|| WireError::value("a header's name is empty or longer than 255 bytes"))?;
    let size = u16::try_from(value.len()).ok().filter(|&size| usize::from(size) <= MAX_STRING);
    let size = size.ok_or_else(|| WireError::value("a header's value is longer than 32,767 bytes"))?;
    message.push(length);
    message.extend_from_slice(name.as_bytes());
    message.push(STRING);
    message.extend_from_slice(&size.to_be_bytes());
    message.extend_from_slice(value.as_bytes());
    Ok(())
}

/// The last four bytes of a number that was checked to have no more.
fn number(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}
