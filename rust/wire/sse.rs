//! Event streams (WHATWG HTML, section "Server-sent events"), cut anywhere.

use memchr::{memchr, memchr2};

use super::{MAX_EVENT, WireError};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// One event as it is dispatched: the bytes of its fields, undecoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Empty where the stream names none, which means `message`.
    pub name: &'a [u8],
    pub data: &'a [u8],
    /// The last id that the stream gave, with this event or an earlier one.
    pub id: &'a [u8],
}

/// Takes reads, gives events. An event of one `data` line that came in one read is handed out without a copy.
#[derive(Debug, Default)]
pub struct EventReader {
    /// The beginning of a line that was cut.
    line: Vec<u8>,
    name: Vec<u8>,
    /// The lines of `data` so far, each followed by LF.
    data: Vec<u8>,
    id: Vec<u8>,
    /// The line before ended with CR: an LF that follows belongs to it.
    after_return: bool,
    /// The first line, which may begin with a byte order mark, has gone by.
    begun: bool,
    /// A field has come of an event that has not ended.
    open: bool,
}

impl EventReader {
    /// Calls `take` with each event that is complete now. After an error the stream cannot be read on.
    pub fn feed(
        &mut self,
        read: &[u8],
        mut take: impl FnMut(Event<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        // The only `data` line so far of the event under way, while it lies in this read.
        let mut fresh = None;
        let mut rest = self.without_line_feed(read);
        while let Some(end) = memchr2(b'\r', b'\n', rest) {
            let line = &rest[..end];
            self.after_return = rest[end] == b'\r';
            rest = self.without_line_feed(&rest[end + 1..]);
            if self.line.is_empty() {
                self.line(line, &mut fresh, &mut take)?;
            } else {
                self.cut_line(line, &mut fresh, &mut take)?;
            }
        }
        if let Some(data) = fresh {
            self.keep(data);
        }
        self.line.extend_from_slice(rest);
        self.check_size(self.line.len())
    }

    /// Whether what has come ends an event (or a comment between events), so that a foreign one may follow.
    pub fn boundary(&self) -> bool {
        self.line.is_empty() && !self.open
    }

    /// The bytes without the LF of a CRLF whose CR was the end of a line.
    fn without_line_feed<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if !self.after_return || bytes.is_empty() {
            return bytes;
        }
        self.after_return = false;
        bytes.strip_prefix(b"\n").unwrap_or(bytes)
    }

    /// Takes a line whose beginning came in earlier reads.
    #[cold]
    fn cut_line(
        &mut self,
        end: &[u8],
        fresh: &mut Option<&[u8]>,
        take: &mut impl FnMut(Event<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(end);
        let mut own = fresh.take();
        self.line(&line, &mut own, take)?;
        if let Some(data) = own {
            self.keep(data);
        }
        line.clear();
        self.line = line;
        Ok(())
    }

    fn line<'a>(
        &mut self,
        line: &'a [u8],
        fresh: &mut Option<&'a [u8]>,
        take: &mut impl FnMut(Event<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let line = if self.begun { line } else { line.strip_prefix(BOM).unwrap_or(line) };
        self.begun = true;
        if line.is_empty() {
            return self.dispatch(fresh.take(), take);
        }
        self.check_size(line.len() + fresh.map_or(0, <[u8]>::len))?;
        let (name, value) = field(line);
        self.open |= !name.is_empty();
        match name {
            b"data" if self.data.is_empty() && fresh.is_none() => *fresh = Some(value),
            b"data" => {
                if let Some(data) = fresh.take() {
                    self.keep(data);
                }
                self.keep(value);
            }
            b"event" => value.clone_into(&mut self.name),
            b"id" if memchr(0, value).is_none() => value.clone_into(&mut self.id),
            _ => {}
        }
        Ok(())
    }

    fn dispatch(
        &mut self,
        fresh: Option<&[u8]>,
        take: &mut impl FnMut(Event<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.open = false;
        if let Some(data) = fresh.or_else(|| self.data.strip_suffix(b"\n")) {
            take(Event { name: &self.name, data, id: &self.id })?;
        }
        self.name.clear();
        self.data.clear();
        Ok(())
    }

    fn keep(&mut self, data: &[u8]) {
        self.data.extend_from_slice(data);
        self.data.push(b'\n');
    }

    fn check_size(&self, more: usize) -> Result<(), WireError> {
        if self.data.len() + more > MAX_EVENT {
            return Err(WireError::answer("an event of more than 16 MiB"));
        }
        Ok(())
    }
}

/// The field's name and value; of a comment the name is empty.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    // Nearly every line; the search for the colon would cost more than the rest.
    let colon = if line.starts_with(b"data:") { Some(4) } else { memchr(b':', line) };
    let Some(colon) = colon else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}
