//! Octets that tell where they belong: what arrives is compared with what must arrive, at full
//! speed, and the first octet that is lost, doubled or moved is found where it happens.

use std::sync::OnceLock;

/// A prime, so that no frame, buffer or window size divides it and a shift by any of them shows.
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

/// Octets of the pattern from `offset` on: at least one, at most `limit` of them.
pub fn from(offset: u64, limit: usize) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    &block()[start..PERIOD.min(start + limit)]
}

/// The length of a write, for the `index`th of a stream: from a single octet to a megabyte, in
/// turn.
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
    /// Takes the octets that arrived next.
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

    /// How many octets arrived.
    pub fn received(&self) -> u64 {
        self.offset
    }

    /// Where the first wrong octet stood, if one was wrong.
    pub fn wrong_at(&self) -> Option<u64> {
        self.wrong_at
    }
}
