//! Event streams: events and facts, whole and cut at every byte.
#![allow(clippy::unwrap_used)]

mod made;

use _wire::wire::answer::Format;
use _wire::wire::sse::EventReader;
use _wire::wire::stream_scan::StreamScan;
use _wire::wire::{MAX_EVENT, WireError};
use made::facts::{facts, facts_all, usage};
use proptest::prelude::*;

type Event = (Vec<u8>, Vec<u8>, Vec<u8>);

fn events<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut reader = EventReader::default();
    let mut events = Vec::new();
    for read in reads {
        let take = |event: _wire::wire::sse::Event<'_>| {
            events.push((event.name.to_vec(), event.data.to_vec(), event.id.to_vec()));
            Ok(())
        };
        reader.feed(read, take).unwrap();
    }
    events
}

/// Reads whole, cut once at every byte, and byte by byte; the answers must be equal.
fn events_all(stream: &[u8]) -> Vec<Event> {
    let whole = events([stream]);
    for cut in 0..=stream.len() {
        assert_eq!(events([&stream[..cut], &stream[cut..]]), whole, "cut at {cut}: {}", stream.escape_ascii());
    }
    assert_eq!(events(stream.chunks(1)), whole, "byte by byte: {}", stream.escape_ascii());
    whole
}

fn data(stream: &str) -> Vec<String> {
    events_all(stream.as_bytes()).into_iter().map(|(_, data, _)| String::from_utf8(data).unwrap()).collect()
}

/// Each frame as an event of its own.
fn stream(frames: &[&str]) -> String {
    frames.iter().flat_map(|frame| ["data: ", frame, "\n\n"]).collect()
}

fn outputs(format: Format, frame: &str) -> bool {
    facts_all(format, &stream(&[frame])).unwrap().0
}

// --- events -----------------------------------------------------------------------------------------------------------

#[test]
fn lines_end_with_any_of_three() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = ["data: a", "data:b", "data", "data:  c", "", ": comment", "data: d", "", ""].join(end);
        assert_eq!(data(&stream), ["a\nb\n\n c", "d"], "{end:?}");
    }
    assert_eq!(data("data: a\r\n\ndata: b\r\r\ndata: c\n\rdata: d\n\n"), ["a", "b", "c", "d"]);
}

#[test]
fn names_and_ids() {
    let read = events_all(b"event: x\nid: 1\ndata: a\n\ndata: b\nid\n\nevent: y\n\nid: a\0b\nretry: 5\ndata: c\n\n");
    let expected: [(&[u8], &[u8], &[u8]); 3] = [(b"x", b"a", b"1"), (b"", b"b", b""), (b"", b"c", b"")];
    assert_eq!(read, expected.map(|(name, data, id)| (name.to_vec(), data.to_vec(), id.to_vec())));
}

#[test]
fn a_first_byte_order_mark_is_skipped() {
    assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
    assert_eq!(data("\u{feff}\ndata: a\n\n"), ["a"]);
    assert!(data("\u{feff}\u{feff}data: a\n\n").is_empty());
}

#[test]
fn what_has_not_ended_is_no_event() {
    assert!(data("data: a\n").is_empty());
    assert!(data("data: a").is_empty());
    assert!(data("event: a\n\n: x\n\ndata\0: b\n\n").is_empty());
    assert_eq!(data("data:\n\n"), [""]);
}

#[test]
fn an_event_has_a_limit() {
    let line = ["data:".as_bytes(), &vec![b'a'; MAX_EVENT / 2 - 5], b"\n"].concat();
    let feed = |reads: &[&[u8]]| {
        let mut reader = EventReader::default();
        reads.iter().try_for_each(|read| reader.feed(read, |_| Ok(())))
    };
    assert!(feed(&[&line, b"\n", &line, b"\n"]).is_ok());
    assert!(feed(&[&line, &line, &line, b"\n"]).is_err());
    let long = vec![b':'; MAX_EVENT + 1];
    assert!(feed(&[&long]).is_err());
    assert!(feed(&[&long[1..], b"\n"]).is_ok());
    assert!(feed(&[&[&long[..], b"\n"].concat()]).is_err());
}

// --- facts ------------------------------------------------------------------------------------------------------------

