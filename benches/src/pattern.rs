//! The bytes that are sent, such that any byte of any stream can be checked by its offset alone.
//!
//! One table of pseudo-random bytes with a prime period; a stream is the table read from a start
//! that its seed gives. The period being prime, bytes that were lost, repeated or swapped by any
//! block size a program uses are seen, and so are bytes of another stream. Reading a table costs
//! no more than a memory compare, so that checking does not slow the generator to less than the
//! path it measures.

use std::sync::LazyLock;

/// After so many bytes a stream repeats: the first prime above 2^20.
pub const PERIOD: u64 = 1_048_583;

/// The most bytes [`slice()`] gives at once.
pub const MAX_CHUNK: usize = 1 << 20;

/// The period once, and its beginning again so that every chunk is contiguous.
static TABLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut table = Vec::with_capacity(PERIOD as usize + MAX_CHUNK + 8);
    let mut word = 0u64;
    while table.len() < PERIOD as usize {
        table.extend_from_slice(&mix(word).to_le_bytes());
        word += 1;
    }
    table.truncate(PERIOD as usize);
    table.extend_from_within(..MAX_CHUNK);
    table
});

/// SplitMix64: spreads consecutive numbers over all 64 bits.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The seed of stream number `index`: neighbors start far apart in the table.
pub fn seed(index: usize) -> u64 {
    mix(index as u64) % PERIOD
}

/// At most `len` bytes of the stream of `seed` from `offset` on; fewer only if `len` is above
/// [`MAX_CHUNK`].
pub fn slice(seed: u64, offset: u64, len: usize) -> &'static [u8] {
    let start = ((seed % PERIOD + offset % PERIOD) % PERIOD) as usize;
    let end = start + len.min(MAX_CHUNK);
    TABLE.get(start..end).unwrap_or_default()
}

/// The first byte that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    /// The place in the stream.
    pub offset: u64,
    /// The byte that should be there.
    pub expected: u8,
    /// The byte that is there.
    pub found: u8,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "first wrong octet at offset {}: 0x{:02x} instead of 0x{:02x}",
            self.offset, self.found, self.expected
        )
    }
}

/// Checks that `data` is what the stream of `seed` has at `offset`.
pub fn check(seed: u64, offset: u64, data: &[u8]) -> Result<(), Mismatch> {
    let mut at = offset;
    for part in data.chunks(MAX_CHUNK) {
        let expected = slice(seed, at, part.len());
        if expected != part {
            let (index, (expected, found)) = expected
                .iter()
                .zip(part)
                .enumerate()
                .find(|(_, (e, f))| e != f)
                .unwrap_or((0, (&0, &0)));
            return Err(Mismatch {
                offset: at.wrapping_add(index as u64),
                expected: *expected,
                found: *found,
            });
        }
        at = at.wrapping_add(part.len() as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_continues_across_the_end_of_the_table() {
        let seed = seed(3);
        let whole: Vec<u8> =
            (0..40).flat_map(|i| slice(seed, i * 100_000, 100_000).to_vec()).collect();
        assert_eq!(whole.len(), 4_000_000);
        assert_eq!(check(seed, 0, &whole), Ok(()));
        assert_eq!(whole[PERIOD as usize..PERIOD as usize + 1000], whole[..1000]);
    }

    #[test]
    fn the_first_wrong_octet_is_named() {
        let mut data = slice(7, 500, 3000).to_vec();
        data[1234] ^= 0x40;
        data[2000] ^= 0x01;
        let wrong = check(7, 500, &data).expect_err("two octets differ");
        assert_eq!(wrong.offset, 1734);
        assert_eq!(wrong.found, wrong.expected ^ 0x40);
    }

    #[test]
    fn displaced_blocks_and_foreign_streams_are_seen() {
        for shift in [1u64, 1460, 4096, 16_384, 65_536, 1 << 20, 1 << 30, 1 << 40] {
            assert!(check(seed(0), shift, slice(seed(0), 0, 64)).is_err(), "shift {shift}");
        }
        for other in 1..1000 {
            assert!(check(seed(0), 0, slice(seed(other), 0, 64)).is_err(), "stream {other}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(slice(0, u64::MAX, usize::MAX).len(), MAX_CHUNK);
        assert_eq!(slice(u64::MAX, u64::MAX, 0).len(), 0);
    }
}
