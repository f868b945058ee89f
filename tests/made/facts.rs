//! What a scan makes of a stream, whole and cut at every byte.

use _wire::wire::answer::Format;
use _wire::wire::stream_scan::{Facts, StreamScan};
use _wire::wire::{Usage, WireError};

/// What can be compared of the facts.
pub(crate) type Seen = (bool, bool, Option<String>, Option<String>, Option<Usage>, bool);

fn seen(facts: &Facts, boundary: bool) -> Seen {
    let error = facts.error.clone().map(|error| String::from_utf8(error).unwrap());
    (facts.output, facts.complete, error, facts.finish_reason.clone(), facts.usage, boundary)
}

pub(crate) fn facts<'a>(format: Format, reads: impl IntoIterator<Item = &'a [u8]>) -> Result<Seen, WireError> {
    let mut scan = StreamScan::new(format).unwrap();
    let mut before = seen(scan.facts(), true);
    for read in reads {
        let changed = scan.feed(read)?;
        let now = seen(scan.facts(), true);
        assert_eq!(changed, now != before);
        before = now;
    }
    Ok(seen(scan.facts(), scan.boundary()))
}

/// The facts of a stream, which must not depend on how it is cut.
pub(crate) fn facts_all(format: Format, stream: &(impl AsRef<[u8]> + ?Sized)) -> Result<Seen, WireError> {
    let stream = stream.as_ref();
    let whole = facts(format, [stream]);
    for cut in 0..=stream.len() {
        assert_eq!(facts(format, [&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
    }
    assert_eq!(facts(format, stream.chunks(1)), whole);
    whole
}

/// Input, output, cached, written to the cache, reasoning.
pub(crate) fn usage(counts: [u64; 5]) -> Usage {
    let [input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens] = counts;
    Usage { input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens }
}
