//! What is read from whole answers.
#![allow(clippy::unwrap_used)]

mod made;

use _wire::wire::answer::{Answer, Format, scan_answer};
use _wire::wire::{Usage, WireError};
use made::values;
use proptest::prelude::*;
use serde_json::{Value, json};

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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn broken_answers_never_panic(value in values(), name in prop::sample::select(vec!["usage", "choices", "error", "status", "model"]), cut in any::<prop::sample::Index>()) {
        let body = json!({name: value, "choices": [{"finish_reason": value, "usage": value}]}).to_string();
        for format in [Format::OpenAiChat, Format::OpenAiResponses, Format::Anthropic, Format::AnthropicCountTokens] {
            prop_assert!(scan_answer(format, body.as_bytes()).is_ok());
            prop_assert!(scan_answer(format, &body.as_bytes()[..cut.index(body.len())]).is_err());
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        scan_answer(Format::OpenAiChat, &bytes).ok();
    }
}
