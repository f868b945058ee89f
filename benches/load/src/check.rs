//! Is this the answer to that request? Whole, in order, and nobody else's.

use memchr::{memchr, memmem};

use crate::answers::{INDEX_DIGITS, Kind, TAG_DIGITS, TIME_DIGITS, put_digits};
use crate::orders::number;
use crate::statistics::Samples;

/// Of an answer that is wrong, so much is shown.
const SHOWN: usize = 300;

/// What a request should be answered with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) kind: Kind,
    pub(crate) stream: bool,
    pub(crate) chunks: u64,
}

/// Reads one answer's body as it comes.
#[derive(Debug)]
pub(crate) struct Check {
    expected: Expected,
    tag: u64,
    status: u16,
    /// The whole body, or the line of an event stream that is not complete yet.
    held: Vec<u8>,
    next: u64,
    ended: bool,
    fault: Option<String>,
}

impl Check {
    pub(crate) fn new(expected: Expected) -> Self {
        Self { expected, tag: 0, status: 0, held: Vec::new(), next: 0, ended: false, fault: None }
    }

    /// Makes it ready for the next answer.
    pub(crate) fn begin(&mut self, tag: u64) {
        self.tag = tag;
        self.status = 0;
        self.held.clear();
        self.next = 0;
        self.ended = false;
        self.fault = None;
    }

    pub(crate) fn head(&mut self, status: u16) {
        self.status = status;
    }

    /// How many chunks have come.
    pub(crate) fn chunks(&self) -> u64 {
        self.next
    }

    /// Microseconds that the provider says it took for the whole answer.
    pub(crate) fn took(&self) -> Option<u64> {
        let at = memmem::find(&self.held, b"(took:")? + 6;
        number(self.held.get(at..at + TIME_DIGITS)?)
    }

    /// Takes a piece of the body read at `now_us`, and notes how long its chunks were under way.
    pub(crate) fn feed(&mut self, piece: &[u8], now_us: u64, delays: &mut Samples) {
        if !self.expected.stream || self.status != 200 {
            self.held.extend_from_slice(piece);
            return;
        }
        let mut rest = piece;
        while let Some(end) = memchr(b'\n', rest) {
            if self.held.is_empty() {
                self.line(&rest[..end], now_us, delays);
            } else {
                let mut line = std::mem::take(&mut self.held);
                line.extend_from_slice(&rest[..end]);
                self.line(&line, now_us, delays);
                line.clear();
                self.held = line;
            }
            rest = &rest[end + 1..];
        }
        self.held.extend_from_slice(rest);
    }

    /// The body is complete: what is wrong with it, if anything.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        if self.status != 200 {
            return Err(format!("status {}: {}", self.status, shown(&self.held)));
        }
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if self.expected.stream { self.finish_stream() } else { self.finish_whole() }
    }

    fn finish_stream(&self) -> Result<(), String> {
        if self.next != self.expected.chunks {
            return Err(format!("{} of {} chunks", self.next, self.expected.chunks));
        }
        if self.ended { Ok(()) } else { Err("stream without its last event".to_owned()) }
    }

    fn finish_whole(&self) -> Result<(), String> {
        let mut mark = *b"(answer:000000)";
        put_digits(&mut mark[8..8 + TAG_DIGITS], self.tag);
        let mut value = *b"[0.000000,";
        put_digits(&mut value[3..3 + TAG_DIGITS], self.tag);
        let wanted: &[u8] = if self.expected.kind == Kind::Embeddings { &value } else { &mark };
        if memmem::find(&self.held, wanted).is_none() {
            return Err(format!("not the answer {}: {}", self.tag, shown(&self.held)));
        }
        if closed_json(&self.held) { Ok(()) } else { Err(format!("JSON not closed: {}", shown(&self.held))) }
    }

    fn line(&mut self, line: &[u8], now_us: u64, delays: &mut Samples) {
        let Some(data) = line.strip_prefix(b"data:") else { return };
        let data = data.trim_ascii();
        if self.ended {
            self.wrong("an event after the last one", data);
        } else if data == b"[DONE]" {
            self.ended = true;
        } else if !closed_json(data) {
            self.wrong("JSON not closed", data);
        } else {
            self.event(data, now_us, delays);
        }
    }

    fn event(&mut self, data: &[u8], now_us: u64, delays: &mut Samples) {
        for at in memmem::find_iter(data, b"(c:") {
            match mark(&data[at + 3..]) {
                Some((index, tag, time)) if index == self.next && tag == self.tag => {
                    self.next += 1;
                    delays.add(now_us.saturating_sub(time) * 1000);
                }
                _ => self.wrong("not the next chunk", data),
            }
        }
        if self.expected.kind == Kind::Messages && memmem::find(data, b"\"message_stop\"").is_some() {
            self.ended = true;
        }
    }

    fn wrong(&mut self, what: &str, data: &[u8]) {
        self.fault.get_or_insert_with(|| format!("{what}: {}", shown(data)));
    }
}

