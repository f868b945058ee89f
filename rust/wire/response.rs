//! Answers of one upstream connection (RFC 9112 section 4), one after another.

use std::borrow::Cow;

use super::WireError;
use super::body::{Body, Delimiter, Pieces};
use super::chars::{is_field_value, trim};
use super::head::{Fault, Fields, Framing, HeadParser, Side};
use super::inbox::Inbox;

/// Interim answers before the final one: progress notes are rare, an endless row of them is an attack.
const MAX_INTERIM: usize = 32;
/// Bytes of a status line; the reason phrase is nobody's business.
const MAX_STATUS_LINE: usize = 4 * 1024;

#[derive(Clone, Debug, Default)]
struct ResponseSide {
    status: u16,
    minor: u8,
    content_type: Option<usize>,
    event_stream: bool,
}

impl Side for ResponseSide {
    const LONGEST_LINE: usize = MAX_STATUS_LINE;

    fn start_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let (minor, rest) = match line {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b' ', rest @ ..] => (minor - b'0', rest),
            _ => return Err(Fault::bad("the answer does not begin with HTTP/1.1 or HTTP/1.0")),
        };
        let (status, reason) = rest.split_at_checked(3).ok_or(MALFORMED_STATUS)?;
        if !status.iter().all(u8::is_ascii_digit) || status[0] == b'0' {
            return Err(MALFORMED_STATUS);
        }
        if line.len() > MAX_STATUS_LINE || !matches!(reason, [] | [b' ', ..]) || !is_field_value(reason) {
            return Err(Fault::bad("a malformed reason phrase"));
        }
        self.status = status.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0'));
        self.minor = minor;
        Ok(())
    }

    fn field(&mut self, name: &[u8], value: &[u8], index: usize) -> Result<(), Fault> {
        if name.len() == 12 && name.eq_ignore_ascii_case(b"content-type") && self.content_type.is_none() {
            self.content_type = Some(index);
            self.event_stream = media_type(value).eq_ignore_ascii_case(b"text/event-stream");
        }
        Ok(())
    }
}

impl ResponseSide {
    /// Whether an answer with this status never has a body.
    fn bodiless(&self) -> bool {
        matches!(self.status, 204 | 304)
    }
}

const MALFORMED_STATUS: Fault = Fault::bad("a malformed status code");

/// Without its parameters (RFC 9110 section 8.3.1).
fn media_type(value: &[u8]) -> &[u8] {
    trim(&value[..memchr::memchr(b';', value).unwrap_or(value.len())])
}

/// A provider's fault is never answered with the status that a client's would be.
fn answer(fault: Fault) -> WireError {
    WireError::answer(fault.message)
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Response {
    fields: Fields,
    pub status: u16,
    /// 0 or 1.
    pub minor_version: u8,
    /// As the answer says, also where it has no body because the request was HEAD.
    pub content_length: Option<u64>,
    pub event_stream: bool,
    content_type: Option<usize>,
}

impl Response {
    fn new(side: &ResponseSide, framing: &Framing, fields: Fields) -> Self {
        Self {
            content_length: framing.content_length.or(if side.bodiless() { Some(0) } else { None }),
            status: side.status,
            minor_version: side.minor,
            event_stream: side.event_stream,
            content_type: side.content_type,
            fields,
        }
    }

    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    pub fn get(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.fields.get(name)
    }

    /// Without parameters, in lower case; empty where there is none.
    pub fn content_type(&self) -> Vec<u8> {
        self.content_type.map_or(Vec::new(), |index| media_type(self.fields.value(index)).to_ascii_lowercase())
    }
}

/// The next answer, and as much of its body as came with it.
#[derive(Debug)]
pub struct Arrived<'a> {
    pub response: Response,
    pub body: Pieces<'a>,
    pub complete: bool,
}

/// The answers of one upstream connection.
#[derive(Debug, Default)]
pub struct ResponseReader {
    inbox: Inbox,
    machine: Machine,
    begun: bool,
    /// Bytes came behind the end of the answer.
    surplus: bool,
    ended: bool,
    failed: Option<Fault>,
}

impl ResponseReader {
    /// Begins the next exchange; ``head``: the request was HEAD, so the answer has no body.
    pub fn expect(&mut self, head: bool) {
        self.inbox.clear();
        self.machine.reset(head);
        (self.begun, self.surplus, self.ended, self.failed) = (false, false, false, None);
    }

    /// Whether the final answer's head has come, and all of its body.
    pub fn body_complete(&self) -> bool {
        self.machine.answered && self.machine.body.complete() && self.failed.is_none()
    }

    /// Whether any byte of an answer has come.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// Whether another exchange may follow on this connection.
    pub fn reusable(&self) -> bool {
        self.body_complete() && self.machine.persists && !self.surplus && !self.ended
    }

