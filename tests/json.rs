//! JSON: the grammar, envelopes and answers, whole and cut at every byte.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use _wire::wire::answer::{Answer, Format, scan_answer};
use _wire::wire::envelope::{Envelope, Scanner, scan};
use _wire::wire::json::{Checker, Fault, Machine, Surrogates, validate};
use _wire::wire::{MAX_DEPTH, MAX_MEMBERS, Usage, WireError};
use proptest::prelude::*;
use serde_json::{Value, json};

fn check(pieces: &[&[u8]]) -> Result<(), Fault> {
    let mut checker = Checker::new(Machine::new(Surrogates::Paired));
    pieces.iter().try_for_each(|piece| checker.feed(piece))?;
    checker.finish()
}

/// Validates whole, cut once at every byte, and byte by byte; the answers must be equal.
fn check_all(text: &[u8]) -> Result<(), Fault> {
    let whole = validate(text, Surrogates::Paired);
    for cut in 0..=text.len().min(4096) {
        assert_eq!(check(&[&text[..cut], &text[cut..]]), whole, "cut at {cut}: {}", text.escape_ascii());
    }
    assert_eq!(check(&text.chunks(1).collect::<Vec<_>>()), whole, "byte by byte: {}", text.escape_ascii());
    whole
}

fn scan_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Envelope, WireError> {
    let mut scanner = Scanner::default();
    pieces.into_iter().try_for_each(|piece| scanner.feed(piece))?;
    scanner.finish()
}

/// Reads an envelope whole, cut once at every byte, and byte by byte; the answers must be equal.
fn scan_all(body: &[u8]) -> Result<Envelope, WireError> {
    let whole = scan(body);
    for cut in 0..=body.len() {
        assert_eq!(scan_pieces([&body[..cut], &body[cut..]]), whole, "cut at {cut}: {}", body.escape_ascii());
    }
    assert_eq!(scan_pieces(body.chunks(1)), whole, "byte by byte: {}", body.escape_ascii());
    whole
}

fn refused_param(body: &str) -> Option<String> {
    match scan_all(body.as_bytes()) {
        Err(WireError::Json { param, .. }) => param.map(Into::into),
        other => panic!("{body}: {other:?}"),
    }
}

fn spliced(body: &str, model: &str) -> String {
    let envelope = scan_all(body.as_bytes()).unwrap();
    let spliced = envelope.splice(body.as_bytes(), model).unwrap();
    let mut out = vec![0; spliced.len()];
    spliced.write(&mut out);
    String::from_utf8(out).unwrap()
}

// --- the grammar ------------------------------------------------------------------------------------------------------

#[test]
fn the_public_suite_is_judged_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/json/JSONTestSuite/test_parsing");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is absent", folder.display());
        return;
    };
    let mut judged = 0;
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read(&path).unwrap();
        let verdict = if text.len() < 5_000 { check_all(&text) } else { validate(&text, Surrogates::Paired) };
        match name.as_bytes()[0] {
            b'y' => assert_eq!(verdict, Ok(()), "{name}"),
            b'n' => assert!(verdict.is_err(), "{name}"),
            _ => {}
        }
        judged += 1;
    }
    assert!(judged > 300);
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

// --- envelopes --------------------------------------------------------------------------------------------------------

#[test]
fn the_envelope_is_read_from_any_order_of_members() {
    let body = r#" { "messages":[{"model":"no","stream":true}], "stream" : true ,"max_tokens":30,"model":"openai\/gpt-\u0034o",
        "max_completion_tokens":20,"max_output_tokens":null,"fallbacks":["a/b", {"provider":"c","model":"d/e","x":[]}] } "#;
    let envelope = scan_all(body.as_bytes()).unwrap();
    assert_eq!(envelope.model.as_deref(), Some("openai/gpt-4o"));
    assert!(envelope.stream);
    assert_eq!(envelope.fallbacks, ["a/b", "c/d/e"]);
    assert_eq!(envelope.max_tokens, Some(20));
    assert_eq!(envelope.size, body.len());
}

#[test]
fn nothing_is_asked_for() {
    for body in [
        "{}",
        r#"{"a":1}"#,
        r#"{"stream":null,"fallbacks":null,"max_tokens":null}"#,
        r#"{"stream":false,"fallbacks":[]}"#,
    ] {
        let envelope = scan_all(body.as_bytes()).unwrap();
        assert_eq!((envelope.model, envelope.stream, envelope.max_tokens), (None, false, None));
        assert!(envelope.fallbacks.is_empty());
    }
}

