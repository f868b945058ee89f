//! Requests of one client connection (RFC 9112 section 3), one after another.

use std::borrow::Cow;
use std::ops::Range;

use super::body::{Body, Delimiter, Pieces};
use super::chars::{is_authority, is_target, is_token_byte};
use super::handshake::{Handshake, begins};
use super::head::{Fault, Fields, Framing, HeadParser, Side};
use super::inbox::Inbox;
use super::target::Target;
use super::{MAX_TARGET, WireError};

/// Bytes of a method: the longest registered one has 17.
const MAX_METHOD: usize = 32;
/// Empty lines that are skipped before a request line (RFC 9112 section 2.2 asks for one).
const MAX_EMPTY_LINES: usize = 8;
/// RFC 9113 section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl From<Fault> for WireError {
    fn from(fault: Fault) -> Self {
        Self::request(fault.status, fault.message)
    }
}

/// Which fields the request side acts on.
#[derive(Clone, Debug, Default)]
struct RequestSide {
    method: usize,
    target: Range<usize>,
    minor: u8,
    host: Option<usize>,
    expects: bool,
    handshake: Handshake,
    special: bool,
    typed: bool,
    /// Another media type than JSON, a content coding or a web page's origin: all that a call is not expected to have.
    unusual: bool,
}

impl Side for RequestSide {
    const LONGEST_LINE: usize = MAX_METHOD + MAX_TARGET + " ".len() + " HTTP/1.1\r".len();

    fn start_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.method = method_length(line)?;
        if &line[..self.method] == b"CONNECT" {
            return Err(Fault::of(501, "CONNECT is not served"));
        }
        let start = self.method + 1;
        let end = memchr::memchr(b' ', &line[start..]).map_or(line.len(), |length| start + length);
        if end - start > MAX_TARGET {
            return Err(Fault::of(414, "the request target is too long"));
        }
        self.target = start..end;
        if end == start || !is_target(&line[start..end]) {
            return Err(Fault::bad("a malformed request target"));
        }
        self.minor = version(&line[end..])?;
        Ok(())
    }

    fn field(&mut self, name: &[u8], value: &[u8], index: usize) -> Result<(), Fault> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.host.replace(index).is_some() {
                    return Err(Fault::bad("more than one Host"));
                }
                if !is_authority(value) {
                    return Err(Fault::bad("a malformed Host"));
                }
            }
            6 if name.eq_ignore_ascii_case(b"origin") => self.unusual = true,
            6 if name.eq_ignore_ascii_case(b"expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Fault::of(417, "an expectation other than 100-continue"));
                }
                self.expects = true;
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                if std::mem::replace(&mut self.typed, true) {
                    return Err(Fault::bad("more than one Content-Type"));
                }
                self.unusual |= value != b"application/json";
            }
            16 if name.eq_ignore_ascii_case(b"content-encoding") => self.unusual = true,
            _ => {
                self.handshake.note(name, value);
                self.special |= is_special(name);
            }
        }
        Ok(())
    }
}

/// The method, from the start of a request line: a token with a space behind it.
fn method_length(line: &[u8]) -> Result<usize, Fault> {
    let length = line.iter().take(MAX_METHOD + 1).position(|&byte| !is_token_byte(byte));
    match length {
        None if line.len() > MAX_METHOD => Err(Fault::of(501, "the method is too long")),
        Some(length) if length > 0 && line[length] == b' ' => Ok(length),
        _ => Err(Fault::bad("a malformed method")),
    }
}

/// The minor version, from the space behind the target on.
fn version(text: &[u8]) -> Result<u8, Fault> {
    match text {
        b" HTTP/1.1" => Ok(1),
        b" HTTP/1.0" => Ok(0),
        [b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Fault::of(505, "an HTTP version other than 1.0 and 1.1"))
        }
        _ => Err(Fault::bad("a malformed request line")),
    }
}

