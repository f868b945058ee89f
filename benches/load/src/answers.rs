//! The mock's answers, rendered once; per request only digits are put into them.
//!
//! A whole answer says `(answer:TAG)` (of embeddings the first number is `0.TAG`), one of a chat also how long it took
//! here, `(took:MICROSECONDS)`, a chunk of a stream
//! `(c:INDEX:TAG:MICROSECONDS)`: whose it is, which one, and when it was written. Only characters that no JSON library
//! escapes, and a number that a 32-bit float carries.

use memchr::memmem;

/// What the path of a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Embeddings,
    Messages,
}

pub(crate) const TAG_DIGITS: usize = 6;
pub(crate) const INDEX_DIGITS: usize = 4;
pub(crate) const TIME_DIGITS: usize = 16;
const TAG: &str = "TTTTTT";
const INDEX: &str = "NNNN";
const TIME: &str = "MMMMMMMMMMMMMMMM";
/// 1,024 numbers of about twelve characters: the 12 KB of a small embedding model.
const DIMENSIONS: u32 = 1024;
const PROSE: &str = "A gateway stands between a program and the models that it asks. It keeps connections open, \
counts what is used, and tries another provider when one fails. ";

/// Bytes with places for digits.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    tag: Option<usize>,
    index: Option<usize>,
    time: Option<usize>,
}

impl Template {
    fn new(text: &str) -> Self {
        let find = |slot: &str| memmem::find(text.as_bytes(), slot.as_bytes());
        Self { tag: find(TAG), index: find(INDEX), time: find(TIME), bytes: text.as_bytes().to_vec() }
    }

    /// Appends the bytes with their digits to `out`.
    pub(crate) fn render(&self, out: &mut Vec<u8>, tag: u64, index: u64, time: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let slots = [(self.tag, tag, TAG_DIGITS), (self.index, index, INDEX_DIGITS), (self.time, time, TIME_DIGITS)];
        for (at, value, width) in slots {
            if let Some(at) = at {
                put_digits(&mut out[start + at..][..width], value);
            }
        }
    }
}

/// Fills `slot` with the last digits of `value`.
pub(crate) fn put_digits(slot: &mut [u8], mut value: u64) {
    for place in slot.iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// One kind of stream: what is written with the head, for each chunk, and at the end.
#[derive(Debug)]
pub(crate) struct StreamAnswer {
    pub(crate) opening: Template,
    pub(crate) chunk: Template,
    pub(crate) ending: Template,
    /// The same with a usage chunk, for those who ask for it.
    pub(crate) ending_with_usage: Template,
}

#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) chat: Template,
    pub(crate) embeddings: Template,
    pub(crate) messages: Template,
    pub(crate) chat_stream: StreamAnswer,
    pub(crate) messages_stream: StreamAnswer,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self {
            chat: Template::new(&whole(200, &chat_body())),
            embeddings: Template::new(&whole(200, &embeddings_body())),
            messages: Template::new(&whole(200, &messages_body())),
            chat_stream: chat_stream(),
            messages_stream: messages_stream(),
        }
    }

    pub(crate) fn whole(&self, kind: Kind) -> &Template {
        match kind {
            Kind::Chat => &self.chat,
            Kind::Embeddings => &self.embeddings,
            Kind::Messages => &self.messages,
        }
    }

    pub(crate) fn stream(&self, kind: Kind) -> &StreamAnswer {
        if kind == Kind::Messages { &self.messages_stream } else { &self.chat_stream }
    }
}

/// A complete answer with its head.
pub(crate) fn whole(status: u64, body: &str) -> String {
    let reason = if status == 200 { "OK" } else { "Error" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         x-request-id: req_bench\r\nopenai-processing-ms: 1\r\nx-ratelimit-remaining-requests: 9999\r\n\r\n{body}"
    )
}

/// An error in the words of the kind.
pub(crate) fn error(kind: Kind, status: u64) -> String {
    let class = match status {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let inner = format!(r#""error":{{"message":"ordered by the prompt","type":"{class}","param":null,"code":null}}"#);
    whole(
        status,
        &if kind == Kind::Messages { format!(r#"{{"type":"error",{inner}}}"#) } else { format!("{{{inner}}}") },
    )
}

fn chat_body() -> String {
    let text = PROSE.repeat(3);
    format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"(answer:{TAG}) (took:{TIME}) {text}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":256,"completion_tokens":96,"total_tokens":352,"prompt_tokens_details":{{"cached_tokens":0}}}},"service_tier":"default","system_fingerprint":"fp_bench"}}"#
    )
}

