//! A pattern of bytes that shows where each byte belongs. A check finds the first lost, doubled or
//! moved byte at full speed.

use std::sync::OnceLock;

/// A prime: no frame, buffer or window size divides it, so the check sees a shift by any of them.
const PERIOD: usize = 1_000_003;

fn block() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| {
        let mut random = fastrand::Rng::with_seed(0x5eed);
        let mut octets = vec![0; PERIOD];
        random.fill(&mut octets);
        octets
    })
}

/// Returns at least one and at most `limit` bytes of the pattern, from `offset` on.
pub fn from(offset: u64, limit: usize) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    &block()[start..PERIOD.min(start + limit)]
}

/// Returns the length of the `index`th write of a stream. Lengths from one byte to a megabyte take
/// turns.
pub fn chunk(index: usize) -> usize {
    const SIZES: [usize; 7] = [1, 7, 1000, 4096, 16 * 1024, 64 * 1024, 1024 * 1024];
    SIZES[index % SIZES.len()]
}

/// Follows a stream of the pattern from its beginning.
#[derive(Debug, Default, Clone)]
pub struct Check {
    offset: u64,
    wrong_at: Option<u64>,
}

impl Check {
    /// Takes the next bytes of the stream.
    pub fn take(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let expected = from(self.offset, octets.len());
            let (head, rest) = octets.split_at(expected.len());
            if head != expected && self.wrong_at.is_none() {
                let within =
                    head.iter().zip(expected).take_while(|(got, want)| got == want).count();
                self.wrong_at = Some(self.offset + within as u64);
            }
            self.offset += head.len() as u64;
            octets = rest;
        }
    }

    /// Returns the number of bytes that arrived.
    pub fn received(&self) -> u64 {
        self.offset
    }

    /// Returns the offset of the first wrong byte, if there was one.
    pub fn wrong_at(&self) -> Option<u64> {
        self.wrong_at
    }
}
