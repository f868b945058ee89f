//! HTTP/1.1 without Python: vectors, and properties that hold for any bytes and any cuts.

use _wire::wire::WireError;
use _wire::wire::render::{ChunkFrame, End, Head, splice_place};
use _wire::wire::request::RequestReader;
use _wire::wire::response::ResponseReader;
use proptest::prelude::*;

/// What a reader made of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    start: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

/// The messages that were complete, and whether nothing was left over or waited for behind them.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    complete: Vec<Message>,
    outcome: Result<bool, WireError>,
}

fn pieces<'a>(data: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (data.len() + 1)).collect();
    places.extend([0, data.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &data[pair[0]..pair[1]]).collect()
}

fn read_requests(pieces: &[&[u8]]) -> Reading {
    let mut reader = RequestReader::default();
    let mut open: Option<Message> = None;
    let mut complete = Vec::new();
    let outcome = (|| {
        for piece in pieces {
            let mut data = *piece;
            loop {
                if let Some(message) = &mut open {
                    message.body.extend(reader.feed_body(data)?.to_vec());
                } else if let Some(incoming) = reader.feed(data)? {
                    let request = &incoming.request;
                    let mark = if request.query().is_empty() { "" } else { "?" };
                    let start = format!("{} {}{mark}{}", request.method(), request.path(), request.query());
                    let fields = request.fields().iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
                    open = Some(Message { start, fields, body: incoming.body.to_vec() });
                } else {
                    break;
                }
                if !reader.body_complete() {
                    break;
                }
                complete.extend(open.take());
                data = b"";
            }
        }
        Ok(open.is_none() && !reader.pending())
    })();
    Reading { complete, outcome }
}

fn read_answer(pieces: &[&[u8]]) -> Reading {
    let mut reader = ResponseReader::default();
    let mut message: Option<Message> = None;
    let outcome = (|| {
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            if reader.body_complete() {
                return Ok(false);
            }
            if let Some(message) = &mut message {
                message.body.extend(reader.feed_body(piece)?.to_vec());
            } else if let Some(arrived) = reader.feed(piece)? {
                let fields = arrived.response.fields().iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
                let start = arrived.response.status.to_string();
                message = Some(Message { start, fields, body: arrived.body.to_vec() });
            }
        }
        let clean = reader.reusable() || !reader.body_complete();
        reader.end().map(|()| clean)
    })();
    Reading { complete: if outcome.is_ok() { message.into_iter().collect() } else { Vec::new() }, outcome }
}

fn status(data: &[u8]) -> Option<u16> {
    match read_requests(&[data]).outcome {
        Err(WireError::Request { status, .. }) => Some(status),
        Err(other) => panic!("{other:?}"),
        Ok(_) => None,
    }
}

const HEAD: &[u8] = b"POST /v1/chat?x=1 HTTP/1.1\r\nHost: a\r\nX-BF-Key: b\r\n";

fn with(tail: &[u8]) -> Vec<u8> {
    [HEAD, tail].concat()
}

#[test]
fn a_request_in_one_read() {
    let mut reader = RequestReader::default();
    let data = with(b"Content-Length: 2\r\n\r\n{}GET");
    let incoming = reader.feed(&data).unwrap().unwrap();
    assert_eq!(incoming.request.method(), "POST");
    assert_eq!((incoming.request.path(), incoming.request.query()), ("/v1/chat", "x=1"));
    assert_eq!(incoming.body.as_slice(), Some(&b"{}"[..]));
    assert!(incoming.complete && incoming.request.special && incoming.request.keep_alive);
    assert_eq!(incoming.request.get(b"x-bf-key").as_deref(), Some(&b"b"[..]));
    assert!(reader.pending());
}

