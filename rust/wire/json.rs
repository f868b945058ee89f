//! JSON (RFC 8259): validation in one pass, over bytes in one piece or in many.
//!
//! [`Machine`] is the grammar, stopped and resumed at any byte. [`Reader`] walks over a text that is whole and lets
//! the machine check what it passes over. Both are strict, neither allocates. UTF-8 is checked beforehand
//! ([`Utf8`]), so that the machine need not look at bytes above 0x7F.

mod machine;
mod number;
mod reader;
mod text;
mod utf8;

pub use machine::{Machine, Step};
pub use reader::Reader;
pub use text::{escape, unescape};
pub use utf8::Utf8;

/// What is wrong, and at which byte, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: usize,
    pub what: &'static str,
}

impl Fault {
    pub(super) fn new(at: usize, what: &'static str) -> Self {
        Self { at, what }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "invalid JSON at byte {}: {}", self.at, self.what)
    }
}

/// What to make of an escaped surrogate without its other half (RFC 8259 section 8.2 leaves it open).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surrogates {
    /// Refused: readers differ in what they make of it.
    Paired,
    /// Let through: the text is passed on, not acted on.
    Any,
}

/// Checks one JSON text of any kind, in one piece.
pub fn validate(text: &[u8], surrogates: Surrogates) -> Result<(), Fault> {
    let mut checker = Checker::new(Machine::new(surrogates));
    checker.feed(text)?;
    checker.finish()
}

/// A machine and the UTF-8 before it, for a text whose members nobody asks for.
pub struct Checker {
    machine: Machine,
    utf8: Utf8,
}

impl Checker {
    pub fn new(machine: Machine) -> Self {
        Self { machine, utf8: Utf8::default() }
    }

    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let Self { machine, utf8 } = self;
        utf8.feed(piece, |valid| {
            let (mut at, mut step) = machine.run::<false>(valid, 0)?;
            while step == Step::Done {
                (at, step) = machine.run::<false>(valid, at)?;
            }
            machine.advance(valid.len());
            Ok(())
        })
    }

    pub fn finish(&mut self) -> Result<(), Fault> {
        self.utf8.finish()?;
        self.machine.finish()
    }
}
