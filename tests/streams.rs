//! Facts of the streams of Gemini, Cohere, Ollama and Bedrock, whole and cut at every byte.
#![allow(clippy::unwrap_used)]

mod made;

use _wire::wire::WireError;
use _wire::wire::amazon::render;
use _wire::wire::answer::Format;
use _wire::wire::stream_scan::StreamScan;
use made::facts::{Seen, facts, facts_all, usage};
use proptest::prelude::*;
use serde_json::{Value, json};

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let three = |part: &[u8]| {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(part.get(at).copied().unwrap_or(0)));
        (0..4).map(move |at| (at, char::from(ALPHABET[bits >> (18 - 6 * at) & 63])))
    };
    let digits = |part: &[u8]| {
        let length = part.len();
        three(part).map(move |(at, digit)| if at > length { '=' } else { digit }).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

fn message(kind: &str, name: &str, payload: &Value) -> Vec<u8> {
    let called = if kind == "event" { ":event-type" } else { ":exception-type" };
    let headers = [(called, name), (":content-type", "application/json"), (":message-type", kind)];
    render(&headers, payload.to_string().as_bytes()).unwrap()
}

/// Frames as the format's streams have them; of Converse, an event's name stands beside its payload.
fn stream(format: Format, frames: &[Value]) -> Vec<u8> {
    let one = |frame: &Value| match format {
        Format::BedrockConverse => message("event", frame[0].as_str().unwrap(), &frame[1]),
        Format::BedrockInvoke => {
            message("event", "chunk", &json!({"bytes": base64(frame.to_string().as_bytes()), "p": "abc"}))
        }
        Format::Ollama => format!("{frame}\n").into_bytes(),
        _ => format!("data: {frame}\r\n\r\n").into_bytes(),
    };
    frames.iter().flat_map(one).collect()
}

fn read(format: Format, frames: &[Value]) -> Seen {
    facts_all(format, &stream(format, frames)).unwrap()
}

fn assert_outputs(format: Format, yes: &[Value], no: &[Value]) {
    for (frames, expected) in [(yes, true), (no, false)] {
        for frame in frames {
            assert_eq!(read(format, std::slice::from_ref(frame)).0, expected, "{frame}");
        }
    }
}

// --- Gemini -----------------------------------------------------------------------------------------------------------

#[test]
fn real_output_of_a_gemini_stream() {
    let part = |part: Value| json!({"candidates": [{"content": {"role": "model", "parts": [{"text": ""}, part]}}]});
    let yes = [
        json!({"text": "x"}),
        json!({"text": "x", "thought": true}),
        json!({"functionCall": {"name": "f", "args": {}}}),
        json!({"inlineData": {"mimeType": "image/png", "data": "x"}}),
        json!({"executableCode": {"code": "x"}}),
        json!({"codeExecutionResult": {"outcome": "OUTCOME_OK"}}),
    ];
    let no = [json!({}), json!({"text": ""}), json!({"text": "", "thought": true, "thoughtSignature": "x"})];
    assert_outputs(Format::Gemini, &yes.map(part), &no.map(part));
    let no = [
        json!({"candidates": [{"content": {"role": "model"}, "index": 0}]}),
        json!({"candidates": [{"groundingMetadata": {"text": "x"}}], "usageMetadata": {"promptTokenCount": 1}}),
        json!({"candidates": null, "text": "x"}),
        json!({"candidates": [{"content": {"parts": "x"}}, 1]}),
    ];
    assert_outputs(Format::Gemini, &[], &no);
}

#[test]
fn a_gemini_stream_to_its_end() {
    let counts = json!({"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 5,
        "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 1, "totalTokenCount": 17});
    let frames = [
        json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "index": 0}], "usageMetadata": {"promptTokenCount": 8}}),
        json!({"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}], "usageMetadata": counts}),
        json!({"usageMetadata": {"trafficType": "ON_DEMAND"}}),
    ];
    assert_eq!(
        read(Format::Gemini, &frames),
        (true, true, None, Some("STOP".into()), Some(usage([10, 7, 4, 0, 5])), true)
    );
    let begun = read(Format::Gemini, &frames[..1]);
    assert_eq!(begun, (true, false, None, None, Some(usage([8, 0, 0, 0, 0])), true));
}

#[test]
fn every_candidate_has_to_end() {
    let begin = json!({"candidates": [{"index": 0}, {"index": 1}]});
    let end = |index: u8, reason: &str| json!({"candidates": [{"index": index, "finishReason": reason}]});
    let (one, other) = (end(1, "MAX_TOKENS"), end(0, "STOP"));
    assert!(!read(Format::Gemini, &[begin.clone(), one.clone()]).1);
    let both = read(Format::Gemini, &[begin, one, other]);
    assert_eq!((both.1, both.3.as_deref()), (true, Some("STOP")));
}

#[test]
fn a_prompt_that_gemini_refuses() {
    let blocked =
        json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}});
    let expected = (false, true, None, Some("PROHIBITED_CONTENT".into()), Some(usage([3, 0, 0, 0, 0])), true);
    assert_eq!(read(Format::Gemini, &[blocked]), expected);
    let rated =
        json!({"promptFeedback": {"safetyRatings": []}, "candidates": [{"content": {"parts": [{"text": "x"}]}}]});
    assert_eq!(read(Format::Gemini, &[rated]), (true, false, None, None, None, true));
}

