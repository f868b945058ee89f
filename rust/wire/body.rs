//! The body of a message (RFC 9112 sections 6 and 7), decoded as it arrives.

use std::ops::Range;

use super::chars::{is_field_value, is_token_byte};
use super::head::{Fault, check_trailer};
use super::{MAX_CHUNK_EXTENSION, MAX_TRAILERS};

/// Hexadecimal digits of a chunk size, leading zeros included: what 64 bits hold.
const MAX_CHUNK_DIGITS: u8 = 16;

/// What of a body a read gave: parts of what was read, without the framing between them.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    source: &'a [u8],
    ranges: &'a [Range<usize>],
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(source: &'a [u8], ranges: &'a [Range<usize>]) -> Self {
        Self { source, ranges }
    }

    pub fn len(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// All of it, where it stands in one piece.
    pub fn as_slice(&self) -> Option<&'a [u8]> {
        match self.ranges {
            [] => Some(b""),
            [range] => Some(&self.source[range.clone()]),
            _ => None,
        }
    }

    /// Copies all of it to the start of ``target``, which must have room for ``len`` bytes.
    pub fn copy_to(&self, target: &mut [u8]) {
        let mut at = 0;
        for range in self.ranges {
            target[at..at + range.len()].copy_from_slice(&self.source[range.clone()]);
            at += range.len();
        }
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut copy = vec![0; self.len()];
        self.copy_to(&mut copy);
        copy
    }
}

/// How the end of a body is known (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delimiter {
    Length(u64),
    Chunks,
    Close,
}

/// Where in a body the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Done,
    Length,
    UntilClose,
    /// ``chunk-size``
    Size,
    SizeBlank,
    /// Before and in ``chunk-ext-name``.
    NameStart,
    Name,
    NameBlank,
    /// Before and in ``chunk-ext-val``.
    ValueStart,
    Value,
    ValueBlank,
    Quoted,
    Escaped,
    QuotedEnd,
    /// The line feed of a chunk's first line.
    SizeEnd,
    Data,
    DataReturn,
    DataFeed,
    Trailers,
}

/// Reads one body. Cost is linear in the bytes, however they are cut.
#[derive(Debug, Default)]
pub(crate) struct Body {
    state: State,
    /// Bytes that are still to come, of the body or of the chunk.
    remaining: u64,
    digits: u8,
    extension: usize,
    trailers: usize,
    /// The trailer line that is not complete yet.
    line: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Body {
    pub(crate) fn begin(&mut self, delimiter: Delimiter) {
        self.ranges.clear();
        self.line.clear();
        (self.remaining, self.digits, self.extension, self.trailers) = (0, 0, 0, 0);
        self.state = match delimiter {
            Delimiter::Length(0) => State::Done,
            Delimiter::Length(length) => {
                self.remaining = length;
                State::Length
            }
            Delimiter::Chunks => State::Size,
            Delimiter::Close => State::UntilClose,
        };
    }

    pub(crate) fn complete(&self) -> bool {
        self.state == State::Done
    }

    /// The connection was closed; whether that was the end of the body.
    pub(crate) fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.complete()
    }

