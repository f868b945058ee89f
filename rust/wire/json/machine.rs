//! The grammar of JSON as a machine that can stop and go on at any byte.

use super::number::Number;
use super::text::{is_simple_escape, text_run};
use super::{Fault, Surrogates};
use crate::wire::MAX_DEPTH;

/// No top-level token is under way.
const NOWHERE: usize = usize::MAX;

const LONE: &str = "an escaped surrogate without its other half";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The text's first byte: an object must come.
    Object,
    Value,
    /// A value or `]`.
    FirstElement,
    /// A name or `}`.
    FirstName,
    Name,
    Colon,
    /// A comma, or the end of the array or object.
    After,
    /// White space alone.
    End,
    /// Inside a string; after its backslash; after `\u` and so many digits.
    Text,
    Escape,
    Hex(u8),
    Number(Number),
    /// Inside `true`, `false` or `null`: which, and how much of it has come.
    Word(Word, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    True,
    False,
    Null,
}

impl Word {
    #[inline]
    fn letters(self) -> &'static [u8] {
        match self {
            Self::True => b"true",
            Self::False => b"false",
            Self::Null => b"null",
        }
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The bytes are used up.
    More,
    /// The outermost value ended here. (Of a number only what follows tells.)
    Done,
    /// The name of a member of the outermost object ended here; it began at [`Machine::take_mark`].
    Name,
    /// The value of a member of the outermost object ended here; it began at [`Machine::take_mark`].
    Member,
}

/// A validator. Offsets that it returns are within the bytes of the call, those in faults and marks absolute.
#[derive(Clone, Debug)]
pub struct Machine {
    state: State,
    /// The string under way is a member's name.
    naming: bool,
    /// An escaped high surrogate waits for its other half.
    high: bool,
    surrogates: Surrogates,
    /// The digits of the `\u` escape under way.
    unit: u16,
    depth: usize,
    in_object: bool,
    limit: usize,
    /// One bit per level: whether it is an object.
    objects: [u64; MAX_DEPTH / 64 + 1],
    /// Bytes of the pieces before this one.
    base: usize,
    mark: usize,
}

impl Machine {
    /// For a value of any kind.
    pub fn new(surrogates: Surrogates) -> Self {
        Self {
            state: State::Value,
            naming: false,
            high: false,
            surrogates,
            unit: 0,
            depth: 0,
            in_object: false,
            limit: MAX_DEPTH,
            objects: [0; MAX_DEPTH / 64 + 1],
            base: 0,
            mark: NOWHERE,
        }
    }

    /// For a text that must be an object.
    pub fn object(surrogates: Surrogates) -> Self {
        Self { state: State::Object, ..Self::new(surrogates) }
    }

    /// Begins a value that stands `depth` levels deep in a text of which others take care.
    pub(super) fn restart(&mut self, depth: usize) {
        self.state = State::Value;
        self.depth = 0;
        self.limit = MAX_DEPTH.saturating_sub(depth);
    }

    /// Whether the bytes ended inside a name or value of the outermost object. Kept with `WATCH` alone.
    pub fn inside_member(&self) -> bool {
        self.mark != NOWHERE
    }

    /// Whether the bytes ended inside a name of the outermost object.
    pub fn naming(&self) -> bool {
        self.naming && self.depth == 1 && matches!(self.state, State::Text | State::Escape | State::Hex(_))
    }

    /// Where the name or value of the outermost object began that is under way.
    pub fn mark(&self) -> usize {
        self.mark
    }

    /// Where the name or value of the outermost object began that has just ended.
    pub fn take_mark(&mut self) -> usize {
        std::mem::replace(&mut self.mark, NOWHERE)
    }

    /// The next piece begins `length` bytes after this one did.
    pub fn advance(&mut self, length: usize) {
        self.base += length;
    }

    pub fn base(&self) -> usize {
        self.base
    }

    /// The text ends here.
    pub fn finish(&self) -> Result<(), Fault> {
        if self.whole() { Ok(()) } else { Err(Fault::new(self.base, "the text ends too early")) }
    }

    /// Whether the text may end here.
    pub(super) fn whole(&self) -> bool {
        match self.state {
            State::End => true,
            State::Number(number) => self.depth == 0 && number.whole(),
            _ => false,
        }
    }

