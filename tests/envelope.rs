//! Envelopes, whole and cut at every byte, and the bodies made from them.
#![allow(clippy::unwrap_used)]

mod made;

use _wire::wire::envelope::{Envelope, Scanner, scan};
use _wire::wire::{MAX_MEMBERS, WireError};
use made::{pieces, values};
use proptest::prelude::*;
use serde_json::{Value, json};

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

fn spliced<'a>(body: &'a str, model: impl Into<Option<&'a str>>) -> String {
    let envelope = scan_all(body.as_bytes()).unwrap();
    let spliced = envelope.splice(body.as_bytes(), model.into()).unwrap();
    let mut out = vec![0; spliced.len()];
    spliced.write(&mut out);
    String::from_utf8(out).unwrap()
}

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
    assert!(matches!(envelope.splice(b"{ }", Some("m")), Err(WireError::Value { .. })));
}

#[test]
fn without_a_new_model_the_body_keeps_its_own() {
    for (body, expected) in [
        (r#"{"model":"a","b":1}"#, r#"{"model":"a","b":1}"#),
        (r#"{"fallbacks":[],"model":"a"}"#, r#"{"model":"a"}"#),
        (r#"{"b":1 , "fallbacks":["x"] , "model":"a"}"#, r#"{"b":1 , "model":"a"}"#),
        (r#" { "fallbacks":["x"] } "#, " {  } "),
        (r#"{"fallbacks":["x"], "b":1}"#, r#"{"b":1}"#),
        (r#"{"b":1,"fallbacks":["x"]}"#, r#"{"b":1}"#),
        ("{ }", "{ }"),
    ] {
        assert_eq!(spliced(body, None), expected, "{body}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

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
        scan_all(&bytes).ok();
        scan_all(&[b"{", &bytes[..]].concat()).ok();
    }
}
