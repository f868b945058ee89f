//! Classes of bytes (RFC 9110 section 5.6, RFC 3986 appendix A).

use std::ops::Range;

const TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");
/// What may stand in a path or query. RFC 3986, and what URL writers of browsers leave bare in a query (WHATWG URL,
/// "query percent-encode set"); neither ``#`` nor the backslash, which some readers take for a slash.
const TARGET: [bool; 256] = table(b"-._~!$&'()*+,;=:@/?%[]{}|^`");
/// A registered name or IPv4 address (RFC 3986 section 3.2.2).
const NAME: [bool; 256] = table(b"-._~!$&'()*+,;=%");
/// Inside the brackets of an IPv6 or later address, zone included (RFC 6874).
const LITERAL: [bool; 256] = table(b"-._~!$&'()*+,;=:%");

/// Letters, digits and the ones given.
const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Bytes from the start on that are of a token.
pub(crate) fn token_length(text: &[u8]) -> usize {
    text.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(text.len())
}

pub(crate) fn is_target(text: &[u8]) -> bool {
    text.iter().all(|&byte| TARGET[usize::from(byte)])
}

/// RFC 9110 section 5.5: no control character but the tab. Folded without an early exit, so that it is vectorised.
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    value.iter().fold(0, |bad, &byte| bad | u8::from(byte.is_ascii_control() && byte != b'\t')) == 0
}

/// Where the text from ``start`` on stands without optional white space (RFC 9110 section 5.6.3) at both ends.
pub(crate) fn trimmed(text: &[u8], mut start: usize) -> Range<usize> {
    let blank = |byte: u8| byte == b' ' || byte == b'\t';
    let mut end = text.len();
    while start < end && blank(text[start]) {
        start += 1;
    }
    while start < end && blank(text[end - 1]) {
        end -= 1;
    }
    start..end
}

pub(crate) fn trim(text: &[u8]) -> &[u8] {
    &text[trimmed(text, 0)]
}

/// ``uri-host [ ":" port ]`` (RFC 9110 section 7.2). An empty one is of the grammar.
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let port = if let [b'[', rest @ ..] = text {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let address = &rest[..end];
        if !address.contains(&b':') || !address.iter().all(|&byte| LITERAL[usize::from(byte)]) {
            return false;
        }
        &rest[end + 1..]
    } else {
        let end = memchr::memchr(b':', text).unwrap_or(text.len());
        if !text[..end].iter().all(|&byte| NAME[usize::from(byte)]) {
            return false;
        }
        &text[end..]
    };
    match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// ``1*DIGIT`` (RFC 9110 section 8.6); None for anything else, and for what 64 bits cannot hold.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, &byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}