/// The fields that the gateway itself or a provider's rules act on.
fn is_special(name: &[u8]) -> bool {
    match name[0] | 0x20 {
        b'x' => begins(name, b"x-bf-") || name.eq_ignore_ascii_case(b"x-request-id"),
        b'a' => begins(name, b"anthropic-"),
        b'o' => begins(name, b"openai-"),
        _ => false,
    }
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Request {
    fields: Fields,
    method: usize,
    path: Range<usize>,
    query: Range<usize>,
    /// 0 or 1.
    pub minor_version: u8,
    pub keep_alive: bool,
    /// None for a chunked body.
    pub content_length: Option<u64>,
    /// ``Expect: 100-continue`` stands in it, and it is a request to which that may be answered.
    pub expects_continue: bool,
    /// Any field begins with ``x-bf-``, ``anthropic-``, ``openai-`` or is ``x-request-id``.
    pub special: bool,
    /// ``application/json`` or no media type, no content coding, no ``Origin``.
    pub plain: bool,
    upgrades: bool,
}

impl Request {
    pub fn method(&self) -> &str {
        self.text(0..self.method)
    }

    /// As it was sent; ``/`` where an absolute target has none, ``*`` for the whole server.
    pub fn path(&self) -> &str {
        if !self.path.is_empty() {
            return self.text(self.path.clone());
        }
        // RFC 9112 section 3.2.4: OPTIONS without path and query asks for the server as a whole.
        if self.method() == "OPTIONS" && self.query.is_empty() { "*" } else { "/" }
    }

    /// What follows the first ``?``; empty where there is none.
    pub fn query(&self) -> &str {
        self.text(self.query.clone())
    }

    /// A part of the request line. The line was checked to be ASCII, so nothing is ever left out.
    fn text(&self, range: Range<usize>) -> &str {
        std::str::from_utf8(self.fields.slice(range)).unwrap_or_default()
    }

    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    pub fn get(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.fields.get(name)
    }

    fn new(side: &RequestSide, framing: &Framing, fields: Fields) -> Result<Self, Fault> {
        framing.check(side.minor)?;
        if side.host.is_none() && side.minor == 1 {
            return Err(Fault::bad("no Host"));
        }
        let target = Target::read(&fields, side.method, side.target.clone())?;
        let chunked = framing.chunked;
        let length = if chunked { None } else { Some(framing.content_length.unwrap_or(0)) };
        let has_body = length != Some(0);
        let websocket = side.handshake.complete() && framing.upgrade && side.minor == 1 && !has_body;
        let mut request = Self {
            method: side.method,
            path: target.path,
            query: target.query,
            minor_version: side.minor,
            // RFC 9112 section 9.3: a client of 1.0 goes on only if the answer says so too, and answers here do not.
            keep_alive: side.minor == 1 && framing.persists(side.minor),
            content_length: length,
            expects_continue: side.expects && side.minor == 1 && has_body,
            special: side.special,
            plain: !side.unusual,
            upgrades: false,
            fields,
        };
        request.upgrades = websocket && request.method() == "GET";
        if let Some(authority) = target.authority {
            request.override_host(side.host, authority);
        }
        Ok(request)
    }

    /// What stands for the preface of HTTP/2.
    fn of_preface() -> Self {
        Self {
            fields: Fields::of(PREFACE),
            method: 3,
            path: 4..5,
            query: 5..5,
            minor_version: 1,
            keep_alive: true,
            content_length: Some(0),
            expects_continue: false,
            special: false,
            plain: true,
            upgrades: true,
        }
    }

    /// RFC 9112 section 3.2.2: an absolute target says which host is meant, whatever Host says.
    fn override_host(&mut self, host: Option<usize>, authority: Range<usize>) {
        match host {
            Some(index) => self.fields.redirect(index, authority),
            None => self.fields.add(b"host", authority),
        }
    }
}

/// The next request, and as much of its body as came with it.
#[derive(Debug)]
pub struct Incoming<'a> {
    pub request: Request,
    pub body: Pieces<'a>,
    pub complete: bool,
    /// The client waits for ``100 Continue`` before it sends the body.
    pub expect_continue: bool,
    /// Every byte from the head's first one on, where the client asks for another protocol.
    pub handover: Option<&'a [u8]>,
}

impl Incoming<'_> {
    /// Nothing of it has to be thought about before it is served: all of it is there, its connection stays, and it is
    /// neither ``HEAD``, nor of HTTP/1.0, nor for another protocol.
    pub fn usual(&self) -> bool {
        let asks_more = self.expect_continue || self.handover.is_some();
        self.complete && self.request.keep_alive && !asks_more && self.request.method() != "HEAD"
    }
}

/// What was found in the bytes so far, and how many of them are used up.
struct Step {
    used: usize,
    /// With the empty lines before it.
    request: Option<(usize, Request)>,
}

impl Step {
    fn more(used: usize) -> Self {
        Self { used, request: None }
    }
}

/// The requests of one client connection. Keeps what came too early (pipelining).
#[derive(Debug, Default)]
pub struct RequestReader {
    inbox: Inbox,
    machine: Machine,
    failed: Option<Fault>,
}

