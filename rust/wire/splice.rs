//! A request's body with another model in it, made of pieces of the old one.

use std::borrow::Cow;

use super::WireError;
use super::envelope::Envelope;
use super::json;

/// Six pieces that make the body with another model, to be written one after another.
pub struct Spliced<'a> {
    before: &'a [u8],
    opening: &'static [u8],
    model: Cow<'a, str>,
    closing: &'static [u8],
    between: &'a [u8],
    after: &'a [u8],
    model_last: bool,
}

impl Envelope {
    /// The body with `model` in place and without `fallbacks`. All other bytes stay; without a new model, the old too.
    pub fn splice<'a>(&self, body: &'a [u8], model: Option<&'a str>) -> Result<Spliced<'a>, WireError> {
        if body.len() != self.size {
            return Err(WireError::value("not the body that was scanned"));
        }
        let Some(model) = model else { return Ok(self.cut(body)) };
        let (opening, closing): (&[u8], &[u8]) = match (&self.model, self.others) {
            (Some(_), _) => (b"\"", b"\""),
            (None, true) => (b"\"model\":\"", b"\","),
            (None, false) => (b"\"model\":\"", b"\""),
        };
        let model_at = if self.model.is_some() { self.model_at } else { behind_brace(body) };
        let model_last = self.removed.0 < model_at.0;
        let (first, second) = if model_last { (self.removed, model_at) } else { (model_at, self.removed) };
        Ok(Spliced {
            before: &body[..first.0],
            opening,
            model: json::escape(model),
            closing,
            between: &body[first.1..second.0],
            after: &body[second.1..],
            model_last,
        })
    }

    fn cut<'a>(&self, body: &'a [u8]) -> Spliced<'a> {
        let (start, end) = self.removed;
        Spliced {
            before: &body[..start],
            opening: b"",
            model: Cow::Borrowed(""),
            closing: b"",
            between: b"",
            after: &body[end..],
            model_last: false,
        }
    }
}

/// The empty place behind the opening brace, before which there is only white space.
fn behind_brace(body: &[u8]) -> (usize, usize) {
    let behind = memchr::memchr(b'{', body).map_or(0, |brace| brace + 1);
    (behind, behind)
}

impl Spliced<'_> {
    fn pieces(&self) -> [&[u8]; 6] {
        let model = self.model.as_bytes();
        if self.model_last {
            [self.before, self.between, self.opening, model, self.closing, self.after]
        } else {
            [self.before, self.opening, model, self.closing, self.between, self.after]
        }
    }

    #[allow(clippy::len_without_is_empty)] // never empty: there are braces
    pub fn len(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// Fills `out`, which has `len()` bytes.
    pub fn write(&self, out: &mut [u8]) {
        write(&self.pieces(), out);
    }
}

/// Fills `out`, which has room for all pieces.
pub fn write(pieces: &[&[u8]], out: &mut [u8]) {
    let mut at = 0;
    for piece in pieces {
        out[at..at + piece.len()].copy_from_slice(piece);
        at += piece.len();
    }
}
