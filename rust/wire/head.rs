//! The head of a message (RFC 9112 sections 2 to 5), line by line as it arrives.

use std::borrow::Cow;
use std::ops::Range;

use super::chars::{decimal, is_field_value, token_length, trim, trimmed};
use super::{MAX_HEAD, MAX_HEADERS};

/// What is wrong with a message, before it is known whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What a server answers with.
    pub(crate) status: u16,
    pub(crate) message: &'static str,
}

impl Fault {
    pub(crate) const fn bad(message: &'static str) -> Self {
        Self { status: 400, message }
    }

    pub(crate) const fn of(status: u16, message: &'static str) -> Self {
        Self { status, message }
    }
}

/// One field line: where its name and its value stand in the head.
#[derive(Clone, Debug)]
struct Line {
    name: Range<usize>,
    value: Range<usize>,
}

/// The field lines of a head: one buffer and where things stand in it. Names are lower case.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

impl Fields {
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (&self.bytes[line.name.clone()], &self.bytes[line.value.clone()]))
    }

    /// The value of the field; several lines are joined by a comma and a space (RFC 9110 section 5.3).
    pub fn get(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let mut values = self.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
        let mut joined = first.to_vec();
        for value in std::iter::once(second).chain(values) {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value);
        }
        Some(Cow::Owned(joined))
    }

    /// A head without field lines.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), lines: Vec::new() }
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    pub(crate) fn value(&self, index: usize) -> &[u8] {
        &self.bytes[self.lines[index].value.clone()]
    }

    /// Lets a field line show another part of the head.
    pub(crate) fn redirect(&mut self, index: usize, value: Range<usize>) {
        self.lines[index].value = value;
    }

    /// Adds a field line whose value is a part of the head.
    pub(crate) fn add(&mut self, name: &[u8], value: Range<usize>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.lines.push(Line { name: start..self.bytes.len(), value });
    }
}

/// What both kinds of heads say about framing and the connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    pub(crate) content_length: Option<u64>,
    /// A Transfer-Encoding field was there.
    pub(crate) coded: bool,
    pub(crate) chunked: bool,
    pub(crate) unknown_coding: bool,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
}

impl Framing {
    /// RFC 9112 section 9.3.
    pub(crate) fn persists(&self, minor: u8) -> bool {
        !self.close && (minor == 1 || self.keep_alive)
    }

    /// RFC 9112 section 6.3: whatever could be read in two ways is refused.
    pub(crate) fn check(&self, minor: u8) -> Result<(), Fault> {
        if !self.coded {
            return Ok(());
        }
        if self.content_length.is_some() {
            return Err(Fault::bad("both Content-Length and Transfer-Encoding"));
        }
        if minor == 0 {
            return Err(Fault::bad("Transfer-Encoding in an HTTP/1.0 message"));
        }
        if self.unknown_coding {
            // Where chunked is not the last one, nobody knows how long the body is.
            return Err(Fault::of(if self.chunked { 501 } else { 400 }, "a transfer coding other than chunked"));
        }
        Ok(())
    }

    /// Reads a field of framing or of the connection; whether it was one.
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<bool, Fault> {
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"connection") => self.note_connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.note_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.note_coding(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let length = decimal(value).ok_or(Fault::bad("a Content-Length that is not a number"))?;
        match self.content_length.replace(length) {
            None => Ok(()),
            Some(_) => Err(Fault::bad("more than one Content-Length")),
        }
    }

    fn note_coding(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.coded = true;
        for coding in value.split(|&byte| byte == b',').map(trim) {
            if self.chunked {
                return Err(Fault::bad("chunked is not the last transfer coding, or stands twice"));
            }
            let name = &coding[..token_length(coding)];
            let parameters = trim(&coding[name.len()..]);
            if name.is_empty() || !(parameters.is_empty() || parameters[0] == b';') {
                return Err(Fault::bad("a malformed Transfer-Encoding"));
            }
            self.chunked = name.eq_ignore_ascii_case(b"chunked");
            if self.chunked && coding.len() > name.len() {
                return Err(Fault::bad("chunked takes no parameters"));
            }
            self.unknown_coding |= !self.chunked;
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(trim) {
            match option.len() {
                5 => self.close |= option.eq_ignore_ascii_case(b"close"),
                7 => self.upgrade |= option.eq_ignore_ascii_case(b"upgrade"),
                10 => self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive"),
                _ => {}
            }
        }
    }
}

/// The side of the conversation: what its start line looks like, and which fields it acts on.
pub(crate) trait Side: Default {
    /// Bytes of the longest start line that could be right.
    const LONGEST_LINE: usize;

    fn start_line(&mut self, line: &[u8]) -> Result<(), Fault>;

