//! Criterion benchmarks of JSON and event streams: `cargo bench --no-default-features --bench wire_json`.
//!
//! Beside each scan stands what a gateway does that decodes: `serde_json` with the same bytes, into values.

use std::fmt::Write as _;
use std::hint::black_box;

use _wire::wire::answer::{Format, scan_answer};
use _wire::wire::envelope::{Scanner, scan};
use _wire::wire::stream_scan::StreamScan;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn decoded(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(body).expect("valid")
}

/// A chat request with `content` in each of `count` messages; `content` is JSON text.
fn chat(count: usize, content: &str) -> Vec<u8> {
    let mut body = String::from(r#"{"model":"openai/gpt-4o","messages":["#);
    for index in 0..count {
        let comma = if index == 0 { "" } else { "," };
        write!(body, r#"{comma}{{"role":"user","content":"{content}"}}"#).expect("a string has room");
    }
    body.push_str(r#"],"temperature":0.7,"max_tokens":256,"stream":true}"#);
    body.into_bytes()
}

fn requests(criterion: &mut Criterion) {
    let bodies = [
        ("1 KB", chat(8, "Tell me about the \\\"history\\\" of computing.\\nPlease be brief, and use two paragraphs.")),
        ("many short strings", chat(5_000, "Hello there, how are you")),
        ("text", chat(10, &"The quick brown fox jumps over the lazy dog, then it sleeps.\\n".repeat(200))),
        ("base64", chat(1, &"QUJD".repeat(250_000))),
        ("code", chat(5, &r#"{\"a\": \"b\", \"c\": [\"d\"]}\n\t"#.repeat(500))),
        ("Cyrillic", chat(10, &"Быстрая бурая лиса прыгает ".repeat(400))),
        ("Chinese", chat(10, &"快速的棕色狐狸跳过懒狗。".repeat(400))),
    ];
    let mut group = criterion.benchmark_group("scan");
    for (name, body) in &bodies {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(*name, |bencher| bencher.iter(|| scan(black_box(body)).expect("valid")));
        group.bench_function(format!("{name}, serde_json"), |bencher| bencher.iter(|| decoded(black_box(body))));
    }
    let body = &bodies[2].1;
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("text in pieces of 4 KB", |bencher| {
        bencher.iter(|| {
            let mut scanner = Scanner::default();
            for piece in body.chunks(4096) {
                scanner.feed(black_box(piece)).expect("valid");
            }
            scanner.finish().expect("valid")
        });
    });
    group.finish();
}

fn answers(criterion: &mut Criterion) {
    let text = "Hello world. ".repeat(50);
    let chat = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0}}}}}}"#
    );
    let numbers = ["-0.012345678", "0.98765432e-3"].repeat(768).join(",");
    let embeddings = format!(r#"{{"data":[{{"embedding":[{numbers}]}}],"usage":{{"prompt_tokens":3}}}}"#);
    let mut group = criterion.benchmark_group("scan_answer");
    for (name, format, body) in
        [("chat", Format::OpenAiChat, chat), ("embeddings", Format::OpenAiEmbeddings, embeddings)]
    {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| scan_answer(format, black_box(body.as_bytes()))));
        group.bench_function(format!("{name}, serde_json"), |bencher| {
            bencher.iter(|| decoded(black_box(body.as_bytes())));
        });
    }
    group.finish();
}

const CHAT: &str = r#"data: {"id":"chatcmpl-Ab12Cd34Ef56Gh78Ij90Kl12Mn34","object":"chat.completion.chunk","created":1738169298,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_4691090a87","choices":[{"index":0,"delta":{"content":" Hello"},"logprobs":null,"finish_reason":null}]}

"#;
const RESPONSES: &str = r#"event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":12,"item_id":"msg_0123456789abcdef0123456789abcdef0123456789abcdef","output_index":0,"content_index":0,"delta":" world","logprobs":[],"obfuscation":"a1b2c3d4e5"}

"#;
const ANTHROPIC: &str = r#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" world"}}

"#;

fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream scan, 64 frames");
    for (name, format, frame) in [
        ("chat", Format::OpenAiChat, CHAT),
        ("responses", Format::OpenAiResponses, RESPONSES),
        ("anthropic", Format::Anthropic, ANTHROPIC),
    ] {
        let frames = frame.repeat(64);
        let mut scan = StreamScan::new(format).expect("a format with streams");
        group.throughput(Throughput::Bytes(frames.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| scan.feed(black_box(frames.as_bytes()))));
        group.bench_function(format!("{name}, serde_json"), |bencher| {
            bencher.iter(|| {
                let data = black_box(&frames).lines().filter_map(|line| line.strip_prefix("data: "));
                data.map(|text| decoded(text.as_bytes())).collect::<Vec<_>>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, answers, streams);
criterion_main!(benches);
