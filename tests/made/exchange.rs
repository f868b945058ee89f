//! What the gateway's two sides make of the bytes of a connection.

use _wire::wire::request::RequestReader;
use _wire::wire::response::ResponseReader;
use _wire::wire::{Fields, WireError};

/// What a reader made of one message that was complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Method, target and minor version, or the status.
    pub(crate) start: String,
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    fn new(start: String, fields: &Fields, body: &[u8]) -> Self {
        let fields = fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        Self { start, fields, body: body.to_vec() }
    }
}

/// `verdict`: `ok` (nothing left over), `more`, `closed` (bytes after a last message), `until close` (the end of the
/// connection ends the answer), `handover` (another protocol), or a status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    pub(crate) verdict: String,
}

impl Reading {
    pub(crate) fn refused(&self) -> bool {
        self.verdict.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// Reads requests as the gateway's server does: one after another, none after the one that closes.
#[derive(Default)]
struct Server {
    reader: RequestReader,
    messages: Vec<Message>,
    open: Option<Message>,
    last: bool,
    surplus: bool,
    handed_over: bool,
}

impl Server {
    fn feed(&mut self, data: &[u8]) -> Result<(), WireError> {
        if let Some(open) = &mut self.open {
            open.body.extend(self.reader.feed_body(data)?.to_vec());
            if self.next_may_follow() { self.requests(b"") } else { Ok(()) }
        } else if self.last {
            self.surplus = true;
            Ok(())
        } else {
            self.requests(data)
        }
    }

    fn requests(&mut self, mut data: &[u8]) -> Result<(), WireError> {
        while let Some(incoming) = self.reader.feed(data)? {
            let request = &incoming.request;
            let mark = if request.query().is_empty() { "" } else { "?" };
            let target = [request.path(), mark, request.query()].concat();
            let start = format!("{} {target} {}", request.method(), request.minor_version);
            self.open = Some(Message::new(start, request.fields(), &incoming.body.to_vec()));
            self.handed_over = incoming.handover.is_some();
            self.last = !request.keep_alive || self.handed_over;
            if !self.next_may_follow() {
                break;
            }
            data = b"";
        }
        Ok(())
    }

    /// Whether a next request is to be looked for.
    fn next_may_follow(&mut self) -> bool {
        if !self.reader.body_complete() {
            return false;
        }
        self.messages.extend(self.open.take());
        self.surplus = self.reader.pending();
        self.surplus && !self.last
    }

    fn verdict(&self) -> &'static str {
        let unfinished = self.open.is_some();
        if self.handed_over {
            "handover"
        } else if self.last && !unfinished {
            if self.surplus { "closed" } else { "ok" }
        } else if unfinished || self.reader.pending() || self.messages.is_empty() {
            "more"
        } else {
            "ok"
        }
    }
}

pub(crate) fn read_requests(pieces: &[&[u8]]) -> Reading {
    let mut server = Server::default();
    let verdict = match pieces.iter().try_for_each(|piece| server.feed(piece)) {
        Ok(()) => server.verdict().to_owned(),
        Err(WireError::Request { status, .. }) => status.to_string(),
        Err(other) => panic!("not a client's fault: {other:?}"),
    };
    Reading { messages: server.messages, verdict }
}

/// One exchange; `more` if the provider may not close here, `closed` if what followed spoils the connection.
pub(crate) fn read_answers(pieces: &[&[u8]]) -> Reading {
    match read_answer(pieces) {
        Ok((message, verdict)) => Reading { messages: vec![message], verdict: verdict.to_owned() },
        Err(WireError::Answer { .. }) => Reading { messages: Vec::new(), verdict: "502".to_owned() },
        Err(WireError::Broken { .. }) => Reading { messages: Vec::new(), verdict: "more".to_owned() },
        Err(other) => panic!("not a provider's fault: {other:?}"),
    }
}

fn read_answer(pieces: &[&[u8]]) -> Result<(Message, &'static str), WireError> {
    let mut reader = ResponseReader::default();
    reader.expect(false);
    let (mut answer, mut surplus) = (None, false);
    for piece in pieces {
        if reader.body_complete() {
            surplus = true;
        } else if let Some(Message { body, .. }) = &mut answer {
            body.extend(reader.feed_body(piece)?.to_vec());
        } else if let Some(arrived) = reader.feed(piece)? {
            let head = &arrived.response;
            answer = Some(Message::new(head.status.to_string(), head.fields(), &arrived.body.to_vec()));
        }
    }
    let whole_by_itself = reader.body_complete();
    let spoilt = surplus || (whole_by_itself && !reader.reusable());
    reader.end()?;
    let verdict = match (spoilt, whole_by_itself) {
        (true, _) => "closed",
        (false, true) => "ok",
        (false, false) => "until close",
    };
    Ok((answer.expect("an answer that ended has begun"), verdict))
}