#[test]
fn real_output_of_a_chat_stream() {
    for delta in [
        r#"{"content":"x"}"#,
        r#"{"content":" "}"#,
        r#"{"content":"\u0000"}"#,
        r#"{"content":[{"type":"text"}]}"#,
        r#"{"reasoning_content":"x"}"#,
        r#"{"reasoning":"x"}"#,
        r#"{"refusal":"x"}"#,
        r#"{"audio":{"data":"x"}}"#,
        r#"{"tool_calls":[{"function":{"name":"f"}}]}"#,
        r#"{"function_call":{"name":"f"}}"#,
    ] {
        assert!(outputs(Format::OpenAiChat, &format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#)), "{delta}");
    }
    for delta in [
        "{}",
        "null",
        r#"{"role":"assistant"}"#,
        r#"{"role":"assistant","content":""}"#,
        r#"{"content":null}"#,
        r#"{"tool_calls":[]}"#,
        r#"{"audio":{"id":"a","transcript":""}}"#,
        r#"{"content":"","function_call":{"arguments":"","name":""},"tool_calls":null}"#,
        r#"{"refusal":null,"reasoning":""}"#,
    ] {
        assert!(!outputs(Format::OpenAiChat, &format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#)), "{delta}");
    }
    assert!(!outputs(Format::OpenAiChat, r#"{"choices":[],"usage":{"prompt_tokens":1},"delta":{"content":"x"}}"#));
    assert!(outputs(Format::OpenAiCompletions, r#"{"choices":[{"text":"x"}]}"#));
    assert!(!outputs(Format::OpenAiCompletions, r#"{"choices":[{"text":""}]}"#));
}

#[test]
fn real_output_of_a_responses_stream() {
    for frame in [
        r#"{"type":"response.output_text.delta","delta":"x"}"#,
        r#"{"delta":"x","type":"response.refusal.delta"}"#,
        r#"{"type":"response.reasoning_summary_text.delta","delta":"x"}"#,
        r#"{"type":"response.output_item.added","item":{"id":"1","type":"function_call","name":"f"}}"#,
        r#"{"type":"response.output_item.done","item":{"type":"message"}}"#,
    ] {
        assert!(outputs(Format::OpenAiResponses, frame), "{frame}");
    }
    for frame in [
        r#"{"type":"response.created","response":{"output":[],"text":{"format":1}}}"#,
        r#"{"type":"response.in_progress"}"#,
        r#"{"type":"response.output_text.delta","delta":""}"#,
        r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#,
        r#"{"type":"response.output_item.added","item":{"type":"reasoning"}}"#,
        r#"{"type":"response.content_part.added","part":{"type":"output_text","text":""}}"#,
    ] {
        assert!(!outputs(Format::OpenAiResponses, frame), "{frame}");
    }
}

#[test]
fn real_output_of_an_anthropic_stream() {
    for frame in [
        r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"x"}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{"}}"#,
        r#"{"type":"content_block_start","content_block":{"type":"tool_use","name":"f","input":{}}}"#,
        r#"{"type":"content_block_start","content_block":{"type":"redacted_thinking","data":"x"}}"#,
        r#"{"type":"content_block_start","content_block":{"text":"x","type":"text"}}"#,
    ] {
        assert!(outputs(Format::Anthropic, frame), "{frame}");
    }
    for frame in [
        r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":1}}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_start","content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"x"}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":""}}"#,
        r#"{"type":"content_block_stop"}"#,
    ] {
        assert!(!outputs(Format::Anthropic, frame), "{frame}");
    }
}

#[test]
fn a_chat_stream_to_its_end() {
    let frames = [
        r#"{"choices":[{"index":1,"delta":{},"finish_reason":"length"}],"usage":null}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":1,"delta":{},"finish_reason":"late"},{"index":0,"finish_reason":null}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}}}"#,
    ];
    let whole = facts_all(Format::OpenAiChat, &stream(&frames)).unwrap();
    assert_eq!(whole, (false, true, None, Some("stop".into()), Some(usage([3, 4, 2, 0, 0])), true));
    let done = facts_all(Format::OpenAiChat, ": keep-alive\r\n\r\ndata: [DONE]\r\n\r\n").unwrap();
    assert_eq!(done, (false, true, None, None, None, true));
    let open = facts_all(Format::OpenAiChat, &stream(&[r#"{"choices":[{"delta":{},"finish_reason":""}]}"#])).unwrap();
    assert_eq!((open.1, open.3), (false, None));
}

#[test]
fn every_choice_has_to_end() {
    let begin = r#"{"choices":[{"index":0,"delta":{"content":"x"}},{"index":1,"delta":{"content":"y"}}]}"#;
    let end = |index: u8| format!(r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":"stop"}}]}}"#);
    let complete = |frames: &[&str]| facts_all(Format::OpenAiChat, &stream(frames)).unwrap().1;
    assert!(!complete(&[begin, &end(0)]));
    assert!(!complete(&[begin, &end(1)]));
    assert!(complete(&[begin, &end(0), &end(1)]));
    let mut scan = StreamScan::new(Format::OpenAiChat).unwrap();
    for (frame, complete) in [(end(0).as_str(), true), (begin, false), (&end(1), true)] {
        assert!(scan.feed(stream(&[frame]).as_bytes()).unwrap(), "{frame}");
        assert_eq!(scan.facts().complete, complete, "{frame}");
    }
}

#[test]
fn a_responses_stream_to_its_end() {
    let end = |kind: &str, rest: &str| {
        let frame = format!(
            r#"{{"type":"response.{kind}","response":{{"status":"{kind}","usage":{{"input_tokens":3,"output_tokens":4,"output_tokens_details":{{"reasoning_tokens":2}}}}{rest}}}}}"#
        );
        (
            facts_all(
                Format::OpenAiResponses,
                &stream(&[r#"{"type":"response.created","response":{"status":"in_progress","usage":null}}"#, &frame]),
            )
            .unwrap(),
            frame,
        )
    };
    let counts = Some(usage([3, 4, 0, 0, 2]));
    assert_eq!(end("completed", "").0, (false, true, None, Some("completed".into()), counts, true));
    let incomplete = end("incomplete", r#","incomplete_details":{"reason":"max_output_tokens"}"#).0;
    assert_eq!(incomplete, (false, true, None, Some("max_output_tokens".into()), counts, true));
    let (failed, frame) = end("failed", r#","error":{"code":"server_error"}"#);
    assert_eq!(failed, (false, true, Some(frame), Some("failed".into()), counts, true));
}

#[test]
fn an_anthropic_stream_to_its_end() {
    let frames = [
        r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"cache_read_input_tokens":100,"cache_creation_input_tokens":null,"output_tokens":1}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let whole = facts_all(Format::Anthropic, &stream(&frames)).unwrap();
    assert_eq!(whole, (false, true, None, Some("end_turn".into()), Some(usage([103, 9, 100, 0, 0])), true));
    assert!(!facts_all(Format::Anthropic, &stream(&frames[..1])).unwrap().1);
    assert!(facts_all(Format::Anthropic, &stream(&frames[2..])).unwrap().1);
}

#[test]
fn errors_inside_a_stream() {
    for (format, frame) in [
        (Format::OpenAiChat, r#"{"error":{"message":"no"}}"#),
        (Format::OpenAiCompletions, r#"{"id":1,"error":{"message":"no"},"choices":[]}"#),
        (Format::OpenAiResponses, r#"{"type":"error","code":"x","message":"no"}"#),
        (Format::Anthropic, r#"{"type":"error","error":{"type":"overloaded_error"}}"#),
    ] {
        let whole = facts_all(format, &stream(&[frame, r#"{"error":"later"}"#])).unwrap();
        assert_eq!((whole.0, whole.2.as_deref()), (false, Some(frame)));
    }
    let named = facts_all(Format::OpenAiChat, "event: error\ndata: {\"message\":\ndata: 1}\n\n").unwrap();
    assert_eq!(named.2.as_deref(), Some("{\"message\":\n1}"));
    assert_eq!(facts_all(Format::OpenAiChat, &stream(&[r#"{"error":null,"choices":[]}"#])).unwrap().2, None);
}

#[test]
fn data_that_is_no_json_is_refused() {
    for frame in ["x", "[done]", "{", r#"{"choices":[}"#, "{} {}", "{\"a\":\"\\x\"}", "[DONE] x"] {
        assert!(matches!(facts_all(Format::OpenAiChat, &stream(&[frame])), Err(WireError::Answer { .. })), "{frame}");
    }
    for frame in [
        "[]",
        "1",
        "\"x\"",
        " {} ",
        "",
        " [DONE] ",
        r#"{"choices":null}"#,
        r#"{"choices":[1,null,[]]}"#,
        r#"{"choices":[{"delta":[]}]}"#,
    ] {
        assert!(facts_all(Format::OpenAiChat, &stream(&[frame])).is_ok(), "{frame}");
    }
    assert!(StreamScan::new(Format::OpenAiEmbeddings).is_err());
}

#[test]
fn where_a_foreign_frame_may_follow() {
    let boundary = |stream: &str| facts_all(Format::OpenAiChat, stream).unwrap().5;
    for stream in
        ["", "data: {}\n\n", "data: {}\r\n\r\n", "data: {}\r\r", ": x\n", ": x\n\n", "\n", "data: {}\n\n: x\n"]
    {
        assert!(boundary(stream), "{stream:?}");
    }
    for stream in ["data", "data: {}\n", "data: {}\r\n", "event: x\n", ": x", "data: {}\n\nd", "data: {}\n: x\n"] {
        assert!(!boundary(stream), "{stream:?}");
    }
}

#[test]
fn a_line_of_a_megabyte_cut_into_many() {
    let frame = format!(r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#, "x".repeat(1 << 20));
    let stream = stream(&[&frame]);
    for size in [100, 4096, 1 << 16] {
        assert!(facts(Format::OpenAiChat, stream.as_bytes().chunks(size)).unwrap().0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_in_any_order_cut_anywhere(lines in prop::collection::vec(prop::sample::select(vec![
        "data: {}", "data:[1", "data: ]", "data", ":", ": c", "", "", "event: error", "event", "id: 1", "id", "\u{feff}data: 1", "data: [DONE]", "retry: 1", "x: y",
    ]), 0..8), ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 8)) {
        let stream: String = lines.iter().zip(ends).flat_map(|(line, end)| [*line, end]).collect();
        events_all(stream.as_bytes());
        facts_all(Format::OpenAiChat, &stream).ok();
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        events_all(&bytes);
        let stream = [b"data:", &bytes[..], b"\n\n"].concat();
        for format in [Format::OpenAiChat, Format::OpenAiResponses, Format::Anthropic] {
            facts(format, [&stream[..]]).ok();
        }
    }
}
