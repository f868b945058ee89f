//! What one request costs the HTTP/1.1 half: reading it, reading the provider's answer, writing the client's. Beside the
//! reading stands httparse with the same bytes: it splits a head and checks its characters, and leaves to others what the
//! readers here do as well (which headers may stand twice, how long the body is, what smuggles, what is left over).

use std::hint::black_box;

use _wire::wire::render::{ChunkFrame, End, Head};
use _wire::wire::request::RequestReader;
use _wire::wire::response::ResponseReader;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const REQUEST_HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\n\
    Host: localhost:8080\r\n\
    User-Agent: client/1.0\r\n\
    Accept: application/json\r\n\
    Content-Type: application/json\r\n\
    Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n\
    Content-Length: 1024\r\n\r\n";

const ANSWER_HEAD: &str = "HTTP/1.1 200 OK\r\n\
    Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 1024\r\n\
    Connection: keep-alive\r\n\
    x-request-id: req_0123456789abcdef\r\n\
    openai-processing-ms: 123\r\n\r\n";

fn whole(head: &str) -> Vec<u8> {
    [head.as_bytes(), &[b'x'; 1024]].concat()
}

fn reading(criterion: &mut Criterion) {
    let request = whole(REQUEST_HEAD);
    criterion.bench_function("request, httparse", |bencher| {
        bencher.iter(|| {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Request::new(&mut headers);
            head.parse(black_box(&request)).map(|status| (status.is_complete(), head.headers.len()))
        });
    });
    let mut requests = RequestReader::default();
    criterion.bench_function("request in one read", |bencher| {
        bencher.iter(|| requests.feed(black_box(&request)).map(|found| found.map(|incoming| incoming.body.to_vec())));
    });
    let answer = whole(ANSWER_HEAD);
    criterion.bench_function("answer, httparse", |bencher| {
        bencher.iter(|| {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut headers);
            head.parse(black_box(&answer)).map(|status| (status.is_complete(), head.headers.len()))
        });
    });
    let mut answers = ResponseReader::default();
    criterion.bench_function("answer in one read", |bencher| {
        bencher.iter(|| {
            answers.expect(false);
            answers.feed(black_box(&answer)).map(|found| found.map(|arrived| arrived.body.to_vec()))
        });
    });
}

/// A slow client must not cost more than its bytes.
fn dripping(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head of 60 KB, byte by byte");
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", format!("A: {}\r\n", "b".repeat(1000)).repeat(60));
    group.throughput(Throughput::Bytes(head.len() as u64));
    group.sample_size(10);
    group.bench_function("request", |bencher| {
        bencher.iter(|| {
            let mut reader = RequestReader::default();
            head.as_bytes().chunks(1).filter_map(|byte| reader.feed(byte).ok().flatten().map(|_| ())).count()
        });
    });
    group.finish();
}

fn streaming(criterion: &mut Criterion) {
    let frame = ChunkFrame::new(200);
    let chunk = [frame.before(), &[b'x'; 200], frame.after(false)].concat();
    let mut group = criterion.benchmark_group("chunked body");
    for count in [1, 32] {
        let data = chunk.repeat(count);
        let mut reader = ResponseReader::default();
        let _ = reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function(format!("{count} chunks a read"), |bencher| {
            bencher.iter(|| reader.feed_body(black_box(&data)).map(|pieces| pieces.len()));
        });
    }
    group.finish();
}

fn rendering(criterion: &mut Criterion) {
    criterion.bench_function("head of an answer", |bencher| {
        bencher.iter(|| {
            let mut head = Head::new(black_box(200))?;
            head.field(b"content-type", b"application/json")?;
            head.field(b"x-request-id", b"0123456789abcdef")?;
            head.finish(End::Length(1024), true)
        });
    });
}

criterion_group!(benches, reading, dripping, streaming, rendering);
criterion_main!(benches);
