//! The grammar of JSON, whole and cut at every byte.
#![allow(clippy::unwrap_used)]

mod made;

use std::path::PathBuf;

use _wire::wire::answer::{Format, scan_answer};
use _wire::wire::envelope::{Envelope, Scanner};
use _wire::wire::json::{Checker, Fault, Machine, Surrogates, validate};
use _wire::wire::{MAX_DEPTH, WireError};
use made::data::shared;
use made::{pieces, values};
use proptest::prelude::*;
use serde_json::Value;

fn check(pieces: &[&[u8]]) -> Result<(), Fault> {
    let mut checker = Checker::new(Machine::new(Surrogates::Paired));
    pieces.iter().try_for_each(|piece| checker.feed(piece))?;
    checker.finish()
}

/// Validates whole, cut once at every byte, and byte by byte; the answers must be equal.
fn check_all(text: &[u8]) -> Result<(), Fault> {
    let whole = validate(text, Surrogates::Paired);
    for cut in 0..=text.len() {
        assert_eq!(check(&[&text[..cut], &text[cut..]]), whole, "cut at {cut}: {}", text.escape_ascii());
    }
    assert_eq!(check(&text.chunks(1).collect::<Vec<_>>()), whole, "byte by byte: {}", text.escape_ascii());
    whole
}

// --- the grammar ------------------------------------------------------------------------------------------------------

/// The public suite: a file's name says whether it is to be accepted (`y_`), refused (`n_`), or either (`i_`).
fn vectors() -> Option<Vec<(String, Vec<u8>)>> {
    let files = std::fs::read_dir(shared("json/JSONTestSuite/test_parsing")?).unwrap();
    let named = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap());
    let vectors: Vec<_> = files.map(|file| named(file.unwrap().path())).collect();
    assert_eq!(vectors.len(), 318);
    Some(vectors)
}

#[test]
fn the_public_suite_is_judged_as_it_says() {
    let Some(vectors) = vectors() else { return };
    for (name, text) in &vectors {
        let verdict = check_all(text);
        expect(name, verdict.is_ok());
    }
    let ways = vectors.iter().map(|(_, text)| text.len() + 3).sum::<usize>();
    eprintln!("json: {} vectors read in {ways} ways: whole, cut at every byte, byte by byte", vectors.len());
}

/// The vectors are of any kind, a body is an object: so each becomes a member's value.
#[test]
fn the_public_suite_is_judged_the_same_within_a_body() {
    let Some(vectors) = vectors() else { return };
    for (name, text) in &vectors {
        let body = [b"{\"x\":", &text[..], b"}"].concat();
        let whole = envelope(&[&body]);
        for cut in 0..=body.len() {
            assert_eq!(envelope(&[&body[..cut], &body[cut..]]), whole, "{name}, cut at {cut}");
        }
        assert_eq!(envelope(&body.chunks(1).collect::<Vec<_>>()), whole, "{name}, byte by byte");
        expect(name, whole.is_ok());
    }
}

fn envelope(pieces: &[&[u8]]) -> Result<Envelope, WireError> {
    let mut scanner = Scanner::default();
    pieces.iter().try_for_each(|piece| scanner.feed(piece))?;
    scanner.finish()
}

fn expect(name: &str, accepted: bool) {
    match name.as_bytes()[0] {
        b'y' => assert!(accepted, "{name}"),
        b'n' => assert!(!accepted, "{name}"),
        _ => {}
    }
}

