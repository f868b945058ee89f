//! Base64 (RFC 4648 section 4), strictly: padded, without line ends, with no bits left over.

/// No digit.
const NONE: u8 = 0xFF;
static DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = [NONE; 256];
    let mut value = 0_u8;
    while value < 64 {
        digits[alphabet[value as usize] as usize] = value;
        value += 1;
    }
    digits
}

/// Decodes to the end of `out`; whether it was base64.
pub(super) fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let (fours, rest) = text.as_chunks::<4>();
    if !rest.is_empty() {
        return false;
    }
    out.reserve(fours.len() * 3);
    let Some((last, whole)) = fours.split_last() else { return true };
    for four in whole {
        let Some(bits) = bits(*four) else { return false };
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    // Padding is read as zeros.
    let length = match last {
        [_, _, b'=', b'='] => 1,
        [_, _, _, b'='] => 2,
        _ => 3,
    };
    let padded: [u8; 4] = std::array::from_fn(|at| if at > length { b'A' } else { last[at] });
    let Some(bits) = bits(padded) else { return false };
    let bytes = bits.to_be_bytes();
    out.extend_from_slice(&bytes[1..=length]);
    bytes[1 + length..].iter().all(|&byte| byte == 0)
}

fn bits(four: [u8; 4]) -> Option<u32> {
    let digits = four.map(|byte| DIGITS[usize::from(byte)]);
    let valid = digits.iter().all(|&digit| digit != NONE);
    valid.then(|| digits.iter().fold(0, |bits, &digit| bits << 6 | u32::from(digit)))
}
