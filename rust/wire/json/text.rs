//! Strings (RFC 8259 section 7): finding where one ends, reading and writing its escapes.

use std::borrow::Cow;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = LOW << 7;
const QUOTES: u64 = LOW * b'"' as u64;
const BACKSLASHES: u64 = LOW * b'\\' as u64;
const SPACES: u64 = LOW * b' ' as u64;
/// Bytes that the compiler turns into two vector registers.
const BLOCK: usize = 32;

/// The first byte from `at` on that is a quote, a backslash or a control character; the length if there is none.
#[inline]
pub(super) fn plain_run(bytes: &[u8], mut at: usize) -> usize {
    // Most strings of a request are short names and words: two looks at eight bytes find their ends.
    for _ in 0..2 {
        match word(bytes, at).map(special) {
            Some(0) => at += 8,
            Some(hits) => return at + first(hits),
            None => return slow_run(bytes, at),
        }
    }
    long_run(bytes, at)
}

fn long_run(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()).is_some_and(is_plain) {
        at += BLOCK;
    }
    while let Some(hits) = word(bytes, at).map(special) {
        if hits != 0 {
            return at + first(hits);
        }
        at += 8;
    }
    slow_run(bytes, at)
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// A word whose lowest set bit stands in the first special byte. Bits above it may be wrong (borrows), none below.
#[inline]
fn special(word: u64) -> u64 {
    let control = word.wrapping_sub(SPACES);
    let quote = (word ^ QUOTES).wrapping_sub(LOW);
    let backslash = (word ^ BACKSLASHES).wrapping_sub(LOW);
    (control | quote | backslash) & !word & HIGH
}

#[inline]
fn first(hits: u64) -> usize {
    (hits.trailing_zeros() / 8) as usize
}

#[inline]
fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

#[inline]
fn is_plain(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(0, |hit, &byte| hit | u8::from(is_special(byte))) == 0
}

#[inline(never)]
fn slow_run(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|&byte| is_special(byte)).map_or(bytes.len(), |found| at + found)
}

#[inline]
pub(super) fn is_simple_escape(letter: u8) -> bool {
    matches!(letter, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')
}

/// What an escape's letter stands for; None for `u`.
fn simple_escape(letter: u8) -> Option<u8> {
    match letter {
        b'"' | b'\\' | b'/' => Some(letter),
        b'b' => Some(0x08),
        b'f' => Some(0x0c),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        _ => None,
    }
}

/// The text of a string, from what stands between its quotes. A lone surrogate becomes U+FFFD.
///
/// The string has been checked; of one that has not, nothing may be left.
pub fn unescape(raw: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(std::str::from_utf8(raw).unwrap_or_default());
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        rest = unescape_one(&rest[at + 1..], &mut text);
    }
    text.extend_from_slice(rest);
    Cow::Owned(String::from_utf8(text).unwrap_or_default())
}

/// Reads the escape whose backslash has been taken; what follows it.
fn unescape_one<'a>(rest: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let Some((&letter, after)) = rest.split_first() else { return rest };
    if let Some(byte) = simple_escape(letter) {
        text.push(byte);
        return after;
    }
    let Some((unit, mut after)) = hex(after) else { return after };
    let mut code = u32::from(unit);
    if (0xD800..0xDC00).contains(&code) {
        if let Some((low @ 0xDC00..=0xDFFF, further)) = after.strip_prefix(b"\\u").and_then(hex) {
            code = 0x1_0000 + ((code - 0xD800) << 10) + (u32::from(low) - 0xDC00);
            after = further;
        }
    }
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    after
}

fn hex(rest: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, after) = rest.split_at_checked(4)?;
    let unit = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some((unit, after))
}

/// A text as it stands between the quotes of a string.
pub fn escape(text: &str) -> Cow<'_, str> {
    if plain_run(text.as_bytes(), 0) == text.len() {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            '\0'..='\x1f' => {
                escaped.push_str(if character < '\x10' { "\\u000" } else { "\\u001" });
                escaped.extend(char::from_digit(u32::from(character) % 16, 16));
            }
            _ => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}