impl RequestReader {
    pub fn body_complete(&self) -> bool {
        self.machine.body.complete()
    }

    /// Whether bytes of a next request have come.
    pub fn pending(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Takes what a read gave; the next request, or None for "more".
    pub fn feed<'a>(&'a mut self, data: &'a [u8]) -> Result<Option<Incoming<'a>>, WireError> {
        self.check()?;
        if !self.body_complete() {
            return Err(WireError::value("a request is asked for while a body is being read"));
        }
        let joined = self.inbox.join(data);
        let step = self.machine.step(if joined { self.inbox.kept() } else { data });
        let Step { used, request } = step.inspect_err(|fault| self.failed = Some(*fault))?;
        self.settle(data, joined, used);
        let Some((skipped, request)) = request else { return Ok(None) };
        let source = if joined { self.inbox.before(used) } else { &data[..used] };
        let body = Pieces::new(source, self.machine.body.ranges());
        let complete = self.machine.body.complete();
        Ok(Some(Incoming {
            body,
            complete,
            expect_continue: request.expects_continue && !complete && body.is_empty(),
            handover: request.upgrades.then(|| &source[skipped..used]),
            request,
        }))
    }

    /// Takes what a read gave while a body is being read; what it decodes to.
    pub fn feed_body<'a>(&'a mut self, data: &'a [u8]) -> Result<Pieces<'a>, WireError> {
        self.check()?;
        let used = self.machine.body.feed(data, 0).inspect_err(|fault| self.failed = Some(*fault))?;
        if self.inbox.is_empty() {
            self.inbox.clear();
        }
        self.inbox.keep(&data[used..]);
        Ok(Pieces::new(data, self.machine.body.ranges()))
    }

    fn settle(&mut self, data: &[u8], joined: bool, used: usize) {
        if joined {
            self.inbox.skip(used);
        } else {
            self.inbox.keep(&data[used..]);
        }
    }

    fn check(&self) -> Result<(), WireError> {
        self.failed.map_or(Ok(()), |fault| Err(fault.into()))
    }
}

/// The state between two reads, without the bytes.
#[derive(Debug, Default)]
struct Machine {
    parser: HeadParser<RequestSide>,
    body: Body,
    empty_lines: usize,
    /// A request has been read, or an empty line: what follows cannot be the preface of HTTP/2.
    begun: bool,
}

impl Machine {
    fn step(&mut self, buffer: &[u8]) -> Result<Step, Fault> {
        let skipped = self.skip_empty_lines(buffer)?;
        let head = &buffer[skipped..];
        let Some(&first) = head.first() else { return Ok(Step::more(skipped)) };
        if !self.begun {
            let length = head.len().min(PREFACE.len());
            if head[..length] == PREFACE[..length] {
                return Ok(self.preface(head));
            }
        }
        if first == b'\r' {
            return Ok(Step::more(skipped));
        }
        if !is_token_byte(first) {
            return Err(Fault::bad("a malformed method"));
        }
        let Some(length) = self.parser.advance(head)? else { return Ok(Step::more(skipped)) };
        let (side, framing, fields) = self.parser.take(&head[..length]);
        let request = Request::new(&side, &framing, fields)?;
        (self.begun, self.empty_lines) = (true, 0);
        self.body.begin(request.content_length.map_or(Delimiter::Chunks, Delimiter::Length));
        let used = if request.upgrades { buffer.len() } else { self.body.feed(buffer, skipped + length)? };
        Ok(Step { used, request: Some((skipped, request)) })
    }

    /// RFC 9112 section 2.2, with a bound.
    fn skip_empty_lines(&mut self, buffer: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        while self.parser.untouched() {
            match buffer[at..] {
                [b'\r', b'\n', ..] if self.empty_lines < MAX_EMPTY_LINES => at += 2,
                [b'\r', b'\n', ..] => return Err(Fault::bad("too many empty lines before a request")),
                [b'\r', _, ..] | [b'\n', ..] => return Err(Fault::bad("a line that does not end with CR LF")),
                _ => break,
            }
            self.empty_lines += 1;
            self.begun = true;
        }
        Ok(at)
    }

    /// The bytes begin as the preface of HTTP/2 does (RFC 9113 section 3.4).
    fn preface(&mut self, head: &[u8]) -> Step {
        if head.len() < PREFACE.len() {
            return Step::more(0);
        }
        self.begun = true;
        self.body.begin(Delimiter::Length(0));
        Step { used: head.len(), request: Some((0, Request::of_preface())) }
    }
}
