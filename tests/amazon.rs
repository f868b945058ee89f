//! Amazon's event streams: the public messages whole and cut at every byte, and what must be refused.
#![allow(clippy::unwrap_used)]

mod made;

use _wire::wire::amazon::{Message, MessageReader, crc32, render};
use _wire::wire::{MAX_EVENT, WireError};
use made::data::{all_ways, base64, cases, shared, text};
use proptest::prelude::*;

/// Kind, name, complaint, payload.
type Read = [Vec<u8>; 4];

fn read(reads: &[&[u8]]) -> Result<(Vec<Read>, bool), WireError> {
    let mut reader = MessageReader::default();
    let mut messages = Vec::new();
    for piece in reads {
        reader.feed(piece, |Message { kind, name, complaint, payload }| {
            messages.push([kind, name, complaint, payload].map(<[u8]>::to_vec));
            Ok(())
        })?;
    }
    Ok((messages, reader.boundary()))
}

/// The messages, which must not depend on how the stream is cut, and the ways in which they were read.
fn read_all(stream: &[u8]) -> (Result<Vec<Read>, WireError>, usize) {
    let whole = read(&[stream]);
    let mut ways = 0;
    for reads in all_ways(stream) {
        assert_eq!(read(&reads), whole, "{} pieces, first {}", reads.len(), reads[0].len());
        ways += 1;
    }
    (whole.map(|(messages, boundary)| if boundary { messages } else { Vec::new() }), ways)
}

fn message(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let lengths = [16 + headers.len() + payload.len(), headers.len()];
    sealed(lengths.map(|length| u32::try_from(length).unwrap()), headers, payload)
}

/// With both checksums right, whatever the lengths say.
fn sealed(lengths: [u32; 2], headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut message: Vec<u8> = lengths.iter().flat_map(|length| length.to_be_bytes()).collect();
    message.extend(crc32(&message).to_be_bytes());
    message.extend([headers, payload].concat());
    message.extend(crc32(&message).to_be_bytes());
    message
}

fn refused(stream: &[u8]) -> bool {
    matches!(read_all(stream).0, Err(WireError::Answer { .. }))
}

#[test]
fn every_public_message_is_read_as_it_should() {
    let Some(cases) = cases("aws_eventstream/vectors.jsonl") else { return };
    let (mut ways, mut stream, mut payloads) = (0, Vec::new(), Vec::new());
    for case in &cases {
        let (name, input) = (text(case, "name"), base64(text(case, "input_b64")));
        let (read, more) = read_all(&input);
        ways += more;
        if text(case, "expect") == "error" {
            assert!(matches!(read, Err(WireError::Answer { .. })), "{name}");
            continue;
        }
        let [[kind, called, complaint, payload]] = &read.unwrap()[..] else { panic!("{name}: not one message") };
        let header = |header: &str| case["headers"][header].as_str().unwrap_or_default().as_bytes();
        assert_eq!((&kind[..], &complaint[..]), (header(":message-type"), header(":error-message")), "{name}");
        assert_eq!((&called[..], payload), (header(":error-code"), &base64(text(case, "payload_b64"))), "{name}");
        payloads.push(payload.clone());
        stream.extend(input);
    }
    let (read, more) = read_all(&stream);
    assert!(read.unwrap().into_iter().map(|[_, _, _, payload]| payload).eq(payloads));
    assert_eq!(cases.len(), 15);
    eprintln!("amazon: {} messages read in {} ways", cases.len(), ways + more);
}

#[test]
fn every_message_of_the_corpus_is_read_as_it_should() {
    let corpus = "aws_eventstream/smithy-rs/rust-runtime/aws-smithy-eventstream/test_data";
    let Some(folder) = shared(corpus) else { return };
    let (mut files, mut ways) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (read, more) = read_all(&std::fs::read(&path).unwrap());
        assert_eq!(read.is_ok_and(|read| read.len() == 1), name.starts_with("valid"), "{name}");
        (files, ways) = (files + 1, ways + more);
    }
    assert_eq!(files, 11);
    eprintln!("amazon: {files} messages of the corpus read in {ways} ways");
}

