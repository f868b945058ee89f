//! What is read from whole answers.
#![allow(clippy::unwrap_used)]

mod made;

use _wire::wire::WireError;
use _wire::wire::answer::{Answer, Format, scan_answer};
use made::facts::usage;
use made::values;
use proptest::prelude::*;
use serde_json::{Value, json};

const FORMATS: [&str; 19] = [
    "openai_chat",
    "openai_completions",
    "openai_embeddings",
    "openai_images",
    "openai_moderations",
    "openai_responses",
    "anthropic",
    "anthropic_count_tokens",
    "bedrock_converse",
    "bedrock_invoke",
    "cohere",
    "cohere_embeddings",
    "gemini",
    "gemini_count_tokens",
    "gemini_embeddings",
    "ollama",
    "ollama_embeddings",
    "rerank",
    "json",
];

fn answer(format: &str, body: &Value) -> Answer {
    scan_answer(Format::named(format).unwrap(), body.to_string().as_bytes()).unwrap()
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
fn gemini_answers() {
    let body = json!({"modelVersion": "gemini-pro", "model": 1, "candidates": [
        {"content": {"parts": [{"text": "x"}]}, "finishReason": "MAX_TOKENS"}, {"finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5,
            "thoughtsTokenCount": 7, "toolUsePromptTokenCount": 2, "totalTokenCount": 24,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}]}});
    let read = answer("gemini", &body);
    assert_eq!(read.usage, Some(usage([12, 12, 4, 0, 7])));
    assert_eq!(read.finish_reason.as_deref(), Some("MAX_TOKENS"));
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}});
    let read = answer("gemini", &blocked);
    assert_eq!((read.finish_reason.as_deref(), read.usage), (Some("SAFETY"), Some(usage([3, 0, 0, 0, 0]))));
    let thoughts = json!({"usageMetadata": {"promptTokenCount": 1, "thoughtsTokenCount": 9}});
    assert_eq!(answer("gemini", &thoughts).usage, Some(usage([1, 9, 0, 0, 9])));
    assert_eq!(answer("gemini", &json!({"usageMetadata": {"trafficType": "ON_DEMAND"}})).usage, None);
    assert!(answer("gemini", &json!({"error": {"code": 429}})).error);
    let embedded = json!({"embedding": {}, "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}});
    assert_eq!(answer("gemini_embeddings", &embedded).usage, Some(usage([3, 0, 0, 0, 0])));
    let counted = json!({"totalTokens": 7, "cachedContentTokenCount": 2});
    assert_eq!(answer("gemini_count_tokens", &counted).usage, Some(usage([7, 0, 2, 0, 0])));
}

#[test]
fn bedrock_answers() {
    let body = json!({"output": {"message": {}}, "stopReason": "end_turn", "metrics": {"latencyMs": 1}, "usage": {
        "inputTokens": 1, "outputTokens": 7, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 10,
        "cacheReadInputTokenCount": 100, "totalTokens": 118, "cacheDetails": [{"inputTokens": 5, "ttl": "1h"}]}});
    let read = answer("bedrock_converse", &body);
    assert_eq!(read.usage, Some(usage([111, 7, 100, 10, 0])));
    assert_eq!(read.finish_reason.as_deref(), Some("end_turn"));
    let body = json!({"type": "message", "model": "claude", "stop_reason": "end_turn", "usage": {
        "input_tokens": 1, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 7}});
    assert_eq!(answer("bedrock_invoke", &body), answer("anthropic", &body));
    assert_eq!(answer("bedrock_invoke", &body).usage, Some(usage([111, 7, 100, 10, 0])));
}

#[test]
fn cohere_answers() {
    let mut body = json!({"id": "1", "finish_reason": "COMPLETE", "usage": {
        "billed_units": {"input_tokens": 5, "output_tokens": 6, "search_units": 9},
        "cached_tokens": 4, "tokens": {"input_tokens": 70, "output_tokens": 8, "reasoning_tokens": 3}}});
    let read = answer("cohere", &body);
    assert_eq!(read.usage, Some(usage([70, 8, 4, 0, 3])));
    assert_eq!(read.finish_reason.as_deref(), Some("COMPLETE"));
    body["usage"]["tokens"] = json!({"output_tokens": 8});
    assert_eq!(answer("cohere", &body).usage, Some(usage([5, 8, 4, 0, 0])));
    let embedded = json!({"meta": {"billed_units": {"input_tokens": 5, "image_tokens": 6}}});
    assert_eq!(answer("cohere_embeddings", &embedded).usage, Some(usage([11, 0, 0, 0, 0])));
    let images = json!({"meta": {"api_version": {"version": "2"}, "billed_units": {"image_tokens": 6}}});
    assert_eq!(answer("cohere_embeddings", &images).usage, Some(usage([6, 0, 0, 0, 0])));
}

#[test]
fn rankings() {
    let of = |body: Value| answer("rerank", &body).usage;
    assert_eq!(of(json!({"meta": {"billed_units": {"search_units": 1}}})), None);
    let counted = json!({"meta": {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 7}}});
    assert_eq!(of(counted), Some(usage([7, 0, 0, 0, 0])));
    assert_eq!(of(json!({"usage": {"prompt_tokens": 7, "total_tokens": 9}})), Some(usage([7, 0, 0, 0, 0])));
    assert_eq!(of(json!({"usage": {"total_tokens": 9}})), Some(usage([9, 0, 0, 0, 0])));
    let both = json!({"meta": {"tokens": {"input_tokens": 1}}, "usage": {"prompt_tokens": 7}});
    assert_eq!(of(both), Some(usage([7, 0, 0, 0, 0])));
}

