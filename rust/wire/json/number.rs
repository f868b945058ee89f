//! Numbers (RFC 8259 section 6), stopped and resumed at any byte.

/// How far a number has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

impl Number {
    pub(super) fn begin(byte: u8) -> Self {
        match byte {
            b'-' => Self::Minus,
            b'0' => Self::Zero,
            _ => Self::Integer,
        }
    }

    /// Whether the number may end here.
    pub(super) fn whole(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::Power)
    }

    /// Runs on from `at`: where the number ends or the bytes do, and how far it has come.
    pub(super) fn run(mut self, bytes: &[u8], mut at: usize) -> (usize, Self) {
        loop {
            if matches!(self, Self::Integer | Self::Fraction | Self::Power) {
                at = digits(bytes, at);
            }
            let Some(next) = bytes.get(at).and_then(|&byte| self.next(byte)) else { return (at, self) };
            self = next;
            at += 1;
        }
    }

    fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') => Some(Self::Integer),
            (Self::Zero | Self::Integer, b'.') => Some(Self::Point),
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Point, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Exponent, b'+' | b'-') => Some(Self::Sign),
            (Self::Exponent | Self::Sign, b'0'..=b'9') => Some(Self::Power),
            _ => None,
        }
    }
}

fn digits(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}
