//! What a read gave together with what earlier ones left over.

/// Bytes of kept capacity that an idle connection may hold on to.
const KEPT_CAPACITY: usize = 4 * 1024;

/// Keeps what cannot be used yet. Where nothing is kept, a read is looked at where it stands, without a copy.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    kept: Vec<u8>,
    start: usize,
}

impl Inbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.kept.len()
    }

    pub(crate) fn clear(&mut self) {
        self.start = 0;
        if self.kept.capacity() > KEPT_CAPACITY {
            self.kept = Vec::new();
        } else {
            self.kept.clear();
        }
    }

    /// Takes a read in; whether there are kept bytes before it, so that all is to be looked at in `kept`.
    pub(crate) fn join(&mut self, data: &[u8]) -> bool {
        if self.is_empty() {
            self.clear();
            return false;
        }
        // Moving the rest forward only when it is the smaller half keeps many small requests in one read linear.
        if self.start > self.kept.len() / 2 {
            self.kept.drain(..self.start);
            self.start = 0;
        }
        self.kept.extend_from_slice(data);
        true
    }

    pub(crate) fn kept(&self) -> &[u8] {
        &self.kept[self.start..]
    }

    /// Counts bytes off. They stay where they are until the next `join`.
    pub(crate) fn skip(&mut self, length: usize) {
        self.start += length;
    }

    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.kept.extend_from_slice(rest);
    }

    /// The kept bytes before the last `skip` of ``length``, and all behind them.
    pub(crate) fn before(&self, length: usize) -> &[u8] {
        &self.kept[self.start - length..]
    }
}