    /// Looks at a field line that is not one of framing; ``index`` is its number.
    fn field(&mut self, name: &[u8], value: &[u8], index: usize) -> Result<(), Fault>;
}

/// Reads a head that may arrive in any pieces. Every byte is looked at once, however small the pieces are.
#[derive(Debug, Default)]
pub(crate) struct HeadParser<S> {
    pub(crate) side: S,
    pub(crate) framing: Framing,
    lines: Vec<Line>,
    /// Where the line begins that is not complete yet.
    line: usize,
    /// Up to where a line end has been looked for.
    searched: usize,
}

impl<S: Side> HeadParser<S> {
    /// Whether no byte of a head has been looked at.
    pub(crate) fn untouched(&self) -> bool {
        self.searched == 0
    }

    /// Looks at the head so far, from its first byte on; its length, when the empty line is there.
    pub(crate) fn advance(&mut self, buffer: &[u8]) -> Result<Option<usize>, Fault> {
        while let Some(found) = memchr::memchr(b'\n', &buffer[self.searched..]) {
            let start = self.line;
            let feed = self.searched + found;
            self.searched = feed + 1;
            self.line = feed + 1;
            if self.line > MAX_HEAD {
                return Err(TOO_LARGE);
            }
            let Some(text) = buffer[start..feed].strip_suffix(b"\r") else {
                return Err(Fault::bad("a line that does not end with CR LF"));
            };
            if start == 0 {
                self.side.start_line(text)?;
            } else if text.is_empty() {
                return Ok(Some(self.line));
            } else {
                self.field(text, start)?;
            }
        }
        self.searched = buffer.len();
        self.check_unfinished(buffer)?;
        Ok(None)
    }

    fn check_unfinished(&mut self, buffer: &[u8]) -> Result<(), Fault> {
        if self.line == 0 && buffer.len() > S::LONGEST_LINE {
            self.side.start_line(buffer)?;
            return Err(Fault::bad("a start line that does not end"));
        }
        if buffer.len() > MAX_HEAD { Err(TOO_LARGE) } else { Ok(()) }
    }

    fn field(&mut self, text: &[u8], start: usize) -> Result<(), Fault> {
        let (colon, value) = split_field(text)?;
        let index = self.lines.len();
        if index == MAX_HEADERS {
            return Err(Fault::of(431, "too many header fields"));
        }
        if index == 0 {
            self.lines.reserve(16);
        }
        self.lines.push(Line { name: start..start + colon, value: start + value.start..start + value.end });
        let (name, value) = (&text[..colon], &text[value]);
        if self.framing.note(name, value)? {
            return Ok(());
        }
        self.side.field(name, value, index)
    }

    /// The head's own copy of its bytes, names in lower case; the parser is ready for the next head.
    pub(crate) fn take(&mut self, head: &[u8]) -> (S, Framing, Fields) {
        let parser = std::mem::take(self);
        let mut bytes = head.to_vec();
        for line in &parser.lines {
            bytes[line.name.clone()].make_ascii_lowercase();
        }
        (parser.side, parser.framing, Fields { bytes, lines: parser.lines })
    }
}

const TOO_LARGE: Fault = Fault::of(431, "the head is too large");

/// Where in a field line its name ends and its value stands (RFC 9112 section 5); refuses what 5.1 and 5.2 refuse.
fn split_field(text: &[u8]) -> Result<(usize, Range<usize>), Fault> {
    let colon = token_length(text);
    match text.get(colon) {
        Some(b' ' | b'\t') if colon == 0 => {
            return Err(Fault::bad("a line that begins with white space (obsolete folding)"));
        }
        Some(b' ' | b'\t') => return Err(Fault::bad("white space in or after a field name")),
        Some(b':') if colon > 0 => {}
        _ => return Err(Fault::bad("a malformed field name")),
    }
    let value = trimmed(text, colon + 1);
    if !is_field_value(&text[value.clone()]) {
        return Err(Fault::bad("a control character in a field value"));
    }
    Ok((colon, value))
}

/// Fields of framing, routing and authentication, which may not stand in a trailer section (RFC 9110 section 6.5.1): who
/// reads them there takes them for something else than who does not. All others are read and dropped.
const NOT_IN_TRAILERS: [&[u8]; 14] = [
    b"authorization",
    b"connection",
    b"content-length",
    b"cookie",
    b"expect",
    b"host",
    b"keep-alive",
    b"max-forwards",
    b"proxy-authorization",
    b"range",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// One line of a trailer section.
pub(crate) fn check_trailer(text: &[u8]) -> Result<(), Fault> {
    let (colon, _) = split_field(text)?;
    let name = &text[..colon];
    if NOT_IN_TRAILERS.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)) {
        return Err(Fault::bad("a field that may not stand in a trailer section"));
    }
    Ok(())
}