// --- Cohere -----------------------------------------------------------------------------------------------------------

#[test]
fn real_output_of_a_cohere_stream() {
    let frame = |(kind, message): (&str, Value)| json!({"type": kind, "index": 0, "delta": {"message": message}});
    let yes = [
        ("content-delta", json!({"content": {"text": "x"}})),
        ("content-delta", json!({"content": {"thinking": "x"}})),
        ("tool-plan-delta", json!({"tool_plan": "x"})),
        (
            "tool-call-start",
            json!({"tool_calls": {"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}}),
        ),
        ("tool-call-delta", json!({"tool_calls": {"function": {"arguments": "{"}}})),
    ];
    let no = [
        (
            "message-start",
            json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}),
        ),
        ("content-start", json!({"content": {"type": "text", "text": ""}})),
        ("content-delta", json!({"content": {"text": ""}})),
        ("citation-start", json!({"citations": {"text": "x"}})),
    ];
    assert_outputs(Format::Cohere, &yes.map(frame), &no.map(frame));
    assert_outputs(Format::Cohere, &[], &[json!({"type": "content-end", "index": 0})]);
}

#[test]
fn a_cohere_stream_to_its_end() {
    let counts = json!({"billed_units": {"input_tokens": 1, "output_tokens": 2}, "tokens": {"input_tokens": 30, "output_tokens": 4}, "cached_tokens": 5});
    let frames = [
        json!({"type": "content-delta", "delta": {"message": {"content": {"text": "x"}}}}),
        json!({"delta": {"finish_reason": "MAX_TOKENS", "usage": counts}, "type": "message-end"}),
    ];
    let whole = read(Format::Cohere, &frames);
    assert_eq!(whole, (true, true, None, Some("MAX_TOKENS".into()), Some(usage([30, 4, 5, 0, 0])), true));
    assert_eq!(read(Format::Cohere, &frames[..1]), (true, false, None, None, None, true));
    let failed = json!({"type": "message-end", "delta": {"error": "no", "finish_reason": "ERROR"}});
    let expected = (false, true, Some(failed.to_string()), Some("ERROR".into()), None, true);
    assert_eq!(read(Format::Cohere, &[failed]), expected);
}

// --- Ollama -----------------------------------------------------------------------------------------------------------

#[test]
fn real_output_of_an_ollama_stream() {
    let frame = |message: Value| json!({"model": "m", "message": message, "done": false});
    let call = json!([{"function": {"name": "f", "arguments": {}}}]);
    let yes = [json!({"content": "x"}), json!({"content": "", "thinking": "x"}), json!({"tool_calls": call})];
    let no = [json!({"role": "assistant", "content": ""}), json!({"thinking": "", "tool_calls": []}), json!(null)];
    assert_outputs(Format::Ollama, &yes.map(frame), &no.map(frame));
}

#[test]
fn an_ollama_stream_to_its_end() {
    let frames = [
        json!({"message": {"content": "x"}, "done": false}),
        json!({"message": {"content": ""}, "done": true, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 8}),
    ];
    let whole = read(Format::Ollama, &frames);
    assert_eq!(whole, (true, true, None, Some("stop".into()), Some(usage([7, 8, 0, 0, 0])), true));
    assert_eq!(read(Format::Ollama, &frames[..1]), (true, false, None, None, None, true));
    let stream = stream(Format::Ollama, &frames);
    let cut = facts_all(Format::Ollama, &stream[..stream.len() - 1]).unwrap();
    assert_eq!((cut.1, cut.5), (false, false));
    let failed = facts_all(Format::Ollama, "\r\n{\"error\":\"no\"}\r\n").unwrap();
    assert_eq!((failed.1, failed.2.as_deref()), (false, Some("{\"error\":\"no\"}")));
}

// --- Bedrock ----------------------------------------------------------------------------------------------------------

#[test]
fn real_output_of_a_converse_stream() {
    let delta = |delta: Value| json!(["contentBlockDelta", {"contentBlockIndex": 0, "delta": delta, "p": "abc"}]);
    let yes = [
        json!({"text": "x"}),
        json!({"toolUse": {"input": "{"}}),
        json!({"reasoningContent": {"text": "x"}}),
        json!({"reasoningContent": {"redactedContent": "x"}}),
        json!({"toolResult": [{"text": "x"}]}),
    ];
    let no = [json!({"text": ""}), json!({"toolUse": {"input": ""}}), json!({"reasoningContent": {"signature": "x"}})];
    assert_outputs(Format::BedrockConverse, &yes.map(delta), &no.map(delta));
    let yes =
        [json!(["contentBlockStart", {"start": {"toolUse": {"toolUseId": "1", "name": "f"}}, "contentBlockIndex": 1}])];
    let no = [
        json!(["messageStart", {"role": "assistant"}]),
        json!(["contentBlockStart", {"start": {}, "contentBlockIndex": 1}]),
        json!(["contentBlockStop", {"contentBlockIndex": 1}]),
        json!(["metadata", {"delta": {"text": "x"}, "start": {"toolUse": {"name": "f"}}}]),
    ];
    assert_outputs(Format::BedrockConverse, &yes, &no);
}

#[test]
fn a_converse_stream_to_its_end() {
    let frames = [
        json!(["contentBlockDelta", {"delta": {"text": "x"}}]),
        json!(["messageStop", {"p": "abc", "stopReason": "tool_use"}]),
        json!(["metadata", {"usage": {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 10}}]),
    ];
    let whole = read(Format::BedrockConverse, &frames);
    assert_eq!(whole, (true, true, None, Some("tool_use".into()), Some(usage([113, 4, 100, 10, 0])), true));
    assert!(!read(Format::BedrockConverse, &frames[..1]).1);
    assert!(read(Format::BedrockConverse, &frames[..2]).1);
}

#[test]
fn a_stream_of_another_language_in_chunks() {
    let frames = [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 3, "cache_read_input_tokens": 100}}}),
        json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let whole = read(Format::BedrockInvoke, &frames);
    assert_eq!(whole, (true, true, None, Some("end_turn".into()), Some(usage([103, 9, 100, 0, 0])), true));
    assert_eq!(
        read(Format::BedrockInvoke, &frames[..1]),
        (false, false, None, None, Some(usage([103, 0, 100, 0, 0])), true)
    );
    let failed = json!({"type": "error", "error": {"type": "overloaded_error"}});
    assert_eq!(read(Format::BedrockInvoke, std::slice::from_ref(&failed)).2, Some(failed.to_string()));
    let others = [message("event", "other", &json!({"x": 1})), render(&[], b"").unwrap()].concat();
    assert_eq!(facts_all(Format::BedrockInvoke, &others).unwrap(), (false, false, None, None, None, true));
}

