//! Heads, chunks and answers as bytes (RFC 9112 sections 4, 5, 7).

use super::WireError;
use super::chars::{is_field_value, is_token};

const TYPICAL_HEAD: usize = 512;

/// How the client is to know where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After that many bytes.
    Length(usize),
    Chunks,
    /// When the connection is closed.
    Close,
}

/// The head of an answer. Fields are checked, framing is the renderer's own.
#[derive(Debug)]
pub struct Head {
    bytes: Vec<u8>,
    status: u16,
}

impl Head {
    pub fn new(status: u16) -> Result<Self, WireError> {
        if !(100..=999).contains(&status) {
            return Err(WireError::value("a status has three digits"));
        }
        let mut bytes = Vec::with_capacity(TYPICAL_HEAD);
        bytes.extend_from_slice(b"HTTP/1.1 ");
        bytes.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(reason(status).as_bytes());
        bytes.extend_from_slice(b"\r\n");
        Ok(Self { bytes, status })
    }

    /// Adds a field line. One of framing, or one that would break the head, is refused.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), WireError> {
        if !is_token(name) {
            return Err(WireError::value("a header name that is not a token"));
        }
        if is_framing(name) {
            return Err(WireError::value("a framing header: content-length, transfer-encoding or connection"));
        }
        if !is_field_value(value) {
            return Err(WireError::value("a header value with a control character"));
        }
        self.line(name, value);
        Ok(())
    }

    /// The finished head. An answer that cannot have a body gets no framing (RFC 9110 section 8.6).
    pub fn finish(mut self, end: End, keep_alive: bool) -> Result<Vec<u8>, WireError> {
        let bodiless = self.status < 200 || matches!(self.status, 204 | 304);
        match end {
            End::Length(0) if bodiless => {}
            End::Length(_) | End::Chunks | End::Close if bodiless || (self.status == 205 && end != End::Length(0)) => {
                return Err(WireError::value("an answer with this status has no body"));
            }
            End::Length(length) => {
                self.line(b"content-length", itoa::Buffer::new().format(length).as_bytes());
            }
            End::Chunks => self.line(b"transfer-encoding", b"chunked"),
            End::Close => {}
        }
        if (!keep_alive || end == End::Close) && self.status >= 200 {
            self.line(b"connection", b"close");
        }
        self.bytes.extend_from_slice(b"\r\n");
        Ok(self.bytes)
    }

    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

fn is_framing(name: &[u8]) -> bool {
    match name.len() {
        10 => name.eq_ignore_ascii_case(b"connection"),
        14 => name.eq_ignore_ascii_case(b"content-length"),
        17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
        _ => false,
    }
}

/// What stands before and behind the data of a chunk. Without data there is none: an empty chunk would be the end.
#[derive(Debug)]
pub struct ChunkFrame {
    bytes: [u8; 18],
    start: usize,
}

impl ChunkFrame {
    pub fn new(length: usize) -> Self {
        let mut frame = Self { bytes: *b"0000000000000000\r\n", start: 16 };
        let mut rest = length;
        while rest > 0 {
            frame.start -= 1;
            frame.bytes[frame.start] = b"0123456789abcdef"[rest % 16];
            rest /= 16;
        }
        frame
    }

    pub fn before(&self) -> &[u8] {
        if self.start == 16 { b"" } else { &self.bytes[self.start..] }
    }

    pub fn after(&self, last: bool) -> &'static [u8] {
        match (self.start == 16, last) {
            (true, false) => b"",
            (true, true) => b"0\r\n\r\n",
            (false, false) => b"\r\n",
            (false, true) => b"\r\n0\r\n\r\n",
        }
    }
}

/// Where members are added to a JSON object that was scanned before: the place of its closing brace, and whether a
/// comma is to stand before them.
pub fn splice_place(body: &[u8]) -> Result<(usize, bool), WireError> {
    let end = body.trim_ascii_end().len();
    let Some(inside) = body[..end].strip_suffix(b"}") else {
        return Err(WireError::value("the body is not a JSON object"));
    };
    // Only the brace that opened the object can stand there: an inner object would have been closed.
    let comma = inside.trim_ascii_end().last().is_some_and(|&byte| byte != b'{');
    Ok((end - 1, comma))
}

/// RFC 9110 section 15, and the two that providers added; empty for others.
fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        529 => "Overloaded",
        _ => "",
    }
}
