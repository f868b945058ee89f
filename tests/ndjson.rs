//! Streams of lines, whole and cut at every byte.
#![allow(clippy::unwrap_used)]

mod made;

use _wire::wire::ndjson::LineReader;
use _wire::wire::{MAX_EVENT, WireError};
use made::data::all_ways;
use proptest::prelude::*;

fn lines(reads: &[&[u8]]) -> Result<(Vec<Vec<u8>>, bool), WireError> {
    let mut reader = LineReader::default();
    let mut lines = Vec::new();
    for read in reads {
        reader.feed(read, |line| {
            lines.push(line.to_vec());
            Ok(())
        })?;
    }
    Ok((lines, reader.boundary()))
}

/// The lines, which must not depend on how the stream is cut, and whether the last one is whole.
fn lines_all(stream: &[u8]) -> (Vec<String>, bool) {
    let whole = lines(&[stream]).unwrap();
    for reads in all_ways(stream) {
        assert_eq!(lines(&reads).unwrap(), whole, "{}", stream.escape_ascii());
    }
    (whole.0.into_iter().map(|line| String::from_utf8(line).unwrap()).collect(), whole.1)
}

#[test]
fn a_line_ends_with_a_line_feed() {
    assert_eq!(lines_all(b"{\"a\":1}\n{\"b\":2}\r\n"), (vec!["{\"a\":1}".into(), "{\"b\":2}".into()], true));
    assert_eq!(lines_all(b"{}\n{\"b\"").0, ["{}"]);
    assert!(!lines_all(b"{}\n{\"b\"").1);
    assert_eq!(lines_all(b"a\rb\n").0, ["a\rb"]);
}

#[test]
fn empty_lines_say_nothing() {
    assert_eq!(lines_all(b"\n\r\n {}\n \t\n\n"), (vec![" {}".into()], true));
    assert_eq!(lines_all(b""), (vec![], true));
}

#[test]
fn a_line_has_a_limit() {
    let long = vec![b'x'; MAX_EVENT];
    assert_eq!(lines(&[&long, b"\n"]).unwrap().0.len(), 1);
    assert!(lines(&[&long, b"\n", &long, b"\n"]).is_ok());
    assert!(matches!(lines(&[&long, b"x"]), Err(WireError::Answer { .. })));
    assert!(matches!(lines(&[&long, b"x\n"]), Err(WireError::Answer { .. })));
    assert!(matches!(lines(&[&[&long[..], b"x\n"].concat()]), Err(WireError::Answer { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_in_any_order_cut_anywhere(parts in prop::collection::vec(prop::sample::select(vec!["{}", "\n", "\r", "\r\n", " ", "x"]), 0..12)) {
        let stream = parts.concat();
        let expected: Vec<&str> = stream.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(|line| !line.trim().is_empty()).collect();
        let (lines, boundary) = lines_all(stream.as_bytes());
        prop_assert_eq!(lines, expected);
        prop_assert_eq!(boundary, stream.is_empty() || stream.ends_with('\n'));
    }
}