#[test]
fn ollama_answers() {
    let body = json!({"model": "llama", "message": {"content": "x"}, "done": true, "done_reason": "stop",
        "prompt_eval_count": 7, "eval_count": 8, "eval_duration": 9});
    let read = answer("ollama", &body);
    assert_eq!(read.usage, Some(usage([7, 8, 0, 0, 0])));
    assert_eq!((read.finish_reason.as_deref(), read.model.as_deref()), (Some("stop"), Some("llama")));
    assert!(answer("ollama", &json!({"error": "no such model"})).error);
    let embedded = json!({"embeddings": [], "prompt_eval_count": 3});
    assert_eq!(answer("ollama_embeddings", &embedded).usage, Some(usage([3, 0, 0, 0, 0])));
}

#[test]
fn answers_without_a_language_of_their_own() {
    let images = json!({"data": [], "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7,
        "input_tokens_details": {"image_tokens": 2, "text_tokens": 1, "cached_tokens": 1}}});
    assert_eq!(answer("openai_images", &images).usage, Some(usage([3, 4, 1, 0, 0])));
    assert_eq!(answer("openai_moderations", &json!({"model": "m", "results": []})).model.as_deref(), Some("m"));
    let any = json!({"x": [1], "usage": {"prompt_tokens": 3}, "candidates": 1, "meta": 2, "stopReason": 3});
    assert_eq!(answer("json", &any), Answer { usage: Some(usage([3, 0, 0, 0, 0])), ..Answer::default() });
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
    assert!(matches!(Format::named("telex"), Err(WireError::Value { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn broken_answers_never_panic(value in values(), name in prop::sample::select(vec!["usage", "choices", "error", "status", "model", "candidates", "promptFeedback", "usageMetadata", "meta", "done", "eval_count", "stopReason"]), cut in any::<prop::sample::Index>()) {
        let body = json!({name: value, "choices": [{"finish_reason": value, "usage": value}], "meta": {"tokens": value}}).to_string();
        for format in FORMATS.map(|name| Format::named(name).unwrap()) {
            prop_assert!(scan_answer(format, body.as_bytes()).is_ok());
            prop_assert!(scan_answer(format, &body.as_bytes()[..cut.index(body.len())]).is_err());
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        scan_answer(Format::OpenAiChat, &bytes).ok();
    }
}
