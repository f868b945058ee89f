//! Walking over a JSON text that is whole: what is asked for is handed out, the rest is only checked.

use super::machine::{Machine, Step};
use super::number::Number;
use super::text::plain_run;
use super::{Fault, Surrogates, utf8};
use crate::wire::MAX_DEPTH;

const EARLY: &str = "the text ends too early";

/// Stands before a value. Every method takes one whole value, whatever its kind is.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    machine: Machine,
}

impl<'a> Reader<'a> {
    /// Checks that the text is UTF-8. Lone surrogates are let through.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        utf8::check(bytes)?;
        Ok(Self { bytes, at: 0, depth: 0, machine: Machine::new(Surrogates::Any) })
    }

    /// Checks that nothing follows.
    pub fn finish(mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("something follows the value")),
        }
    }

    /// The first byte of the value; None at the end of the text.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Calls `member` for each member; it must take the value. Any other value is passed over; whether it was one.
    #[inline]
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, &'a [u8]) -> Result<(), Fault>) -> Result<bool, Fault> {
        if self.peek() != Some(b'{') {
            return self.skip().map(|()| false);
        }
        self.enter()?;
        if self.peek() == Some(b'}') {
            self.leave();
            return Ok(true);
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.fault("expected a member's name"));
            }
            let name = self.text()?;
            self.expect(b':', "expected ':'")?;
            member(self, name)?;
            if self.another(b'}', "expected ',' or '}'")? {
                return Ok(true);
            }
        }
    }

    /// Calls `element` for each element with its index; it must take the value. Any other value is passed over.
    #[inline]
    pub fn array(&mut self, mut element: impl FnMut(&mut Self, usize) -> Result<(), Fault>) -> Result<bool, Fault> {
        if self.peek() != Some(b'[') {
            return self.skip().map(|()| false);
        }
        self.enter()?;
        if self.peek() == Some(b']') {
            self.leave();
            return Ok(true);
        }
        for index in 0.. {
            element(self, index)?;
            if self.another(b']', "expected ',' or ']'")? {
                break;
            }
        }
        Ok(true)
    }

    /// What stands between the quotes, escapes as they are; None if the value is no string.
    #[inline]
    pub fn string(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        if self.peek() == Some(b'"') {
            return self.text().map(Some);
        }
        self.skip().map(|()| None)
    }

    /// A count: a number that is not negative, its fraction cut off. None if the value is none.
    pub fn count(&mut self) -> Result<Option<u64>, Fault> {
        let raw = self.raw()?;
        let Ok(text) = std::str::from_utf8(raw) else { return Ok(None) };
        Ok(text.parse().ok().or_else(|| text.parse().ok().and_then(whole_part)))
    }

    /// The bytes of the value.
    pub fn raw(&mut self) -> Result<&'a [u8], Fault> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.bytes[start..self.at])
    }

    /// Whether the value says something: it is not null, false, 0, `""`, `[]` or `{}`.
    pub fn says_something(&mut self) -> Result<bool, Fault> {
        let raw = self.raw()?;
        Ok(match raw {
            b"null" | b"false" | b"0" | b"\"\"" => false,
            [b'[' | b'{', inside @ .., _] => !inside.iter().all(u8::is_ascii_whitespace),
            _ => true,
        })
    }

    /// Checks the value and passes over it.
    #[inline]
    pub fn skip(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.text().map(|_| ()),
            Some(b'n') if self.bytes[self.at..].starts_with(b"null") => {
                self.at += 4;
                Ok(())
            }
            Some(byte @ (b'0'..=b'9' | b'-')) => self.number(byte),
            _ => self.check(),
        }
    }

    #[inline]
    fn number(&mut self, byte: u8) -> Result<(), Fault> {
        let (at, number) = Number::begin(byte).run(self.bytes, self.at + 1);
        self.at = at;
        if number.whole() { Ok(()) } else { Err(self.fault("not a number")) }
    }

    fn check(&mut self) -> Result<(), Fault> {
        self.machine.restart(self.depth);
        let (at, step) = self.machine.run::<false>(self.bytes, self.at)?;
        self.at = at;
        if step == Step::Done || self.machine.whole() { Ok(()) } else { Err(self.fault(EARLY)) }
    }

    #[inline]
    fn text(&mut self) -> Result<&'a [u8], Fault> {
        let start = self.at + 1;
        let end = plain_run(self.bytes, start);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
        } else {
            self.check()?;
        }
        Ok(&self.bytes[start..self.at - 1])
    }

    #[inline]
    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.fault(what));
        }
        self.at += 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), Fault> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault("nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Takes the comma or the closing byte; whether it was the latter.
    #[inline]
    fn another(&mut self, close: u8, what: &'static str) -> Result<bool, Fault> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(byte) if byte == close => {
                self.leave();
                Ok(true)
            }
            _ => Err(self.fault(what)),
        }
    }

    fn fault(&self, what: &'static str) -> Fault {
        if self.at >= self.bytes.len() { Fault::new(self.at, EARLY) } else { Fault::new(self.at, what) }
    }
}

/// Some providers count in floating point.
fn whole_part(number: f64) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and the sign was looked at
    (number.is_finite() && number >= 0.0).then_some(number as u64)
}