    /// Where in the buffer of the last `feed` the decoded bytes stand.
    pub(crate) fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// Reads on from ``start``; up to where the bytes belong to this body.
    pub(crate) fn feed(&mut self, buffer: &[u8], start: usize) -> Result<usize, Fault> {
        self.ranges.clear();
        let mut at = start;
        while at < buffer.len() {
            match self.state {
                State::Done => break,
                State::UntilClose => {
                    self.ranges.push(at..buffer.len());
                    at = buffer.len();
                }
                State::Length => at = self.take(buffer, at, State::Done),
                State::Data => at = self.take(buffer, at, State::DataReturn),
                State::Trailers => at = self.trailer(buffer, at)?,
                _ => {
                    self.state = self.chunk_line(buffer[at])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    fn take(&mut self, buffer: &[u8], at: usize, next: State) -> usize {
        let here = buffer.len() - at;
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let end = at + here.min(wanted);
        self.ranges.push(at..end);
        self.remaining -= (end - at) as u64;
        if self.remaining == 0 {
            self.state = next;
        }
        end
    }

    /// One byte of what stands between the data of two chunks (RFC 9112 section 7.1).
    fn chunk_line(&mut self, byte: u8) -> Result<State, Fault> {
        match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => self.size_digit(byte),
            (State::Size, b'\r') if self.digits > 0 => Ok(State::SizeEnd),
            (State::Size | State::SizeBlank, b';') if self.digits > 0 => Ok(State::NameStart),
            (State::Size | State::SizeBlank, b' ' | b'\t') if self.digits > 0 => self.extended(State::SizeBlank),
            (State::Size | State::SizeBlank, _) => Err(Fault::bad("a malformed chunk size")),
            (State::Name | State::Value | State::QuotedEnd, b'\r') => Ok(State::SizeEnd),
            (State::SizeEnd, b'\n') if self.remaining == 0 => Ok(State::Trailers),
            (State::SizeEnd, b'\n') => Ok(State::Data),
            (State::DataReturn, b'\r') => Ok(State::DataFeed),
            (State::DataFeed, b'\n') => {
                self.digits = 0;
                Ok(State::Size)
            }
            (State::DataReturn | State::DataFeed, _) => Err(Fault::bad("a chunk longer than its size")),
            _ => match extension(self.state, byte) {
                Some(next) => self.extended(next),
                None => Err(Fault::bad("a malformed chunk extension")),
            },
        }
    }

    fn size_digit(&mut self, byte: u8) -> Result<State, Fault> {
        if self.digits == MAX_CHUNK_DIGITS {
            return Err(Fault::bad("a chunk size with too many digits"));
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.digits += 1;
        self.remaining = self.remaining << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn extended(&mut self, next: State) -> Result<State, Fault> {
        self.extension += 1;
        if self.extension > MAX_CHUNK_EXTENSION {
            return Err(Fault::bad("too many bytes of chunk extensions"));
        }
        Ok(next)
    }

    /// A line of the trailer section, or as much of it as is there; behind it.
    fn trailer(&mut self, buffer: &[u8], at: usize) -> Result<usize, Fault> {
        let found = memchr::memchr(b'\n', &buffer[at..]);
        let end = found.map_or(buffer.len(), |length| at + length + 1);
        self.trailers += end - at;
        if self.trailers > MAX_TRAILERS {
            return Err(Fault::of(431, "the trailer section is too large"));
        }
        self.line.extend_from_slice(&buffer[at..end]);
        if found.is_none() {
            return Ok(end);
        }
        match self.line.strip_suffix(b"\r\n") {
            None => return Err(Fault::bad("a trailer line that does not end with CR LF")),
            Some(b"") => self.state = State::Done,
            Some(text) => check_trailer(text)?,
        }
        self.line.clear();
        Ok(end)
    }
}

/// What follows in a chunk extension (RFC 9112 section 7.1.1), white space where section 7.1.1 allows it.
fn extension(state: State, byte: u8) -> Option<State> {
    let blank = byte == b' ' || byte == b'\t';
    Some(match (state, byte) {
        (State::NameStart, _) if blank => State::NameStart,
        (State::NameStart | State::Name, _) if is_token_byte(byte) => State::Name,
        (State::Name | State::NameBlank, b'=') => State::ValueStart,
        (State::Name | State::NameBlank, _) if blank => State::NameBlank,
        (State::Name | State::NameBlank | State::Value | State::ValueBlank | State::QuotedEnd, b';') => {
            State::NameStart
        }
        (State::ValueStart, _) if blank => State::ValueStart,
        (State::ValueStart, b'"') => State::Quoted,
        (State::ValueStart | State::Value, _) if is_token_byte(byte) => State::Value,
        (State::Value | State::ValueBlank | State::QuotedEnd, _) if blank => State::ValueBlank,
        (State::Quoted, b'"') => State::QuotedEnd,
        (State::Quoted, b'\\') => State::Escaped,
        (State::Quoted | State::Escaped, _) if is_field_value(&[byte]) => State::Quoted,
        _ => return None,
    })
}
