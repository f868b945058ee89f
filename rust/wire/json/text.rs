//! Strings (RFC 8259 section 7): finding where one ends, reading and writing its escapes.

use std::borrow::Cow;

use wide::u8x16;

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// The first byte from `at` on that is a quote, a backslash or a control character; the length if there is none.
#[inline]
pub(super) fn plain_run(bytes: &[u8], mut at: usize) -> usize {
    // Most strings of a request are short names and words, and in text an escape is rarely far.
    for _ in 0..2 {
        let Some(block) = block(bytes, at) else { return last_run(bytes, at) };
        match specials(block) {
            0 => at += BLOCK,
            hits => return at + first(hits),
        }
    }
    at = plain_blocks(bytes, at);
    while let Some(block) = block(bytes, at) {
        match specials(block) {
            0 => at += BLOCK,
            hits => return at + first(hits),
        }
    }
    last_run(bytes, at)
}

/// Where the last of four blocks ends that have nothing special in them: what has come far mostly goes on.
fn plain_blocks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(blocks) = bytes.get(at..).and_then(|rest| rest.first_chunk::<{ BLOCK * 4 }>()) {
        let (blocks, _) = blocks.as_chunks::<BLOCK>();
        if blocks.iter().fold(0, |hits, block| hits | specials(block)) != 0 {
            break;
        }
        at += BLOCK * 4;
    }
    at
}

/// The same, also past escapes of one letter. An escape that is cut is left where it begins.
pub(super) fn text_run(bytes: &[u8], mut at: usize) -> usize {
    let mut plain = 0;
    while let Some(block) = block(bytes, at) {
        match specials(block) {
            0 => {
                at += BLOCK;
                plain += 1;
                if plain == 4 {
                    at = plain_blocks(bytes, at);
                    plain = 0;
                }
            }
            hits => {
                plain = 0;
                match escaped_run(block, hits) {
                    (length, false) => return at + length,
                    (length, true) => at += length,
                }
            }
        }
    }
    loop {
        at = last_run(bytes, at);
        match bytes.get(at..).unwrap_or_default() {
            [b'\\', letter, ..] if is_simple_escape(*letter) => at += 2,
            _ => return at,
        }
    }
}

/// How much of a block is text, and whether more may follow.
#[inline]
fn escaped_run(block: &[u8; BLOCK], mut hits: u32) -> (usize, bool) {
    while hits != 0 {
        let at = first(hits);
        match block[at..] {
            [b'\\', letter, ..] if is_simple_escape(letter) => hits &= !(0b11 << at),
            // Its letter stands in the next block.
            [b'\\'] => return (at, true),
            _ => return (at, false),
        }
    }
    (BLOCK, true)
}

/// As `plain_run`, of fewer bytes than a block.
#[inline]
fn last_run(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|&byte| is_special(byte)).map_or(bytes.len(), |found| at + found)
}

#[inline]
fn block(bytes: &[u8], at: usize) -> Option<&[u8; BLOCK]> {
    bytes.get(at..)?.first_chunk()
}

#[inline]
fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// A bit for each special byte of a block, the first byte's lowest.
#[inline]
fn specials(block: &[u8; BLOCK]) -> u32 {
    let bytes = u8x16::from(*block);
    let controls = bytes.min(u8x16::splat(b' ' - 1)).cmp_eq(bytes);
    let found = controls | bytes.cmp_eq(u8x16::splat(b'"')) | bytes.cmp_eq(u8x16::splat(b'\\'));
    found.move_mask().cast_unsigned()
}

#[inline]
fn first(hits: u32) -> usize {
    hits.trailing_zeros() as usize
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
    if (0xD800..0xDC00).contains(&code)
        && let Some((low @ 0xDC00..=0xDFFF, further)) = after.strip_prefix(b"\\u").and_then(hex)
    {
        code = 0x1_0000 + ((code - 0xD800) << 10) + (u32::from(low) - 0xDC00);
        after = further;
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