#[test]
fn a_body_must_be_an_object() {
    for body in ["", "[]", "1", "\"model\"", "null", "{} {}", "{", r#"{"model":"a""#, "\u{feff}{}"] {
        assert_eq!(refused_param(body), None, "{body}");
    }
}

#[test]
fn a_wrong_type_is_refused_with_the_members_name() {
    for (body, param) in [
        (r#"{"model":1}"#, "model"),
        (r#"{"model":null}"#, "model"),
        (r#"{"model":["a"]}"#, "model"),
        (r#"{"stream":"true"}"#, "stream"),
        (r#"{"stream":1}"#, "stream"),
        (r#"{"stream":{}}"#, "stream"),
        (r#"{"fallbacks":"a/b"}"#, "fallbacks"),
        (r#"{"fallbacks":[1]}"#, "fallbacks"),
        (r#"{"fallbacks":{}}"#, "fallbacks"),
        (r#"{"fallbacks":[{"provider":"a"}]}"#, "fallbacks"),
        (r#"{"fallbacks":[{"provider":"a","model":1}]}"#, "fallbacks"),
        (r#"{"fallbacks":[null]}"#, "fallbacks"),
        (r#"{"max_tokens":-1}"#, "max_tokens"),
        (r#"{"max_tokens":1.0}"#, "max_tokens"),
        (r#"{"max_tokens":"1"}"#, "max_tokens"),
        (r#"{"max_tokens":99999999999999999999}"#, "max_tokens"),
        (r#"{"max_completion_tokens":true}"#, "max_completion_tokens"),
        (r#"{"max_output_tokens":1e3}"#, "max_output_tokens"),
    ] {
        assert_eq!(refused_param(body).as_deref(), Some(param), "{body}");
    }
}

#[test]
fn two_readers_may_not_see_two_bodies() {
    for (body, param) in [
        (r#"{"model":"a","model":"a"}"#, "model"),
        (r#"{"model":"a","Model":"b"}"#, "model"),
        (r#"{"MODEL":"a"}"#, "model"),
        (r#"{"\u006dodel":"a"}"#, "model"),
        (r#"{"STREAM":1}"#, "stream"),
        (r#"{"ſtream":true}"#, "stream"),
        (r#"{"\u017ftream":true}"#, "stream"),
        (r#"{"fallbac\u212as":[]}"#, "fallbacks"),
        ("{\"max_to\u{212a}ens\":1}", "max_tokens"),
        (
            r#"{"\u006d\u0061\u0078\u005f\u0063\u006f\u006d\u0070\u006c\u0065\u0074\u0069\u006f\u006e\u005f\u0074\u006f\u006b\u0065\u006e\u0073":1}"#,
            "max_completion_tokens",
        ),
        (r#"{"fallbacks":[],"x":1,"fallbacks":[]}"#, "fallbacks"),
    ] {
        assert_eq!(refused_param(body).as_deref(), Some(param), "{body}");
    }
    let other = r#"{"x":1,"x":2,"Temperature":1,"m\u006fdels":1,"a":{"model":1,"model":2}}"#;
    assert_eq!(spliced(other, "m"), format!(r#"{{"model":"m",{}"#, &other[1..]));
}

#[test]
fn limits_of_members_and_values() {
    let members = |count| format!("{{{}}}", (0..count).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
    assert!(scan(members(MAX_MEMBERS).as_bytes()).is_ok());
    assert!(scan(members(MAX_MEMBERS + 1).as_bytes()).is_err());
    let fallbacks = |count| format!(r#"{{"fallbacks":{}}}"#, json!(vec!["a/b"; count]));
    assert_eq!(scan_all(fallbacks(16).as_bytes()).unwrap().fallbacks.len(), 16);
    assert_eq!(refused_param(&fallbacks(17)).as_deref(), Some("fallbacks"));
    for (length, taken) in [(64 * 1024 - 2, true), (64 * 1024 - 1, false)] {
        let body = format!(r#"{{"model":"{}"}}"#, "m".repeat(length));
        assert_eq!(scan(body.as_bytes()).is_ok(), taken);
        assert_eq!(scan_pieces(body.as_bytes().chunks(1000)), scan(body.as_bytes()));
    }
}

#[test]
fn only_the_model_and_the_gateways_own_members_change() {
    for (body, expected) in [
        (r#"{"model":"a","b":1}"#, r#"{"model":"m","b":1}"#),
        (r#"{ "b" : 1 , "model" : "a\"" }"#, r#"{ "b" : 1 , "model" : "m" }"#),
        (r#"{"fallbacks":[],"model":"a"}"#, r#"{"model":"m"}"#),
        (r#"{ "fallbacks" : [ "x" ] , "model":"a"}"#, r#"{ "model":"m"}"#),
        (r#"{"model":"a","fallbacks":["x"]}"#, r#"{"model":"m"}"#),
        (r#"{"model":"a" , "fallbacks":["x"] , "b":1}"#, r#"{"model":"m" , "b":1}"#),
        (r#"{"b":1,"fallbacks":["x"],"model":"a","c":2}"#, r#"{"b":1,"model":"m","c":2}"#),
        (r#"{"fallbacks":["x"],"b":1,"model":"a"}"#, r#"{"b":1,"model":"m"}"#),
        (r#"{"fallbacks":["x"]}"#, r#"{"model":"m"}"#),
        (r#" { "fallbacks":["x"] } "#, r#" {"model":"m"  } "#),
        (r#"{"fallbacks":["x"],"b":1}"#, r#"{"model":"m","b":1}"#),
        (r#"{"b":1,"fallbacks":["x"]}"#, r#"{"model":"m","b":1}"#),
        (r"{}", r#"{"model":"m"}"#),
        (r#"{"b":1}"#, r#"{"model":"m","b":1}"#),
    ] {
        assert_eq!(spliced(body, "m"), expected, "{body}");
    }
    assert_eq!(spliced(r#"{"model":"a"}"#, "\"\\\n😀"), r#"{"model":"\"\\\u000a😀"}"#);
    let envelope = scan(b"{}").unwrap();
    assert!(matches!(envelope.splice(b"{ }", "m"), Err(WireError::Value { .. })));
}

// --- answers ----------------------------------------------------------------------------------------------------------

fn answer(format: &str, body: &Value) -> Answer {
    scan_answer(Format::named(format).unwrap(), body.to_string().as_bytes()).unwrap()
}

fn usage(counts: [u64; 5]) -> Usage {
    let [input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens] = counts;
    Usage { input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens }
}

#[test]
fn openai_answers() {
    let chat = json!({"model": "gpt\u{e9}", "error": null, "usage": {
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 3}},
        "choices": [{"finish_reason": "stop", "message": {"content": "x"}}, {"finish_reason": "length"}]});
    let read = answer("openai_chat", &chat);
    assert_eq!(read.usage, Some(usage([10, 5, 4, 0, 3])));
    assert_eq!((read.finish_reason.as_deref(), read.model.as_deref()), (Some("stop"), Some("gpt\u{e9}")));
    assert!(!read.error);
    let deepseek = json!({"usage": {"prompt_tokens": 9, "prompt_cache_hit_tokens": 8, "prompt_tokens_details": null}});
    assert_eq!(answer("openai_chat", &deepseek).usage, Some(usage([9, 0, 8, 0, 0])));
    assert_eq!(
        answer("openai_embeddings", &json!({"usage": {"prompt_tokens": 7}})).usage,
        Some(usage([7, 0, 0, 0, 0]))
    );
    let completion = json!({"choices": [{"text": "x", "finish_reason": null}], "usage": null});
    assert_eq!(answer("openai_completions", &completion), Answer::default());
}

#[test]
fn responses_answers() {
    let mut body = json!({"status": "completed", "incomplete_details": null, "error": null, "usage": {
        "input_tokens": 5, "input_tokens_details": {"cached_tokens": 2},
        "output_tokens": 6, "output_tokens_details": {"reasoning_tokens": 1}}});
    let read = answer("openai_responses", &body);
    assert_eq!(read.usage, Some(usage([5, 6, 2, 0, 1])));
    assert_eq!(read.finish_reason.as_deref(), Some("completed"));
    body["status"] = json!("incomplete");
    body["incomplete_details"] = json!({"reason": "max_output_tokens"});
    assert_eq!(answer("openai_responses", &body).finish_reason.as_deref(), Some("max_output_tokens"));
    assert_eq!(answer("openai_responses", &json!({"status": "in_progress"})).finish_reason, None);
}

#[test]
fn anthropic_answers() {
    let body = json!({"type": "message", "model": "claude", "stop_reason": "end_turn", "usage": {
        "input_tokens": 1, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 10}}});
    let read = answer("anthropic", &body);
    assert_eq!(read.usage, Some(usage([111, 7, 100, 10, 0])));
    assert_eq!(read.finish_reason.as_deref(), Some("end_turn"));
    assert_eq!(answer("anthropic_count_tokens", &json!({"input_tokens": 14})).usage, Some(usage([14, 0, 0, 0, 0])));
    assert!(answer("anthropic", &json!({"type": "error", "error": {"type": "overloaded_error"}})).error);
}

#[test]
fn counts_that_are_none_and_counts_that_are_zero() {
    let of = |usage: Value| answer("openai_chat", &json!({ "usage": usage })).usage;
    assert_eq!(of(json!({})), None);
    assert_eq!(of(json!({"prompt_tokens": null, "completion_tokens": "7", "total_tokens": 3})), None);
    assert_eq!(of(json!({"prompt_tokens": -4})), None);
    assert_eq!(of(json!({"prompt_tokens": 0})), Some(usage([0; 5])));
    assert_eq!(of(json!({"prompt_tokens": 12.0})), Some(usage([12, 0, 0, 0, 0])));
    assert_eq!(of(json!([1])), None);
}

#[test]
fn an_answer_that_is_no_object_is_refused() {
    for body in [
        "",
        "[]",
        "{",
        "{}{}",
        "{\"usage\":{\"prompt_tokens\":1}",
        "{\"choices\":[{\"finish_reason\":tru}]}",
        "{\"a\" 1}",
    ] {
        let read = scan_answer(Format::OpenAiChat, body.as_bytes());
        assert!(matches!(read, Err(WireError::Answer { .. })), "{body}");
    }
    assert!(scan_answer(Format::OpenAiChat, br#"{"a":"\ud800"}"#).is_ok());
    assert!(matches!(Format::named("gemini"), Err(WireError::Value { .. })));
}

// --- properties -------------------------------------------------------------------------------------------------------

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

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
    fn an_envelope_is_the_same_however_it_is_cut(value in values(), model in any::<String>(), order in 0..6_usize, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let mut members = [("model", json!(model)), ("fallbacks", json!([model, {"provider": "p", "model": model}])), ("x", value.clone())];
        members.rotate_left(order % 3);
        if order > 2 { members.swap(0, 1); }
        let body = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect::<Vec<_>>().join(",");
        let body = format!("{{{body}}}");
        let whole = scan(body.as_bytes()).unwrap();
        prop_assert_eq!(&whole.model, &Some(model.clone()));
        prop_assert_eq!(&whole.fallbacks, &[model.clone(), format!("p/{model}")]);
        prop_assert_eq!(scan_pieces(pieces(body.as_bytes(), &cuts)), Ok(whole));
        let changed: Value = serde_json::from_str(&spliced(&body, "other\u{0}")).unwrap();
        let value: Value = serde_json::from_str(&value.to_string()).unwrap();
        prop_assert_eq!(changed, json!({"model": "other\u{0}", "x": value}));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        check_all(&bytes).ok();
        scan_all(&bytes).ok();
        scan_answer(Format::OpenAiChat, &bytes).ok();
    }

    #[test]
    fn broken_answers_never_panic(value in values(), name in prop::sample::select(vec!["usage", "choices", "error", "status", "model"]), cut in any::<prop::sample::Index>()) {
        let body = json!({name: value, "choices": [{"finish_reason": value, "usage": value}]}).to_string();
        for format in [Format::OpenAiChat, Format::OpenAiResponses, Format::Anthropic, Format::AnthropicCountTokens] {
            prop_assert!(scan_answer(format, body.as_bytes()).is_ok());
            prop_assert!(scan_answer(format, &body.as_bytes()[..cut.index(body.len())]).is_err());
        }
    }
}

fn pieces<'a>(text: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for place in places {
        pieces.push(&text[start..place]);
        start = place;
    }
    pieces.push(&text[start..]);
    pieces
}
