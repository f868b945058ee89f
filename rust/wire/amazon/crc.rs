//! The checksum of IEEE 802.3 (CRC-32), eight bytes at a time.

/// The polynomial, its bits reversed.
const POLYNOMIAL: u32 = 0xEDB8_8320;
static TABLES: [[u32; 256]; 8] = tables();

/// Row n: what a byte does to the checksum that n more bytes follow.
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut row = 1;
    while row < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[row - 1][byte];
            tables[row][byte] = before >> 8 ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        row += 1;
    }
    tables
}

pub fn crc32(bytes: &[u8]) -> u32 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut sum = !0_u32;
    for eight in eights {
        let mut mixed = *eight;
        for (byte, over) in mixed.iter_mut().zip(sum.to_le_bytes()) {
            *byte ^= over;
        }
        sum = mixed.iter().zip(TABLES.iter().rev()).fold(0, |sum, (&byte, row)| sum ^ row[usize::from(byte)]);
    }
    !rest.iter().fold(sum, |sum, byte| sum >> 8 ^ TABLES[0][usize::from(sum.to_le_bytes()[0] ^ byte)])
}