    /// Takes what a read gave; the final answer, or None for "more". Interim answers are skipped.
    pub fn feed<'a>(&'a mut self, data: &'a [u8]) -> Result<Option<Arrived<'a>>, WireError> {
        self.check()?;
        if self.machine.answered {
            return Err(self.fail(Fault::bad("bytes that belong to no exchange")));
        }
        self.begun |= !data.is_empty();
        let joined = self.inbox.join(data);
        let buffer = if joined { self.inbox.kept() } else { data };
        let length = buffer.len();
        let Step { used, response } = match self.machine.step(buffer) {
            Ok(step) => step,
            Err(fault) => return Err(self.fail(fault)),
        };
        let Some(response) = response else {
            if joined {
                self.inbox.skip(used);
            } else {
                self.inbox.keep(&data[used..]);
            }
            return Ok(None);
        };
        self.surplus = used < length;
        let source = if joined { self.inbox.kept() } else { data };
        let body = Pieces::new(source, self.machine.body.ranges());
        Ok(Some(Arrived { response, body, complete: self.machine.body.complete() }))
    }

    /// Takes what a read gave while a body is being read; what it decodes to.
    pub fn feed_body<'a>(&'a mut self, data: &'a [u8]) -> Result<Pieces<'a>, WireError> {
        self.check()?;
        match self.machine.body.feed(data, 0) {
            Ok(used) => self.surplus |= used < data.len(),
            Err(fault) => return Err(self.fail(fault)),
        }
        Ok(Pieces::new(data, self.machine.body.ranges()))
    }

    /// The provider closed the connection: a body that is delimited so is complete now.
    pub fn end(&mut self) -> Result<(), WireError> {
        self.ended = true;
        self.check()?;
        if !self.machine.answered {
            let message = if self.begun { "the connection ended within the head of the answer" } else { NO_ANSWER };
            return Err(WireError::broken(message));
        }
        if self.machine.body.close() {
            Ok(())
        } else {
            Err(WireError::broken("the connection ended within the answer"))
        }
    }

    fn check(&self) -> Result<(), WireError> {
        self.failed.map_or(Ok(()), |fault| Err(answer(fault)))
    }

    fn fail(&mut self, fault: Fault) -> WireError {
        self.failed = Some(fault);
        answer(fault)
    }
}

const NO_ANSWER: &str = "the connection ended before an answer came";

/// What was found in the bytes so far, and how many of them are used up.
struct Step {
    used: usize,
    response: Option<Response>,
}

/// The state between two reads, without the bytes.
#[derive(Debug, Default)]
struct Machine {
    parser: HeadParser<ResponseSide>,
    body: Body,
    /// The request was HEAD.
    headless: bool,
    interim: usize,
    /// The final answer's head has been read.
    answered: bool,
    /// The connection stays open, as far as the head says.
    persists: bool,
}

impl Machine {
    fn reset(&mut self, headless: bool) {
        self.body.begin(Delimiter::Length(0));
        if !self.parser.untouched() {
            self.parser = HeadParser::default();
        }
        (self.headless, self.interim, self.answered, self.persists) = (headless, 0, false, false);
    }

    fn step(&mut self, buffer: &[u8]) -> Result<Step, Fault> {
        let mut at = 0;
        while let Some(length) = self.parser.advance(&buffer[at..])? {
            let (side, framing, fields) = self.parser.take(&buffer[at..at + length]);
            at += length;
            if side.status >= 200 {
                let used = self.begin_body(&side, &framing, buffer, at)?;
                return Ok(Step { used, response: Some(Response::new(&side, &framing, fields)) });
            }
            self.skip_interim(&side)?;
        }
        Ok(Step { used: at, response: None })
    }

    /// RFC 9110 section 15.2. Nothing that is sent upstream asks for another protocol.
    fn skip_interim(&mut self, side: &ResponseSide) -> Result<(), Fault> {
        self.interim += 1;
        if side.status == 101 {
            return Err(Fault::bad("a switch of protocols that was not asked for"));
        }
        if self.interim > MAX_INTERIM {
            return Err(Fault::bad("too many interim answers"));
        }
        Ok(())
    }

    /// RFC 9112 section 6.3.
    fn begin_body(&mut self, side: &ResponseSide, framing: &Framing, buffer: &[u8], at: usize) -> Result<usize, Fault> {
        framing.check(side.minor)?;
        let delimiter = if self.headless || side.bodiless() {
            Delimiter::Length(0)
        } else if framing.chunked {
            Delimiter::Chunks
        } else {
            framing.content_length.map_or(Delimiter::Close, Delimiter::Length)
        };
        self.answered = true;
        self.persists = framing.persists(side.minor) && delimiter != Delimiter::Close;
        self.body.begin(delimiter);
        self.body.feed(buffer, at)
    }
}