#[test]
fn what_the_grammar_allows() {
    for text in [
        "0",
        "-0",
        "-0.5e+10",
        "1E9",
        "12",
        "true",
        " null\n",
        "\"\"",
        "[]",
        "{}",
        "[1,\t2]",
        r#"{"":{"a":[]}}"#,
        r#""\"\\\/\b\f\n\r\tA""#,
        r#""\ud83d\ude00""#,
        "\"\u{7f}é€😀\"",
        "[[],{}]",
        "[false,-1,\"x\"]",
    ] {
        assert_eq!(check_all(text.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
fn what_it_does_not_allow_and_where() {
    for (text, at) in [
        ("", 0),
        (" ", 1),
        ("01", 1),
        ("-", 1),
        ("-x", 1),
        ("1.", 2),
        ("1.x", 2),
        ("1e", 2),
        ("+1", 0),
        (".5", 0),
        ("tru", 3),
        ("trux", 3),
        ("nul", 3),
        ("NaN", 0),
        ("'a'", 0),
        ("\"a", 2),
        ("\"\n\"", 1),
        ("\"\\x\"", 2),
        ("\"\\u00g0\"", 5),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("{,}", 1),
        ("{\"a\"}", 4),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("{1:2}", 1),
        ("{\"a\":1 \"b\":2}", 7),
        ("[}", 1),
        ("[1}", 2),
        ("{]", 1),
        ("1 2", 2),
        ("[1]]", 3),
        ("\u{feff}[]", 0),
        ("\u{a0}1", 0),
        ("/**/1", 0),
        ("[1]\0", 3),
        (r#""\ud800""#, 7),
        (r#""\ud800x""#, 7),
        (r#""\udc00""#, 6),
        (r#""\ud800\n""#, 8),
        (r#""\ud800\ud800""#, 12),
    ] {
        assert_eq!(check_all(text.as_bytes()).map_err(|fault| fault.at), Err(at), "{text}");
    }
}

#[test]
fn utf8_is_checked_across_cuts() {
    for text in [
        &b"\"\xff\""[..],
        b"\"\xc3\"",
        b"\"\xe2\x82",
        b"\"\xed\xa0\x80\"",
        b"\"\xc0\xaf\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\xff",
    ] {
        assert_eq!(check_all(text).map_err(|fault| fault.what), Err("invalid UTF-8"), "{}", text.escape_ascii());
    }
}

#[test]
fn special_bytes_are_found_at_every_place_of_a_long_string() {
    for length in 0..100 {
        for (place, byte) in (0..length).flat_map(|place| [(place, b'\n'), (place, 0x1f), (place, b'"'), (place, 0)]) {
            let mut text = vec![b'a'; length];
            text[place] = byte;
            let quoted = [b"\"", &text[..], b"\""].concat();
            assert!(validate(&quoted, Surrogates::Paired).is_err(), "{}", quoted.escape_ascii());
        }
        let plain = ["\"", &"é".repeat(length), &"\u{7f}~ !#[]".repeat(length), "\""].concat();
        assert_eq!(validate(plain.as_bytes(), Surrogates::Paired), Ok(()));
    }
}

#[test]
fn nesting_has_a_limit() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth| [open.repeat(depth), "1".to_owned(), close.repeat(depth)].concat();
        assert_eq!(check_all(nested(MAX_DEPTH).as_bytes()), Ok(()));
        assert!(check_all(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        let answer = |depth| format!(r#"{{"choices":[{{"message":{}}}]}}"#, nested(depth));
        assert!(scan_answer(Format::OpenAiChat, answer(MAX_DEPTH - 3).as_bytes()).is_ok());
        assert!(scan_answer(Format::OpenAiChat, answer(MAX_DEPTH - 2).as_bytes()).is_err());
    }
}

// --- properties -------------------------------------------------------------------------------------------------------

/// Whether `serde_json` takes it. It also refuses numbers that no double holds, which the grammar allows.
fn serde_takes(text: &[u8]) -> bool {
    match serde_json::from_slice::<Value>(text) {
        Ok(_) => true,
        Err(error) => error.to_string().starts_with("number out of range"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_serde_writes_is_valid_cut_anywhere(value in values(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(validate(text.as_bytes(), Surrogates::Paired), Ok(()));
            prop_assert_eq!(check(&pieces(text.as_bytes(), &cuts)), Ok(()));
        }
    }

    #[test]
    fn what_looks_like_json_is_judged_as_serde_judges(text in r#"[\[\]{}:,"\\u0-9dD8cC+\-.eE truefalsn\n/]{0,12}"#, open in r#"[\[{"1]?"#) {
        let text = open + &text;
        let verdict = validate(text.as_bytes(), Surrogates::Paired);
        // Out of range: then serde has not read on, and the rest may be anything.
        if verdict.is_err() && serde_takes(text.as_bytes()) {
            prop_assert!(serde_json::from_str::<Value>(&text).is_err());
        } else {
            prop_assert_eq!(verdict.is_ok(), serde_takes(text.as_bytes()), "{}", text);
        }
        check_all(text.as_bytes()).ok();
    }

    #[test]
    fn a_changed_byte_is_judged_as_serde_judges(value in values(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = value.to_string().into_bytes();
        let place = place.index(text.len());
        text[place] = byte;
        let serde = serde_json::from_slice::<Value>(&text);
        let out_of_range = serde.as_ref().is_err_and(|error| error.to_string().starts_with("number out of range"));
        prop_assert!(out_of_range || validate(&text, Surrogates::Paired).is_ok() == serde.is_ok());
        prop_assert_eq!(check(&text.chunks(1).collect::<Vec<_>>()), validate(&text, Surrogates::Paired));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        check_all(&bytes).ok();
    }
}
