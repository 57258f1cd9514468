//! Octets that wait, in the pieces they came in.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A piece of fewer bytes is joined with the one before it, if that is as small and many wait. A
/// piece takes 64 bytes beside its own, so single bytes would each take as much as sixty-five.
const SMALL: usize = 1024;
const LOOSE: usize = 16;

/// A queue of pieces that allocates nothing while it holds one at most. So ten thousand streams at
/// rest, or with a small request now and then, keep no buffer.
#[derive(Debug, Default)]
pub struct Chunks {
    first: Option<Bytes>,
    rest: VecDeque<Bytes>,
}

impl Chunks {
    /// Returns whether it is empty.
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Appends a piece.
    pub fn push_back(&mut self, chunk: Bytes) {
        if self.first.is_none() {
            self.first = Some(chunk);
        } else {
            self.rest.push_back(chunk);
        }
    }

    /// Appends a piece, and joins small pieces if many wait.
    pub fn append(&mut self, chunk: Bytes) {
        let joins = self.rest.len() >= LOOSE && chunk.len() < SMALL;
        let Some(last) = self.rest.back_mut().filter(|last| joins && last.len() < SMALL) else {
            return self.push_back(chunk);
        };
        let mut joined = std::mem::take(last).try_into_mut().unwrap_or_else(|shared| {
            let mut joined = BytesMut::with_capacity(shared.len() + chunk.len());
            joined.extend_from_slice(&shared);
            joined
        });
        joined.extend_from_slice(&chunk);
        *last = joined.freeze();
    }

    /// Takes the first piece.
    pub fn pop_front(&mut self) -> Option<Bytes> {
        let next = self.rest.pop_front();
        if next.is_some() && self.rest.is_empty() {
            self.rest = VecDeque::new();
        }
        std::mem::replace(&mut self.first, next)
    }

    /// Returns the first piece, for the caller to shorten.
    pub const fn front_mut(&mut self) -> Option<&mut Bytes> {
        self.first.as_mut()
    }

    /// Returns all pieces, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.first.iter().chain(&self.rest)
    }

    /// Returns the number of bytes in all pieces.
    pub fn octets(&self) -> usize {
        self.iter().map(Bytes::len).sum()
    }

    /// Drops all pieces.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Extend<Bytes> for Chunks {
    fn extend<T: IntoIterator<Item = Bytes>>(&mut self, chunks: T) {
        chunks.into_iter().for_each(|chunk| self.push_back(chunk));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_that_wait_become_one() {
        let mut chunks = Chunks::default();
        let octets: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
        for octet in octets.chunks(1) {
            chunks.append(Bytes::copy_from_slice(octet));
        }
        assert!(chunks.iter().count() <= octets.len() / SMALL + 2 + LOOSE);
        assert_eq!(chunks.iter().flatten().copied().collect::<Vec<u8>>(), octets);
        // A piece that others share stays as it is.
        let mut chunks = Chunks::default();
        let shared = Bytes::from(b"ab".to_vec());
        let more =
            [Bytes::from_static(b"c"), Bytes::from(vec![0; SMALL]), Bytes::from_static(b"d")];
        (0..=LOOSE).map(|_| shared.clone()).chain(more).for_each(|chunk| chunks.append(chunk));
        assert_eq!(chunks.iter().map(Bytes::len).skip(LOOSE).collect::<Vec<_>>(), [3, SMALL, 1]);
        assert_eq!(shared, b"ab"[..]);
    }

    #[test]
    fn pieces_keep_their_order_and_the_last_leaves_no_memory() {
        let mut chunks = Chunks::default();
        for round in 1..6 {
            chunks.extend((0..round).map(|n| Bytes::from(vec![n; 2])));
            assert!(chunks.iter().map(|chunk| chunk[0]).eq(0..round));
            for n in 0..round {
                chunks.front_mut().unwrap().truncate(1);
                assert_eq!(chunks.pop_front().unwrap(), [n][..]);
            }
            assert!(chunks.is_empty() && chunks.pop_front().is_none());
            assert_eq!(chunks.rest.capacity(), 0);
        }
        chunks.extend([Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
        chunks.clear();
        assert!(chunks.is_empty() && chunks.iter().next().is_none());
    }
}