fn messages_body() -> String {
    let text = PROSE.repeat(3);
    format!(
        r#"{{"id":"msg_bench","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{{"type":"text","text":"(answer:{TAG}) {text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":256,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":96,"service_tier":"standard"}}}}"#
    )
}

fn embeddings_body() -> String {
    let numbers: Vec<String> = (1..DIMENSIONS).map(|n| format!("-0.0{:07}1", n * 7919 % 9_999_991)).collect();
    format!(
        r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[0.{TAG},{}]}}],"model":"text-embedding-3-small","usage":{{"prompt_tokens":256,"total_tokens":256}}}}"#,
        numbers.join(",")
    )
}

fn chat_event(delta: &str, rest: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
         \"model\":\"gpt-4o-mini\",\"system_fingerprint\":\"fp_bench\",\
         \"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{rest}}}]}}\n\n"
    )
}

fn chat_stream() -> StreamAnswer {
    let role = chat_event(r#"{"role":"assistant","content":"","refusal":null}"#, "null");
    let content = format!(r#"{{"content":"(c:{INDEX}:{TAG}:{TIME}) "}}"#);
    let stop = chat_event("{}", "\"stop\"");
    let usage = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
         \"model\":\"gpt-4o-mini\",\"choices\":[],\"usage\":{\"prompt_tokens\":256,\"completion_tokens\":64,\
         \"total_tokens\":320}}\n\n";
    stream(&[&role], &chat_event(&content, "null"), &[&stop], &[usage, "data: [DONE]\n\n"])
}

fn messages_stream() -> StreamAnswer {
    let event = |name: &str, data: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{data}}}\n\n");
    let start = event(
        "message_start",
        r#","message":{"id":"msg_bench","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":256,"output_tokens":1}}"#,
    );
    let block = event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#);
    let ping = event("ping", "");
    let delta = format!(r#","index":0,"delta":{{"type":"text_delta","text":"(c:{INDEX}:{TAG}:{TIME}) "}}"#);
    let chunk = event("content_block_delta", &delta);
    let block_stop = event("content_block_stop", r#","index":0"#);
    let usage = event(
        "message_delta",
        r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":64}"#,
    );
    let stop = event("message_stop", "");
    stream(&[&start, &block, &ping], &chunk, &[&block_stop, &usage], &[&stop])
}

/// `optional` is the last of what ends a stream: its first event is left out unless asked for, if there are two.
fn stream(opening: &[&str], chunk: &str, ending: &[&str], optional: &[&str]) -> StreamAnswer {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n\
                transfer-encoding: chunked\r\nx-request-id: req_bench\r\nopenai-processing-ms: 1\r\n\r\n";
    let frame = |events: &[&str]| {
        let text = events.concat();
        format!("{:x}\r\n{text}\r\n", text.len())
    };
    let last = &optional[optional.len() - 1..];
    StreamAnswer {
        opening: Template::new(&format!("{head}{}", frame(opening))),
        chunk: Template::new(&frame(&[chunk])),
        ending: Template::new(&format!("{}0\r\n\r\n", frame(&[ending, last].concat()))),
        ending_with_usage: Template::new(&format!("{}0\r\n\r\n", frame(&[ending, optional].concat()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(template: &Template) -> String {
        let mut out = Vec::new();
        template.render(&mut out, 123_456, 7, 1_700_000_000_000_000);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn digits_are_put_in_their_places() {
        let answers = Answers::new();
        assert!(text(&answers.chat).contains("(answer:123456) (took:1700000000000000) A gateway"));
        assert!(text(&answers.embeddings).contains("[0.123456,-0.0"));
        assert!(text(&answers.chat_stream.chunk).contains("(c:0007:123456:1700000000000000) "));
        assert!(text(&answers.messages_stream.chunk).contains("(c:0007:123456:1700000000000000) "));
    }

    #[test]
    fn sizes_are_those_of_real_answers() {
        let body = |t: &Template| text(t).split_once("\r\n\r\n").map(|(_, b)| b.len()).unwrap();
        let answers = Answers::new();
        assert!((800..1000).contains(&body(&answers.chat)));
        assert!((12_000..14_000).contains(&body(&answers.embeddings)));
    }

    #[test]
    fn usage_comes_only_when_asked_for() {
        let stream = chat_stream();
        assert!(!text(&stream.ending).contains("usage") && text(&stream.ending).contains("[DONE]"));
        assert!(text(&stream.ending_with_usage).contains("usage"));
        assert!(text(&messages_stream().ending).contains("\"output_tokens\":64"));
    }
}
