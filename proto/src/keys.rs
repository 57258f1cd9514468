//! Maps by keys that no peer chooses.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by a key of the engine, or by another small number that counts up. A hash that withstands
/// chosen keys costs ten times as much: it was one in fifteen of a short connection's instructions.
/// Keys that a peer chooses belong in a map of the usual kind.
pub type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<KeyHasher>>;

/// Hashes one small number.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|octet| self.write_u64(u64::from(*octet)));
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // Numbers that follow each other keep apart in the low bits, which choose the bucket. The
        // high bits tell the numbers of one bucket apart.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn numbers_in_a_row_share_no_place() {
        let hasher = BuildHasherDefault::<KeyHasher>::default();
        for first in [0, 77, u32::MAX - 1000] {
            let places: std::collections::HashSet<_> =
                (first..first + 1000).map(|n| hasher.hash_one(n) & 1023).collect();
            assert_eq!(places.len(), 1000);
        }
        assert_ne!(hasher.hash_one((1_u16, 2_u16)), hasher.hash_one((2_u16, 1_u16)));
    }
}