    fn fault<T>(&self, at: usize, what: &'static str) -> Result<T, Fault> {
        Err(Fault::new(self.base + at, what))
    }

    /// Runs on from `at`. With `WATCH` it also stops after each name and value of the outermost object.
    pub fn run<const WATCH: bool>(&mut self, bytes: &[u8], mut at: usize) -> Result<(usize, Step), Fault> {
        while let Some(&byte) = bytes.get(at) {
            at = match self.state {
                State::Value | State::FirstElement | State::Object if !is_space(byte) => {
                    self.value::<WATCH>(bytes, at, byte)?
                }
                State::Name | State::FirstName if !is_space(byte) => self.name::<WATCH>(bytes, at, byte)?,
                State::After if !is_space(byte) => self.after(byte, at)?,
                State::Colon if byte == b':' => self.turn(State::Value, at),
                State::Text => self.text(bytes, at)?,
                State::Escape => self.escape(byte, at)?,
                State::Hex(digits) => self.hex(digits, byte, at)?,
                State::Number(number) => self.number(number, bytes, at)?,
                State::Word(word, length) => self.word(word, length, bytes, at)?,
                _ if is_space(byte) => {
                    at += 1;
                    continue;
                }
                State::Colon => return self.fault(at, "expected ':'"),
                _ => return self.fault(at, "something follows the value"),
            };
            match self.state {
                State::After if self.depth == 0 => {
                    self.state = State::End;
                    return Ok((at, Step::Done));
                }
                State::After if WATCH && self.depth == 1 => return Ok((at, Step::Member)),
                State::After => at = self.comma(bytes, at),
                State::Colon if WATCH && self.depth == 1 => return Ok((at, Step::Name)),
                State::Colon if bytes.get(at) == Some(&b':') => at = self.turn(State::Value, at),
                _ => {}
            }
        }
        Ok((at, Step::More))
    }

    /// Takes one byte, which leads to `state`.
    #[inline]
    fn turn(&mut self, state: State, at: usize) -> usize {
        self.state = state;
        at + 1
    }

    #[inline]
    fn begin<const WATCH: bool>(&mut self, at: usize) {
        if WATCH && self.depth == 1 {
            self.mark = self.base + at;
        }
    }

    #[inline]
    fn name<const WATCH: bool>(&mut self, bytes: &[u8], at: usize, byte: u8) -> Result<usize, Fault> {
        match byte {
            b'"' => {
                self.begin::<WATCH>(at);
                self.string(bytes, at + 1, State::Colon)
            }
            b'}' if self.state == State::FirstName => Ok(self.close(at)),
            _ => self.fault(at, "expected a member's name"),
        }
    }

    #[inline]
    fn value<const WATCH: bool>(&mut self, bytes: &[u8], at: usize, byte: u8) -> Result<usize, Fault> {
        if byte == b']' && self.state == State::FirstElement {
            return Ok(self.close(at));
        }
        if byte != b'{' && self.state == State::Object {
            return self.fault(at, "expected an object");
        }
        self.begin::<WATCH>(at);
        match byte {
            b'"' => self.string(bytes, at + 1, State::After),
            b'{' | b'[' => self.open(byte == b'{', at),
            b'-' | b'0'..=b'9' => self.number(Number::begin(byte), bytes, at + 1),
            b't' => self.word(Word::True, 0, bytes, at),
            b'f' => self.word(Word::False, 0, bytes, at),
            b'n' => self.word(Word::Null, 0, bytes, at),
            _ => self.fault(at, "expected a value"),
        }
    }

    #[inline]
    fn after(&mut self, byte: u8, at: usize) -> Result<usize, Fault> {
        match byte {
            b',' => Ok(self.turn(if self.in_object { State::Name } else { State::Value }, at)),
            b'}' if self.in_object => Ok(self.close(at)),
            b']' if !self.in_object => Ok(self.close(at)),
            _ => self.fault(at, if self.in_object { "expected ',' or '}'" } else { "expected ',' or ']'" }),
        }
    }

