//! What a prompt asks of the mock: `[[bench tag=123456 chunks=64 interval_us=20000]]`.

use memchr::memmem;

/// Words not known are skipped; a word left out has its value of `Orders::default()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Orders {
    /// Comes back in the answer, so that a client knows its own. Six digits.
    pub(crate) tag: u64,
    /// Content chunks of a stream.
    pub(crate) chunks: u64,
    /// Between two chunks; 0 writes them one after another.
    pub(crate) interval_us: u64,
    /// Before the first byte of the answer.
    pub(crate) delay_us: u64,
    /// An error answer instead, if not 200.
    pub(crate) status: u64,
    /// Of how many such requests one gets `status`.
    pub(crate) every: u64,
    /// The connection is dropped after so many chunks; 0 never.
    pub(crate) cut: u64,
}

impl Default for Orders {
    fn default() -> Self {
        Self { tag: 100_001, chunks: 3, interval_us: 0, delay_us: 0, status: 200, every: 1, cut: 0 }
    }
}

/// Reads the orders in a request body; those of a body without any are the defaults.
pub(crate) fn read(body: &[u8]) -> Orders {
    let mut orders = Orders::default();
    let Some(start) = memmem::find(body, b"[[bench ") else { return orders };
    let rest = &body[start + 8..];
    let Some(end) = memmem::find(&rest[..rest.len().min(400)], b"]]") else { return orders };
    for word in rest[..end].split(|&b| b == b' ') {
        let Some(equals) = memchr::memchr(b'=', word) else { continue };
        let Some(value) = number(&word[equals + 1..]) else { continue };
        match &word[..equals] {
            b"tag" => orders.tag = value,
            b"chunks" => orders.chunks = value.min(9_999),
            b"interval_us" => orders.interval_us = value,
            b"delay_us" => orders.delay_us = value,
            b"status" => orders.status = value,
            b"every" => orders.every = value.max(1),
            b"cut" => orders.cut = value,
            _ => {}
        }
    }
    orders
}

/// The decimal number that the bytes are, if they are one.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether the body has a member `name` with the value `true`. A prompt cannot fake it: its quotes are escaped.
pub(crate) fn member_is_true(body: &[u8], name: &str) -> bool {
    let key = format!("\"{name}\"");
    memmem::find_iter(body, key.as_bytes()).any(|at| {
        let escaped = at > 0 && body[at - 1] == b'\\';
        let after = body[at + key.len()..].trim_ascii_start();
        let value = after.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        !escaped && value.is_some_and(|v| v.starts_with(b"true"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_found_in_the_prompt() {
        let orders = read(br#"{"content":"[[bench tag=654321 chunks=64 new=1 every=0 status=x]] and so on"}"#);
        assert_eq!(orders, Orders { tag: 654_321, chunks: 64, every: 1, ..Orders::default() });
    }

    #[test]
    fn a_body_without_orders_has_the_defaults() {
        assert_eq!(read(b"{}"), Orders::default());
        assert_eq!(read(b"[[bench chunks=9"), Orders::default());
    }

    #[test]
    fn only_a_real_member_counts() {
        assert!(member_is_true(br#"{"stream" : true}"#, "stream"));
        assert!(!member_is_true(br#"{"stream":false,"content":"say \"stream\":true"}"#, "stream"));
    }
}
