//! The beginning of a stream, and the answer of a sink.

/// The beginning of a stream whose receiver shall know what it is: 8 bytes of mark, 8 of seed, in
/// network order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    /// The seed of the pattern that follows; none if what follows is not to be checked.
    pub seed: Option<u64>,
}

const PREAMBLE: u64 = u64::from_be_bytes(*b"SKBENCH1");
const RECEIPT: u64 = u64::from_be_bytes(*b"SKBENCHR");
const NONE: u64 = u64::MAX;

/// Reads an integer of network order at `at`.
fn word(data: &[u8], at: usize) -> Option<u64> {
    data.get(at..)?.first_chunk().map(|octets| u64::from_be_bytes(*octets))
}

fn option(word: u64) -> Option<u64> {
    (word != NONE).then_some(word)
}

impl Preamble {
    /// Bytes on the wire.
    pub const SIZE: usize = 16;

    /// As sent.
    pub fn encode(self) -> [u8; Self::SIZE] {
        let mut octets = [0; Self::SIZE];
        for (to, from) in octets.chunks_exact_mut(8).zip([PREAMBLE, self.seed.unwrap_or(NONE)]) {
            to.copy_from_slice(&from.to_be_bytes());
        }
        octets
    }

    /// `None` if `data` begins with anything else.
    pub fn decode(data: &[u8]) -> Option<Self> {
        (word(data, 0)? == PREAMBLE).then_some(Self { seed: option(word(data, 8)?) })
    }
}

/// The bytes that a sink received after the preamble.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Bytes received.
    pub received: u64,
    /// The offset of the first byte that is not the pattern's.
    pub wrong: Option<u64>,
}

impl Receipt {
    /// Bytes on the wire.
    pub const SIZE: usize = 24;

    /// As sent.
    pub fn encode(self) -> [u8; Self::SIZE] {
        let mut octets = [0; Self::SIZE];
        for (to, from) in
            octets.chunks_exact_mut(8).zip([RECEIPT, self.received, self.wrong.unwrap_or(NONE)])
        {
            to.copy_from_slice(&from.to_be_bytes());
        }
        octets
    }

    /// `None` if `data` is anything else.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let known = data.len() == Self::SIZE && word(data, 0)? == RECEIPT;
        known.then_some(Self { received: word(data, 8)?, wrong: option(word(data, 16)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_the_wire() {
        for seed in [None, Some(0), Some(77)] {
            assert_eq!(Preamble::decode(&Preamble { seed }.encode()), Some(Preamble { seed }));
        }
        for receipt in [Receipt::default(), Receipt { received: 5, wrong: Some(3) }] {
            assert_eq!(Receipt::decode(&receipt.encode()), Some(receipt));
        }
    }

    #[test]
    fn anything_else_is_none() {
        assert_eq!(Preamble::decode(b"GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(Preamble::decode(&Preamble { seed: None }.encode()[..15]), None);
        assert_eq!(Receipt::decode(&Receipt::default().encode()[..23]), None);
        assert_eq!(Receipt::decode(&[0; 24]), None);
    }
}