#[test]
fn what_a_message_is_its_headers_say() {
    let headers = [(":event-type", "chunk"), ("x", "y"), (":message-type", "event")];
    let stream = [render(&headers, b"{}").unwrap(), render(&[], b"").unwrap()].concat();
    let expected: [[&[u8]; 4]; 2] = [[b"event", b"chunk", b"", b"{}"], [b""; 4]];
    assert_eq!(read_all(&stream).0.unwrap(), expected.map(|read| read.map(<[u8]>::to_vec)));
    let error = render(&[(":message-type", "error"), (":error-code", "c"), (":error-message", "m")], b"").unwrap();
    let expected: [&[u8]; 4] = [b"error", b"c", b"m", b""];
    assert_eq!(read_all(&error).0.unwrap(), [expected.map(<[u8]>::to_vec)]);
    let number = message(b"\x0b:event-type\x02\x01", b"");
    assert_eq!(read_all(&number).0.unwrap(), [[const { Vec::<u8>::new() }; 4]]);
}

#[test]
fn lengths_are_limited() {
    let limit = u32::try_from(MAX_EVENT).unwrap();
    let prelude = |total, headers| read(&[&sealed([total, headers], b"", b"")[..12]]);
    assert!(prelude(limit, 0).is_ok());
    for (total, headers) in
        [(limit + 1, 0), (u32::MAX, 0), (15, 0), (0, 0), (20, 5), (limit, 128 * 1024 + 1), (limit, u32::MAX)]
    {
        assert!(matches!(prelude(total, headers), Err(WireError::Answer { .. })), "{total} {headers}");
    }
    let largest = render(&[], &vec![b'x'; MAX_EVENT - 16]).unwrap();
    assert_eq!(read(&largest.chunks(60_000).collect::<Vec<_>>()).unwrap().0[0][3].len(), MAX_EVENT - 16);
}

#[test]
fn malformed_headers_are_refused() {
    for headers in [
        &b"\x00\x00"[..],
        b"\x05a",
        b"\x01a",
        b"\x01a\x0a",
        b"\x01a\x02",
        b"\x01a\x03x",
        b"\x01a\x04xxx",
        b"\x01a\x05xxxxxxx",
        b"\x01a\x06\x00",
        b"\x01a\x07\x00\x02x",
        b"\x01a\x07\x00\x01\xff",
        b"\x01\xff\x00",
        b"\x01a\x08xxxxxxx",
        b"\x01a\x09xxxxxxxxxxxxxxx",
        b"\x01a\x00\x01b\x00\x01a\x01",
    ] {
        assert!(refused(&message(headers, b"x")), "{}", headers.escape_ascii());
    }
    let many = |count: u8| (0..count).flat_map(|name| [1, name, 0]).collect::<Vec<_>>();
    assert!(!refused(&message(&many(128), b"")));
    let many: Vec<u8> =
        (b'0'..=b'9').chain(b'a'..=b'z').flat_map(|one| (b'0'..b'4').flat_map(move |two| [2, one, two, 0])).collect();
    assert!(refused(&message(&many, b"")));
}

#[test]
fn what_nobody_would_read_is_not_rendered() {
    let long = "x".repeat(32_768);
    for headers in [&[("", "")][..], &[(&long[..256], "")], &[("a", &long)], &[("a", "b"), ("a", "c")]] {
        assert!(matches!(render(headers, b""), Err(WireError::Value { .. })));
    }
    assert!(render(&[(&long[..255], &long[1..])], b"").is_ok());
    let names = ["a", "b", "c", "d", "e"];
    assert!(render(&names.map(|name| (name, &long[1..])), b"").is_err());
    assert!(render(&[], &vec![0; MAX_EVENT - 15]).is_err());
}

#[test]
fn the_checksum_is_that_of_the_standard() {
    assert_eq!(crc32(b""), 0);
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414F_A339);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rendered_is_read(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..4), name in ".{0,20}") {
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| render(&[(":event-type", &name)], payload).unwrap()).collect();
        let expected: Vec<Read> = payloads.into_iter().map(|payload| [vec![], name.clone().into_bytes(), vec![], payload]).collect();
        prop_assert_eq!(read_all(&stream).0.unwrap(), expected);
    }

    #[test]
    fn a_byte_that_changed_is_noticed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut stream = render(&[(":event-type", "chunk"), (":message-type", "event")], b"{\"a\":1}").unwrap();
        let at = at.index(stream.len());
        stream[at] ^= 1_u8 << bit;
        prop_assert!(refused(&stream));
    }

    #[test]
    fn random_bytes_never_panic(headers in prop::collection::vec(any::<u8>(), 0..64), junk in prop::collection::vec(any::<u8>(), 0..32)) {
        read_all(&message(&headers, b"x")).0.ok();
        read_all(&junk).0.ok();
    }
}
