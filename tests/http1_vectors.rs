//! The public cases of HTTP/1.1, whole and cut at every byte; what is expected is what `tests/wire/test_http1.py` expects.
#![allow(clippy::unwrap_used)]

mod made;

use std::collections::BTreeSet;

use made::data::{all_ways, base64, cases, text};
use made::exchange::{Reading, read_answers, read_requests};
use regex::bytes::{NoExpand, Regex, RegexBuilder};
use serde_json::Value;

const CASES: &str = "http1/cases.jsonl";
/// What is put into requests that have no Host: each of them would be refused for this alone.
const HOST: &[u8] = b"Host: example.com\r\n";

/// Of bytes, as in Python.
fn pattern(text: &str) -> Regex {
    RegexBuilder::new(text).unicode(false).build().unwrap()
}

// --- what is read -----------------------------------------------------------------------------------------------------

/// What stands in the cases, our verdict, and their lines in the collection (from 0): nothing else is excused.
struct Difference {
    stands: Regex,
    verdict: Regex,
    cases: BTreeSet<u64>,
}

impl Difference {
    fn new(row: &Value) -> Self {
        assert!(!text(row, "reason").is_empty());
        Self {
            stands: pattern(text(row, "pattern")),
            verdict: pattern(&format!("^(?:{})$", text(row, "verdict"))),
            cases: row["cases"].as_array().unwrap().iter().map(|line| line.as_u64().unwrap()).collect(),
        }
    }

    fn excuses(&self, line: u64, data: &[u8], verdict: &str) -> bool {
        self.cases.contains(&line) && self.verdict.is_match(verdict.as_bytes()) && self.stands.is_match(data)
    }
}

struct Suite {
    host: Regex,
    version: Regex,
    body_span: Regex,
    /// Where this project reads a case otherwise than its suite.
    differences: Vec<Difference>,
}

