//! The public vectors, which lie beside the repository (`../shared/data`), and the ways to cut them.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file or folder of the shared data. None where it is absent: then the test is skipped, and this says so.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    // Past cargo, which hides what a test prints unless it fails: a skipped test must not look like one that ran.
    writeln!(std::io::stderr(), "skipped: the shared test data is not there ({})", path.display()).ok();
    None
}

/// The cases of a file with one in a line.
pub(crate) fn cases(name: &str) -> Option<Vec<Value>> {
    let lines = std::fs::read_to_string(shared(name)?).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A string of a case; empty where there is none.
pub(crate) fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_default()
}

/// RFC 4648 section 4.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').bytes();
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::with_capacity(text.len() / 4 * 3));
    for digit in digits {
        let value = ALPHABET.iter().zip(0..).find_map(|(&letter, value)| (letter == digit).then_some(value));
        bits = bits << 6 | value.unwrap_or_else(|| panic!("no base64: {text}"));
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    bytes
}

/// A text whole, byte by byte, and in two at each place.
pub(crate) fn all_ways(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let halves = (1..text.len()).map(|place| vec![&text[..place], &text[place..]]);
    [vec![text], text.chunks(1).collect()].into_iter().chain(halves)
}