#[test]
fn whatever_could_be_read_in_two_ways_is_refused() {
    let cases: [(&[u8], u16); 12] = [
        (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        (b"Content-Length: 1,1\r\n\r\n", 400),
        (b"Content-Length : 1\r\n\r\n", 400),
        (b"Content-Length: +1\r\n\r\n", 400),
        (b"Content-Length: 99999999999999999999\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked, identity\r\n\r\n", 400),
        (b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"Transfer-Encoding: chunked\r\n\r\n5\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\nab", 400),
        (b"A: b\n\r\n", 400),
        (b"A: b\r\n c\r\n\r\n", 400),
    ];
    for (tail, expected) in cases {
        assert_eq!(status(&with(tail)), Some(expected), "{}", tail.escape_ascii());
    }
}

#[test]
fn every_cut_of_a_pipeline_reads_alike() {
    let data = [
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        with(b"Transfer-Encoding: chunked\r\n\r\n5;a=\"\\\"\"\r\nhello\r\n0\r\nX: y\r\n\r\n"),
        with(b"Content-Length: 3\r\n\r\nabc"),
    ]
    .concat();
    let whole = read_requests(&[&data]);
    assert_eq!(whole.complete.len(), 3);
    assert_eq!(whole.complete[1].body, b"hello");
    assert_eq!(whole.outcome, Ok(true));
    for place in 0..=data.len() {
        assert_eq!(read_requests(&pieces(&data, &[place])), whole);
    }
    assert_eq!(read_requests(&data.chunks(1).collect::<Vec<_>>()), whole);
}

#[test]
fn an_endless_head_is_refused_at_the_limit() {
    let mut reader = RequestReader::default();
    let mut sent = reader.feed(HEAD).map(|_| HEAD.len()).unwrap();
    let error = loop {
        match reader.feed(b"a") {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, WireError::request(431, "the head is too large"));
    assert_eq!(sent, _wire::wire::MAX_HEAD);
}

#[test]
fn an_answer_cut_anywhere_is_no_answer() {
    let data = b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(read_answer(&[data]).complete[0].body, b"hi");
    for end in 0..data.len() {
        let reading = read_answer(&[&data[..end]]);
        assert!(matches!(reading.outcome, Err(WireError::Broken { .. })), "{end}");
    }
}

#[test]
fn members_are_added_before_the_closing_brace() {
    assert_eq!(splice_place(b"{\"a\":1} "), Ok((6, true)));
    assert_eq!(splice_place(b" { }"), Ok((3, false)));
    assert!(splice_place(b"[]").is_err());
}

fn token() -> impl Strategy<Value = String> {
    "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}"
}

/// Names that mean something to the parser are left to the vectors.
fn fields() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let value = proptest::collection::vec(prop_oneof![0x21..0x7f_u8, 0x80..=0xff_u8], 0..20);
    proptest::collection::vec((token().prop_map(|name| format!("x-{name}")), value), 0..8)
}

fn chunked(body: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut rendered = Vec::new();
    for piece in pieces(body, cuts) {
        let frame = ChunkFrame::new(piece.len());
        rendered.extend([frame.before(), piece, frame.after(false)].concat());
    }
    rendered.extend(ChunkFrame::new(0).after(true));
    rendered
}

/// Bytes that look like HTTP often enough to get past the first line.
fn nearly_http(protocol: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"GET /a?b HTTP/1.1\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Just(b"Host: a\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(format!("Connection: upgrade\r\nUpgrade: {protocol}\r\n").into_bytes()),
        Just(b"Connection: close\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"3\r\nabc\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"A: b\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(part, 0..14).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_waited_for_or_refused(data in proptest::collection::vec(any::<u8>(), 0..300), cut in any::<usize>()) {
        let whole = read_requests(&[&data]);
        prop_assert_eq!(&read_requests(&pieces(&data, &[cut])), &whole);
        let clients_fault = matches!(whole.outcome, Ok(_) | Err(WireError::Request { .. }));
        prop_assert!(clients_fault);
        let providers_fault = matches!(read_answer(&[&data]).outcome, Ok(_) | Err(WireError::Answer { .. } | WireError::Broken { .. }));
        prop_assert!(providers_fault);
    }

    #[test]
    fn cuts_change_nothing(data in nearly_http("h2c"), cuts in proptest::collection::vec(any::<usize>(), 0..8)) {
        prop_assert_eq!(read_requests(&pieces(&data, &cuts)), read_requests(&[&data]));
        prop_assert_eq!(read_answer(&pieces(&data, &cuts)), read_answer(&[&data]));
    }

    /// They take whatever came with them, which depends on the cuts.
    #[test]
    fn upgrades_never_panic(data in nearly_http("websocket"), cuts in proptest::collection::vec(any::<usize>(), 0..8)) {
        read_requests(&pieces(&data, &cuts));
    }

    #[test]
    fn an_accepted_request_rendered_again_reads_the_same(
        method in token(), path in "/[!$&'()*+,;=:@a-zA-Z0-9._~%/-]{0,40}", query in "[a-z?=&%]{0,10}", fields in fields(),
        body in proptest::collection::vec(any::<u8>(), 0..200), cuts in proptest::collection::vec(any::<usize>(), 0..4),
    ) {
        prop_assume!(method != "CONNECT");
        let mut data = format!("{method} {path}?{query} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n").into_bytes();
        for (name, value) in &fields {
            data.extend([name.as_bytes(), b":\t", value, b" \r\n"].concat());
        }
        data.extend([&b"\r\n"[..], &chunked(&body, &cuts)].concat());
        let reading = read_requests(&pieces(&data, &cuts));
        prop_assert_eq!(&reading.outcome, &Ok(true));
        let message = &reading.complete[0];
        prop_assert_eq!(&message.body, &body);
        let mut again = format!("{} HTTP/1.1\r\n", message.start).into_bytes();
        for (name, value) in &message.fields {
            again.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
        again.extend([&b"\r\n"[..], &chunked(&message.body, &[])].concat());
        prop_assert_eq!(&read_requests(&[&again]).complete, &reading.complete);
    }

    #[test]
    fn a_rendered_answer_reads_back(
        status in 200..=599_u16, fields in fields(), body in proptest::collection::vec(any::<u8>(), 0..200),
        cuts in proptest::collection::vec(any::<usize>(), 0..4), keep_alive in any::<bool>(), in_chunks in any::<bool>(),
    ) {
        prop_assume!(!matches!(status, 204 | 205 | 304));
        let mut head = Head::new(status).unwrap();
        for (name, value) in &fields {
            head.field(name.as_bytes(), value).unwrap();
        }
        let end = if in_chunks { End::Chunks } else { End::Length(body.len()) };
        let mut data = head.finish(end, keep_alive).unwrap();
        data.extend(if in_chunks { chunked(&body, &cuts) } else { body.clone() });
        let reading = read_answer(&pieces(&data, &cuts));
        prop_assert_eq!(reading.outcome, Ok(keep_alive));
        prop_assert_eq!(&reading.complete[0].body, &body);
        prop_assert_eq!(&reading.complete[0].start, &status.to_string());
        for ((name, value), (sent_name, sent_value)) in reading.complete[0].fields.iter().zip(&fields) {
            prop_assert_eq!(name, &sent_name.to_ascii_lowercase().into_bytes());
            prop_assert_eq!(value, sent_value);
        }
    }
}
