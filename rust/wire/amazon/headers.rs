//! The headers of a message: a name (its length before it), the kind of the value, the value.

use super::broken;
use crate::wire::{MAX_HEADERS, WireError};

/// Walks over headers and checks them: each is a name and, of a string, its text.
#[derive(Clone)]
pub(super) struct Headers<'a> {
    all: &'a [u8],
    rest: &'a [u8],
    count: usize,
}

impl<'a> Headers<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        Self { all, rest: all, count: 0 }
    }

    fn one(&mut self) -> Result<(&'a [u8], Option<&'a [u8]>), WireError> {
        if self.count == MAX_HEADERS {
            return Err(broken("more than 128 headers"));
        }
        let read = header(&mut self.rest).filter(|(name, text)| is_text(name) && text.is_none_or(is_text));
        let (name, text) = read.ok_or_else(|| broken("a malformed header"))?;
        let mut earlier = self.all;
        for _ in 0..self.count {
            if header(&mut earlier).is_some_and(|(known, _)| known == name) {
                return Err(broken("a header that stands there twice"));
            }
        }
        self.count += 1;
        Ok((name, text))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<(&'a [u8], Option<&'a [u8]>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.one())
    }
}

/// Takes one header. None if it is malformed.
fn header<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let length = take(rest, 1)?[0];
    let name = take(rest, length.into()).filter(|name| !name.is_empty())?;
    let text = match take(rest, 1)?[0] {
        // true, false
        0 | 1 => None,
        // Numbers of 8, 16, 32, 64 bits.
        2 => take(rest, 1).map(|_| None)?,
        3 => take(rest, 2).map(|_| None)?,
        4 => take(rest, 4).map(|_| None)?,
        // The latter a time.
        5 | 8 => take(rest, 8).map(|_| None)?,
        // Bytes, a string: their length before them.
        6 => sized(rest).map(|_| None)?,
        7 => Some(sized(rest)?),
        // A UUID.
        9 => take(rest, 16).map(|_| None)?,
        _ => return None,
    };
    Some((name, text))
}

fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_be_bytes(take(rest, 2)?.try_into().ok()?);
    take(rest, length.into())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}
