//! One address under load: the request for it, and what came of it.

use std::fmt::Write as _;
use std::net::SocketAddr;

use memchr::memmem;

use crate::answers::{Kind, TAG_DIGITS, put_digits};
use crate::check::Expected;
use crate::statistics::Samples;

/// Of what went wrong, so many are told.
const TOLD: usize = 5;
/// Prose with what JSON has to escape, so that a gateway's parser meets what it meets in life.
const FILLER: &str = "The quick brown fox jumps over the lazy dog, and says \\\"what a day\\\".\\n";

/// What is asked of every lane; see `USAGE`.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) kind: Kind,
    pub(crate) stream: bool,
    pub(crate) size: usize,
    pub(crate) orders: String,
    pub(crate) chunks: u64,
    pub(crate) fallback: Option<String>,
    pub(crate) headers: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) address: SocketAddr,
    pub(crate) expected: Expected,
    request: Vec<u8>,
    tag_at: usize,
    pub(crate) outcome: Outcome,
}

/// Times in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) valid: u64,
    pub(crate) wrong: u64,
    pub(crate) left: u64,
    pub(crate) connections: u64,
    pub(crate) told: Vec<String>,
    pub(crate) latency: Samples,
    pub(crate) first_chunk: Samples,
    pub(crate) chunk_delay: Samples,
    /// Of whole answers to a chat: the latency beyond what the provider says it took.
    pub(crate) beyond: Samples,
}

impl Lane {
    pub(crate) fn new(address: SocketAddr, path: &str, model: &str, ask: &Ask) -> Self {
        let body = body(model, ask);
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
        for header in &ask.headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
        let tag_at = memmem::find(&request, b"[[bench tag=").map_or(0, |at| at + 12);
        let expected = Expected { kind: ask.kind, stream: ask.stream, chunks: ask.chunks };
        Self { address, expected, request, tag_at, outcome: Outcome::default() }
    }

    /// The request with this tag. It is shared by the lane's clients, and so asked for anew before each write.
    pub(crate) fn request(&mut self, tag: u64) -> &[u8] {
        put_digits(&mut self.request[self.tag_at..][..TAG_DIGITS], tag);
        &self.request
    }
}

impl Outcome {
    pub(crate) fn fault(&mut self, reason: &str) {
        self.wrong += 1;
        if self.told.len() < TOLD {
            self.told.push(reason.to_owned());
        }
    }

    pub(crate) fn json(&mut self, address: SocketAddr, seconds: f64) -> String {
        let told: Vec<String> = self.told.iter().map(|text| quoted(text)).collect();
        format!(
            r#"{{"target":"{address}","seconds":{seconds:.6},"valid":{},"wrong":{},"left":{},"connections":{},"told":[{}],"latency_us":{},"first_chunk_us":{},"chunk_delay_us":{},"beyond_us":{}}}"#,
            self.valid,
            self.wrong,
            self.left,
            self.connections,
            told.join(","),
            self.latency.json(),
            self.first_chunk.json(),
            self.chunk_delay.json(),
            self.beyond.json(),
        )
    }
}

/// A body of exactly `size` bytes, unless what must be in it is longer.
fn body(model: &str, ask: &Ask) -> String {
    let orders = format!("[[bench tag=100001 {}]] ", ask.orders);
    let stream = match (ask.stream, ask.kind) {
        (false, _) => "",
        (true, Kind::Chat) => r#","stream":true,"stream_options":{"include_usage":true}"#,
        (true, _) => r#","stream":true"#,
    };
    let fallback = ask.fallback.as_ref().map(|name| format!(r#","fallbacks":["{name}"]"#)).unwrap_or_default();
    let (before, after) = match ask.kind {
        Kind::Chat => (r#""messages":[{"role":"user","content":""#, r#""}],"temperature":0.7"#),
        Kind::Messages => (r#""max_tokens":1024,"messages":[{"role":"user","content":""#, r#""}]"#),
        Kind::Embeddings => (r#""input":""#, r#"""#),
    };
    let start = format!(r#"{{"model":"{model}",{before}{orders}"#);
    let end = format!("{after}{stream}{fallback}}}");
    let room = ask.size.saturating_sub(start.len() + end.len());
    let filler = FILLER.repeat(room / FILLER.len());
    let rest = "x".repeat(room - filler.len());
    format!("{start}{filler}{rest}{end}")
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(kind: Kind) -> Ask {
        let orders = "chunks=3".to_owned();
        Ask { kind, stream: true, size: 1024, orders, chunks: 3, fallback: Some("a/b".to_owned()), headers: vec![] }
    }

    #[test]
    fn bodies_have_the_size_that_was_asked_for() {
        for kind in [Kind::Chat, Kind::Messages, Kind::Embeddings] {
            assert_eq!(body("openai/gpt-4o-mini", &ask(kind)).len(), 1024);
        }
        assert!(body("m", &Ask { size: 10, ..ask(Kind::Chat) }).contains("[[bench tag=100001 chunks=3]]"));
    }

    #[test]
    fn the_tag_is_put_into_the_prompt() {
        let mut lane = Lane::new(SocketAddr::from(([127, 0, 0, 1], 1)), "/v1/messages", "m", &ask(Kind::Messages));
        let text = String::from_utf8(lane.request(765_432).to_vec()).unwrap();
        assert!(text.contains("[[bench tag=765432 chunks=3]]"), "{text}");
        assert!(text.starts_with("POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"));
    }

    #[test]
    fn text_is_quoted() {
        assert_eq!(quoted("a\"b\\\n"), r#""a\"b\\\u000a""#);
    }
}
