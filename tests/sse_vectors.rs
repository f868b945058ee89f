//! The public cases of event streams: in their own chunks, whole, and cut at every byte.
#![allow(clippy::unwrap_used)]

mod made;

use _wire::wire::sse::EventReader;
use made::data::{all_ways, base64, cases, text};
use serde_json::Value;

/// Name, data and last event id.
type Event = [String; 3];

/// The specification decodes a stream with replacement; the reader hands its data on as they are.
#[allow(clippy::disallowed_methods)]
fn decoded(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read(pieces: &[&[u8]]) -> Vec<Event> {
    let mut reader = EventReader::default();
    let mut events = Vec::new();
    for piece in pieces {
        let take = |event: _wire::wire::sse::Event<'_>| {
            // An event without a name is a message.
            let name = if event.name.is_empty() { b"message" } else { event.name };
            events.push([name, event.data, event.id].map(decoded));
            Ok(())
        };
        reader.feed(piece, take).unwrap();
    }
    events
}

fn expected(case: &Value) -> Vec<Event> {
    let events = case["events"].as_array().unwrap();
    events.iter().map(|event| ["event", "data", "last_event_id"].map(|name| text(event, name).to_owned())).collect()
}

#[test]
fn every_public_stream_gives_its_events() {
    let Some(cases) = cases("sse/cases.jsonl") else { return };
    let (mut events, mut ways) = (0, 0);
    for case in &cases {
        let (name, expected) = (text(case, "name"), expected(case));
        let chunks: Vec<Vec<u8>> =
            case["chunks_b64"].as_array().unwrap().iter().map(|chunk| base64(chunk.as_str().unwrap())).collect();
        let pieces: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        assert_eq!(read(&pieces), expected, "{name}, in its own chunks");
        let stream = chunks.concat();
        for pieces in all_ways(&stream) {
            assert_eq!(read(&pieces), expected, "{name}, in {} pieces, first {}", pieces.len(), pieces[0].len());
            ways += 1;
        }
        events += expected.len();
    }
    assert_eq!(cases.len(), 111);
    eprintln!("sse: {} cases with {events} events read in {ways} ways", cases.len());
}

#[test]
fn base64_is_decoded() {
    for (coded, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob")] {
        assert_eq!(base64(coded), bytes.as_bytes());
    }
    assert_eq!(base64("+/+/"), [0xfb, 0xff, 0xbf]);
}

#[test]
fn a_text_is_cut_at_every_byte() {
    let ways: [Vec<&[u8]>; 4] = [vec![b"abc"], vec![b"a", b"b", b"c"], vec![b"a", b"bc"], vec![b"ab", b"c"]];
    assert!(all_ways(b"abc").eq(ways));
}
