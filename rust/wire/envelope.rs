//! The envelope of a request's body: the members that the gateway acts on, and where they stand.

use std::borrow::Cow;

use super::json::{Fault, Machine, Step, Surrogates, Utf8};
use super::members::{Facts, LONGEST_NAME, MAX_VALUE, Member};
use super::{MAX_MEMBERS, WireError};

/// What the gateway acts on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    pub model: Option<String>,
    pub stream: bool,
    /// `provider/model` each.
    pub fallbacks: Vec<String>,
    /// The smallest of the members that limit the answer's length.
    pub max_tokens: Option<u64>,
    /// Bytes of the body.
    pub size: usize,
    /// Where the model's string stands, quotes included.
    pub(super) model_at: (usize, usize),
    /// What leaves the body: the fallbacks with their comma.
    pub(super) removed: (usize, usize),
    /// Whether a member remains in the body that is not the model.
    pub(super) others: bool,
}

/// Reads an envelope in one piece.
pub fn scan(body: &[u8]) -> Result<Envelope, WireError> {
    let mut scanner = Scanner::default();
    scanner.feed(body)?;
    scanner.finish()
}

/// Reads an envelope from a body in any pieces.
#[derive(Debug)]
pub struct Scanner {
    machine: Machine,
    utf8: Utf8,
    members: Members,
    size: usize,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            machine: Machine::object(Surrogates::Paired),
            utf8: Utf8::default(),
            members: Members::default(),
            size: 0,
        }
    }
}

impl Scanner {
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), WireError> {
        let Self { machine, utf8, members, size } = self;
        *size += piece.len();
        utf8.feed(piece, |valid| members.read(machine, valid)).map_err(|Refused(error)| error)
    }

    pub fn finish(self) -> Result<Envelope, WireError> {
        let Self { machine, utf8, members, size } = self;
        utf8.finish().and_then(|()| machine.finish()).map_err(|fault| Refused::from(fault).0)?;
        Ok(members.envelope(size))
    }
}

/// A client's body is at fault, either its grammar or one of its members.
struct Refused(WireError);

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self(WireError::json(fault.to_string(), None))
    }
}

impl From<WireError> for Refused {
    fn from(error: WireError) -> Self {
        Self(error)
    }
}

/// The members of the outermost object as they go by.
#[derive(Debug, Default)]
struct Members {
    count: usize,
    facts: Facts,
    /// The member under way, if the gateway acts on it.
    wanted: Option<Member>,
    /// What earlier pieces held of the name or value under way.
    kept: Vec<u8>,
    name_at: usize,
    /// Where the value before this member ended.
    previous_end: usize,
    model_at: (usize, usize),
    removed: (usize, usize),
    /// The fallbacks came first: what leaves the body ends where the next name begins.
    removing: bool,
}

impl Members {
    fn read(&mut self, machine: &mut Machine, piece: &[u8]) -> Result<(), Refused> {
        let mut at = 0;
        loop {
            let (end, step) = machine.run::<true>(piece, at)?;
            at = end;
            match step {
                Step::More => break,
                Step::Done => {}
                Step::Name => self.name(piece, machine.take_mark(), machine.base(), at)?,
                Step::Member => self.value(piece, machine.take_mark(), machine.base(), at)?,
            }
        }
        if machine.inside_member() {
            self.keep(&piece[machine.mark().saturating_sub(machine.base())..], machine.naming());
        }
        machine.advance(piece.len());
        Ok(())
    }

    /// Keeps what a cut leaves behind, one byte more than may be used at most.
    fn keep(&mut self, part: &[u8], naming: bool) {
        let room = match (naming, self.wanted) {
            (true, _) => LONGEST_NAME + 3,
            (false, Some(_)) => MAX_VALUE + 1,
            (false, None) => 0,
        };
        let length = part.len().min(room.saturating_sub(self.kept.len()));
        self.kept.extend_from_slice(&part[..length]);
    }

    /// The name or value that began at `start` (absolute) and ends at `end` of this piece.
    fn token<'a>(&mut self, piece: &'a [u8], start: usize, base: usize, end: usize, naming: bool) -> Cow<'a, [u8]> {
        if self.kept.is_empty() {
            return Cow::Borrowed(&piece[start - base..end]);
        }
        self.keep(&piece[..end], naming);
        Cow::Owned(std::mem::take(&mut self.kept))
    }

    fn name(&mut self, piece: &[u8], start: usize, base: usize, end: usize) -> Result<(), WireError> {
        self.count += 1;
        if self.count > MAX_MEMBERS {
            return Err(WireError::json(format!("more than {MAX_MEMBERS} members"), None));
        }
        self.name_at = start;
        if std::mem::take(&mut self.removing) {
            self.removed.1 = start;
        }
        let name = self.token(piece, start, base, end, true);
        self.wanted = self.facts.name(&name[1..name.len() - 1])?;
        Ok(())
    }

    fn value(&mut self, piece: &[u8], start: usize, base: usize, end: usize) -> Result<(), WireError> {
        if let Some(member) = self.wanted {
            let value = self.token(piece, start, base, end, false);
            self.wanted = None;
            self.facts.value(member, &value)?;
            match member {
                Member::Model => self.model_at = (start, base + end),
                Member::Fallbacks => self.remove(base + end),
                _ => {}
            }
        }
        self.previous_end = base + end;
        Ok(())
    }

    /// Notes that the member that ends here leaves the body, with the comma before it, or, if it is the first, after.
    fn remove(&mut self, end: usize) {
        self.removing = self.count == 1;
        self.removed = (if self.removing { self.name_at } else { self.previous_end }, end);
    }

    fn envelope(self, size: usize) -> Envelope {
        let Facts { model, stream, fallbacks, max_tokens, .. } = self.facts;
        let own = usize::from(model.is_some()) + usize::from(self.removed.1 > 0);
        Envelope {
            others: self.count > own,
            model,
            stream,
            fallbacks,
            max_tokens,
            size,
            model_at: self.model_at,
            removed: self.removed,
        }
    }
}