#[test]
fn an_exception_is_an_error_with_a_name() {
    let error = |headers: &[(&str, &str)], payload: &str| {
        let stream = render(headers, payload.as_bytes()).unwrap();
        let seen = facts_all(Format::BedrockConverse, &stream).unwrap();
        assert_eq!((facts_all(Format::BedrockInvoke, &stream).unwrap(), seen.1), (seen.clone(), false));
        seen.2.unwrap()
    };
    let thrown =
        |payload| error(&[(":message-type", "exception"), (":exception-type", "throttlingException")], payload);
    assert_eq!(thrown(r#"{"message":"slow"}"#), r#"{"__type":"throttlingException","message":"slow"}"#);
    assert_eq!(thrown(" { } "), r#"{"__type":"throttlingException"}"#);
    assert_eq!(thrown(r#"{"__type":"x"}"#), r#"{"__type":"x"}"#);
    assert_eq!(thrown("no \"json\""), r#"{"__type":"throttlingException","message":"no \"json\""}"#);
    assert_eq!(thrown(""), r#"{"__type":"throttlingException","message":""}"#);
    let headers = [(":message-type", "error"), (":error-code", "Internal\"Error"), (":error-message", "no")];
    assert_eq!(error(&headers, ""), r#"{"__type":"Internal\"Error","message":"no"}"#);
}

// --- all --------------------------------------------------------------------------------------------------------------

#[test]
fn what_is_not_of_the_format_is_refused() {
    let chunk = |bytes: &str| message("event", "chunk", &json!({ "bytes": bytes }));
    for (format, stream) in [
        (Format::Gemini, b"data: {oops\n\n".to_vec()),
        (Format::Cohere, b"data: {oops\n\n".to_vec()),
        (Format::Ollama, b"{oops\n".to_vec()),
        (Format::Ollama, b"[DONE]\n".to_vec()),
        (Format::BedrockConverse, render(&[(":event-type", "metadata")], b"{oops").unwrap()),
        (Format::BedrockInvoke, render(&[(":event-type", "chunk")], b"{oops").unwrap()),
        (Format::BedrockInvoke, chunk(&base64(b"{oops"))),
    ] {
        assert!(matches!(facts_all(format, &stream), Err(WireError::Answer { .. })), "{}", stream.escape_ascii());
    }
    for coded in ["e", "e3", "e30", "e30==", "e31=", "e30=e30=", "e=0=", "====", "e3-=", "e30\n", "=e30"] {
        assert!(facts_all(Format::BedrockInvoke, &chunk(coded)).is_err(), "{coded}");
    }
    for coded in ["e30=", "e30K", "e30KCg==", r"e30\u003d"] {
        let payload = format!(r#"{{"bytes":"{coded}"}}"#);
        let stream = render(&[(":event-type", "chunk")], payload.as_bytes()).unwrap();
        assert!(facts_all(Format::BedrockInvoke, &stream).is_ok(), "{coded}");
    }
    for format in
        [Format::GeminiEmbeddings, Format::GeminiCountTokens, Format::Rerank, Format::OpenAiImages, Format::Json]
    {
        assert!(matches!(StreamScan::new(format), Err(WireError::Value { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_of_any_kind_never_panic(value in made::values(), name in prop::sample::select(vec!["candidates", "promptFeedback", "usageMetadata", "delta", "start", "message", "done", "error", "usage", "type"])) {
        let frame = json!({ name: [{"content": {"parts": [value]}, "finishReason": value}] });
        let other = json!({ name: value });
        for format in [Format::Gemini, Format::Cohere, Format::Ollama, Format::BedrockInvoke] {
            facts(format, [&stream(format, &[frame.clone(), other.clone()])[..]]).unwrap();
        }
        for event in ["contentBlockStart", "contentBlockDelta", "messageStop", "metadata", "other"] {
            let stream = stream(Format::BedrockConverse, &[json!([event, frame]), json!([event, other])]);
            facts(Format::BedrockConverse, [&stream[..]]).unwrap();
        }
    }

    #[test]
    fn base64_is_decoded(bytes in prop::collection::vec(any::<char>(), 0..40)) {
        let text: String = bytes.into_iter().collect();
        let frame = json!({"type": "error", "text": text});
        prop_assert_eq!(read(Format::BedrockInvoke, std::slice::from_ref(&frame)).2, Some(frame.to_string()));
    }
}