/// `INDEX:TAG:MICROSECONDS)`.
fn mark(text: &[u8]) -> Option<(u64, u64, u64)> {
    let time_at = INDEX_DIGITS + TAG_DIGITS + 2;
    let index = number(text.get(..INDEX_DIGITS)?)?;
    let tag = number(text.get(INDEX_DIGITS + 1..time_at - 1)?)?;
    let time = number(text.get(time_at..time_at + TIME_DIGITS)?)?;
    Some((index, tag, time))
}

/// Whether the bytes are one object whose brackets and strings are closed. Cheaper than a parser, and enough to see
/// that an answer was cut or glued together wrongly.
fn closed_json(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    if data.first() != Some(&b'{') {
        return false;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while at < data.len() {
        match data[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1 == data.len();
                }
            }
            b'"' => match string_end(&data[at + 1..]) {
                Some(length) => at += length,
                None => return false,
            },
            _ => {}
        }
        at += 1;
    }
    false
}

/// Bytes up to the closing quotation mark, and with it.
fn string_end(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', data.get(at..)?)?;
        if data[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn shown(data: &[u8]) -> String {
    String::from_utf8_lossy(&data[..data.len().min(SHOWN)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Answers;

    fn check(stream: bool, kind: Kind, body: &[u8], step: usize) -> Result<(), String> {
        let mut check = Check::new(Expected { kind, stream, chunks: 2 });
        check.begin(123_456);
        check.head(200);
        for piece in body.chunks(step) {
            check.feed(piece, 1_700_000_000_000_005, &mut Samples::default());
        }
        check.finish()
    }

    fn stream(kind: Kind, indices: &[u64], tag: u64) -> Vec<u8> {
        let answers = Answers::new();
        let answer = answers.stream(kind);
        let mut wire = Vec::new();
        answer.opening.render(&mut wire, 0, 0, 0);
        wire.drain(..memmem::find(&wire, b"\r\n\r\n").unwrap() + 4);
        for &n in indices {
            answer.chunk.render(&mut wire, tag, n, 1_700_000_000_000_000);
        }
        answer.ending.render(&mut wire, 0, 0, 0);
        let mut body = Vec::new();
        crate::http::Body::new(crate::http::Framing::Chunked).feed(&wire, |b| body.extend_from_slice(b)).unwrap();
        body
    }

    #[test]
    fn right_streams_pass_however_they_are_cut() {
        for kind in [Kind::Chat, Kind::Messages] {
            let body = stream(kind, &[0, 1], 123_456);
            for step in 1..=body.len() {
                assert_eq!(check(true, kind, &body, step), Ok(()));
            }
        }
    }

    #[test]
    fn wrong_streams_do_not() {
        let why = |indices: &[u64], tag| check(true, Kind::Chat, &stream(Kind::Chat, indices, tag), 7).unwrap_err();
        assert_eq!(why(&[0], 123_456), "1 of 2 chunks");
        assert!(why(&[1, 0], 123_456).starts_with("not the next chunk"));
        assert!(why(&[0, 1], 654_321).starts_with("not the next chunk"));
        let body = stream(Kind::Chat, &[0, 1], 123_456);
        let cut = &body[..body.len() - 14];
        assert_eq!(check(true, Kind::Chat, cut, 9).unwrap_err(), "stream without its last event");
    }

    #[test]
    fn whole_answers_are_the_right_ones_and_closed() {
        assert_eq!(check(false, Kind::Chat, br#"{"content":"(answer:123456) \"x"}"#, 5), Ok(()));
        assert_eq!(check(false, Kind::Embeddings, br#"{"embedding":[0.123456,1]}"#, 5), Ok(()));
        let answers = Answers::new();
        let mut wire = Vec::new();
        answers.whole(Kind::Chat).render(&mut wire, 123_456, 0, 4321);
        let mut check_whole = Check::new(Expected { kind: Kind::Chat, stream: false, chunks: 0 });
        check_whole.begin(123_456);
        check_whole.head(200);
        assert_eq!(check_whole.took(), None);
        check_whole.feed(&wire[memmem::find(&wire, b"\r\n\r\n").unwrap() + 4..], 0, &mut Samples::default());
        assert_eq!((check_whole.finish(), check_whole.took()), (Ok(()), Some(4321)));
        assert!(check(false, Kind::Chat, br#"{"content":"(answer:654321)"}"#, 5).unwrap_err().starts_with("not the"));
        assert!(check(false, Kind::Chat, br#"{"content":"(answer:123456)""#, 5).unwrap_err().starts_with("JSON"));
    }

    #[test]
    fn closed_means_one_object_to_the_end() {
        for good in [r#"{"a":[{"b":"]}\\"}]}"#, " {} \n"] {
            assert!(closed_json(good.as_bytes()), "{good}");
        }
        for bad in ["", "[]", "{", r#"{"a":"}"#, "{}{}", r#"{"a":"\"}"#, r#"{"a":"\"#] {
            assert!(!closed_json(bad.as_bytes()), "{bad}");
        }
    }
}