    /// Takes a comma that follows at once, as it mostly does.
    #[inline]
    fn comma(&mut self, bytes: &[u8], at: usize) -> usize {
        match bytes.get(at) {
            Some(b',') => self.turn(if self.in_object { State::Name } else { State::Value }, at),
            _ => at,
        }
    }

    #[inline]
    fn open(&mut self, object: bool, at: usize) -> Result<usize, Fault> {
        if self.depth >= self.limit {
            return self.fault(at, "nested too deeply");
        }
        self.depth += 1;
        let (level, bit) = (&mut self.objects[self.depth / 64], 1 << (self.depth % 64));
        *level = if object { *level | bit } else { *level & !bit };
        self.in_object = object;
        Ok(self.turn(if object { State::FirstName } else { State::FirstElement }, at))
    }

    #[inline]
    fn close(&mut self, at: usize) -> usize {
        self.depth -= 1;
        self.in_object = self.objects[self.depth / 64] >> (self.depth % 64) & 1 == 1;
        self.turn(State::After, at)
    }

    #[inline]
    fn number(&mut self, number: Number, bytes: &[u8], at: usize) -> Result<usize, Fault> {
        let (at, number) = number.run(bytes, at);
        self.state = State::Number(number);
        if at < bytes.len() {
            if !number.whole() {
                return self.fault(at, "not a number");
            }
            self.state = State::After;
        }
        Ok(at)
    }

    #[inline]
    fn word(&mut self, word: Word, length: u8, bytes: &[u8], at: usize) -> Result<usize, Fault> {
        let missing = &word.letters()[usize::from(length)..];
        if bytes[at..].starts_with(missing) {
            self.state = State::After;
            return Ok(at + missing.len());
        }
        self.cut_word(word, length, bytes, at)
    }

    #[cold]
    fn cut_word(&mut self, word: Word, mut length: u8, bytes: &[u8], mut at: usize) -> Result<usize, Fault> {
        while let Some(byte) = bytes.get(at) {
            if *byte != word.letters()[usize::from(length)] {
                return self.fault(at, "expected a value");
            }
            at += 1;
            length += 1;
        }
        self.state = State::Word(word, length);
        Ok(at)
    }

    /// Takes a string from behind its opening quote.
    #[inline]
    fn string(&mut self, bytes: &[u8], at: usize, then: State) -> Result<usize, Fault> {
        let end = text_run(bytes, at);
        if bytes.get(end) == Some(&b'"') {
            return Ok(self.turn(then, end));
        }
        self.naming = then == State::Colon;
        self.state = State::Text;
        self.text(bytes, end)
    }

    /// Runs to the end of the string that is under way, or of the bytes.
    fn text(&mut self, bytes: &[u8], mut at: usize) -> Result<usize, Fault> {
        if self.high && bytes.get(at) != Some(&b'\\') {
            return self.fault(at, LONE);
        }
        if !self.high {
            at = text_run(bytes, at);
        }
        match bytes.get(at) {
            None => Ok(at),
            Some(b'"') => Ok(self.turn(if self.naming { State::Colon } else { State::After }, at)),
            Some(b'\\') => Ok(self.turn(State::Escape, at)),
            Some(_) => self.fault(at, "a control character in a string"),
        }
    }

    fn escape(&mut self, letter: u8, at: usize) -> Result<usize, Fault> {
        if letter == b'u' {
            self.unit = 0;
            return Ok(self.turn(State::Hex(0), at));
        }
        if self.high {
            return self.fault(at, LONE);
        }
        if !is_simple_escape(letter) {
            return self.fault(at, "an unknown escape");
        }
        Ok(self.turn(State::Text, at))
    }

    fn hex(&mut self, digits: u8, byte: u8, at: usize) -> Result<usize, Fault> {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return self.fault(at, "expected four hexadecimal digits");
        };
        self.unit = self.unit << 4 | u16::try_from(digit).unwrap_or_default();
        if digits < 3 {
            return Ok(self.turn(State::Hex(digits + 1), at));
        }
        if self.surrogates == Surrogates::Paired {
            let (high, low) = ((0xD800..0xDC00).contains(&self.unit), (0xDC00..0xE000).contains(&self.unit));
            if self.high != low {
                return self.fault(at, LONE);
            }
            self.high = high;
        }
        Ok(self.turn(State::Text, at))
    }
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