impl Suite {
    fn new() -> Self {
        let rows: Vec<Value> = serde_json::from_str(include_str!("wire/http1_differences.json")).unwrap();
        Self {
            host: pattern(r"(?i)\nhost[ \t]*:"),
            version: pattern(r" HTTP/1\.1\r\n"),
            body_span: pattern(r#"(?m)span\[body\]=(?:"(.*)"|(cr|lf))$"#),
            differences: rows.iter().map(Difference::new).collect(),
        }
    }

    fn bytes(&self, case: &Value) -> Vec<u8> {
        let mut data = base64(text(case, "input_b64"));
        match text(case, "type") {
            "url" => return [b"GET ", &data[..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat(),
            "headers" => return [b"GET / HTTP/1.0\r\n", &data[..]].concat(),
            _ => {}
        }
        if lost_its_last_line(case, &data) {
            data.extend(b"\r\n");
        }
        if is_request(case) && !self.host.is_match(&data) {
            let with_host = [b" HTTP/1.1\r\n", HOST].concat();
            data = self.version.replace_all(&data, NoExpand(&with_host)).into_owned();
        }
        data
    }

    /// Whether we read the case as its suite does; what is right only when lenient is to be refused.
    fn agrees(&self, case: &Value, reading: &Reading) -> bool {
        let Reading { messages, verdict } = reading;
        if text(case, "expect") == "error" || case["lenient"] == true {
            if verdict == "more" && messages.is_empty() {
                // Some cases break off before the line that is at fault ends.
                return read(case, &[&self.bytes(case), b"\r\n\r\n"]).refused();
            }
            return reading.refused();
        }
        if text(case, "expect") == "incomplete" {
            return !reading.refused() && verdict != "closed";
        }
        let mut complete = matches!(verdict.as_str(), "ok" | "closed" | "until close");
        if text(case, "source") != "llhttp" {
            return complete && expected(case).is_none_or(|requests| requests.len() == messages.len());
        }
        if is_request(case) {
            complete = !reading.refused() && Some(messages.len() as u64) == case["complete"].as_u64();
        }
        let read: Vec<u8> = messages.iter().flat_map(|message| message.body.clone()).collect();
        complete && self.bodies(case).starts_with(&read)
    }

    /// What llhttp said of the bodies, that of an unfinished message included.
    fn bodies(&self, case: &Value) -> Vec<u8> {
        let spans = self.body_span.captures_iter(text(case, "log").as_bytes());
        let part = |span: regex::bytes::Captures<'_>| match span.get(2).map(|end| end.as_bytes()) {
            Some(b"cr") => b"\r".to_vec(),
            Some(_) => b"\n".to_vec(),
            None => span[1].to_vec(),
        };
        spans.flat_map(part).collect()
    }

    /// The number of the row that says why we read the case differently.
    fn difference(&self, line: u64, case: &Value, reading: &Reading) -> Option<usize> {
        let data = self.bytes(case);
        self.differences.iter().position(|row| row.excuses(line, &data, &reading.verdict))
    }

    /// Every case that is excused, with the number of its row.
    fn excused(&self) -> BTreeSet<(usize, u64)> {
        let of_row =
            |(number, row): (usize, &Difference)| row.cases.iter().map(|line| (number, *line)).collect::<Vec<_>>();
        self.differences.iter().enumerate().flat_map(of_row).collect()
    }
}

fn is_request(case: &Value) -> bool {
    text(case, "type").starts_with("request")
}

/// The requests that the suite reads, where it says so.
fn expected(case: &Value) -> Option<&[Value]> {
    match &case["expected"] {
        Value::Array(requests) => Some(requests),
        Value::Null => None,
        request => Some(std::slice::from_ref(request)),
    }
}

/// The collection lost the empty line where it ended a case of llhttp.
fn lost_its_last_line(case: &Value, data: &[u8]) -> bool {
    let has_one = data.windows(4).any(|bytes| bytes == b"\r\n\r\n");
    let ends_early = || text(case, "log").contains(&format!("off={} ", data.len() + 2));
    text(case, "source") == "llhttp" && data.ends_with(b"\r\n") && (!has_one || ends_early())
}

fn read(case: &Value, pieces: &[&[u8]]) -> Reading {
    if text(case, "type").starts_with("response") { read_answers(pieces) } else { read_requests(pieces) }
}

// --- the tests --------------------------------------------------------------------------------------------------------

#[test]
fn every_public_case_is_read_as_its_suite_says_or_differently_for_a_reason() {
    let Some(cases) = cases(CASES) else { return };
    let suite = Suite::new();
    let (mut needed, mut ways) = (BTreeSet::new(), 0);
    for (line, case) in (0..).zip(&cases) {
        let name = [text(case, "source"), text(case, "name")].join(": ");
        let data = suite.bytes(case);
        let whole = read(case, &[&data]);
        for pieces in all_ways(&data) {
            assert_eq!(read(case, &pieces), whole, "{name}, in {} pieces, first {}", pieces.len(), pieces[0].len());
            ways += 1;
        }
        if !suite.agrees(case, &whole) {
            let row = suite.difference(line, case, &whole).unwrap_or_else(|| panic!("{line}, {name}: {whole:?}"));
            needed.insert((row, line));
        }
    }
    assert_eq!(cases.len(), 471);
    assert_eq!(needed, suite.excused(), "cases of http1_differences.json that need no excuse");
    eprintln!("http1: {} cases read in {ways} ways", cases.len());
    let (differ, rows) = (needed.len(), suite.differences.len());
    eprintln!("http1: {differ} cases differ for the {rows} reasons of http1_differences.json");
}

#[test]
fn every_public_request_says_what_its_suite_reads_in_it() {
    let Some(cases) = cases(CASES) else { return };
    let (suite, mut compared) = (Suite::new(), 0);
    for case in &cases {
        let Some(expected) = expected(case) else { continue };
        let reading = read_requests(&[&suite.bytes(case)]);
        // One whose connection ends before is a difference with a reason.
        for (message, wanted) in reading.messages.iter().zip(expected) {
            let (method, target) = message.start.rsplit_once(' ').unwrap().0.split_once(' ').unwrap();
            assert!(method.eq_ignore_ascii_case(text(wanted, "method")));
            assert!(text(wanted, "uri").ends_with(target), "{target}: {wanted}");
            let fields: BTreeSet<_> = message.fields.iter().map(|(n, v)| (n.to_ascii_uppercase(), v.clone())).collect();
            assert!(fields.is_superset(&wanted_fields(wanted)), "{wanted}");
            let body = pattern("Host: example\\.com\r\n").replace_all(&message.body, NoExpand(b"")).into_owned();
            assert!(first(&body) == first(text(wanted, "body").as_bytes()), "{wanted}");
            compared += 1;
        }
    }
    eprintln!("http1: {compared} requests say the same");
    assert!(compared > 40);
}

fn first(body: &[u8]) -> &[u8] {
    &body[..body.len().min(20)]
}

fn wanted_fields(wanted: &Value) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
    let latin1 = |value: &Value| value.as_str().unwrap().chars().map(|c| u8::try_from(c).unwrap()).collect();
    let fields = wanted["headers"].as_array().unwrap().iter().filter(|field| field[0] != "HOST");
    fields.map(|field| (latin1(&field[0]), latin1(&field[1]))).collect()
}
