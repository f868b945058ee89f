//! UTF-8 (RFC 3629) over pieces: a character that is cut waits for its rest.

use super::Fault;

const INVALID: &str = "invalid UTF-8";
/// Bytes of the longest character.
const LONGEST: usize = 4;

/// Below so many bytes (a frame of a stream) the standard library is the quicker one of two.
const SHORT: usize = 512;

/// Checks a text that is whole.
pub(super) fn check(bytes: &[u8]) -> Result<(), Fault> {
    let valid_up_to = if bytes.len() < SHORT {
        std::str::from_utf8(bytes).map_err(|error| error.valid_up_to()).err()
    } else {
        simdutf8::compat::from_utf8(bytes).map_err(|error| error.valid_up_to()).err()
    };
    valid_up_to.map_or(Ok(()), |at| Err(Fault::new(at, INVALID)))
}

/// Hands on what is valid; holds back at most three bytes between pieces.
#[derive(Clone, Debug, Default)]
pub struct Utf8 {
    held: [u8; LONGEST],
    length: usize,
    /// Bytes that have been handed on.
    base: usize,
}

impl Utf8 {
    /// Calls `take` with each valid stretch, in order. What `take` finds wrong comes first, as its bytes do.
    pub fn feed<E: From<Fault>>(
        &mut self,
        piece: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = piece;
        while self.length > 0 {
            let Some((&byte, after)) = rest.split_first() else { return Ok(()) };
            rest = after;
            self.complete(byte, &mut take)?;
        }
        let Err(error) = simdutf8::compat::from_utf8(rest) else { return self.hand_on(rest, &mut take) };
        let (valid, broken) = rest.split_at(error.valid_up_to());
        self.hand_on(valid, &mut take)?;
        if error.error_len().is_some() {
            return Err(Fault::new(self.base, INVALID).into());
        }
        self.held[..broken.len()].copy_from_slice(broken);
        self.length = broken.len();
        Ok(())
    }

    pub fn finish(&self) -> Result<(), Fault> {
        if self.length == 0 { Ok(()) } else { Err(Fault::new(self.base, INVALID)) }
    }

    fn hand_on<E>(&mut self, valid: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if !valid.is_empty() {
            take(valid)?;
            self.base += valid.len();
        }
        Ok(())
    }

    fn complete<E: From<Fault>>(&mut self, byte: u8, take: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.held[self.length] = byte;
        self.length += 1;
        let held = self.held;
        let character = &held[..self.length];
        match std::str::from_utf8(character) {
            Ok(_) => {
                self.length = 0;
                self.hand_on(character, take)
            }
            Err(error) if error.error_len().is_some() => Err(Fault::new(self.base, INVALID).into()),
            Err(_) => Ok(()),
        }
    }
}
