//! Bytes on their way out.

use std::io::IoSlice;

use bytes::Bytes;

#[derive(Debug)]
enum Segment {
    /// Frame bytes in the arena.
    Arena { start: usize, end: usize },
    /// A payload, never joined with its frame header.
    Payload(Bytes),
}

/// Frames to be written, as a list of slices. Headers stand in one buffer that is used again;
/// payloads stay as they came, without a copy.
#[derive(Debug, Default)]
pub struct Output {
    arena: Vec<u8>,
    segments: Vec<Segment>,
    /// Where the arena's bytes begin that no segment covers yet.
    mark: usize,
    octets: usize,
}

/// The bytes that the arena keeps between two uses.
const ARENA_KEEP: usize = 16 * 1024;

/// The segments that the list keeps space for between two uses.
const SEGMENTS_KEEP: usize = 1024;

impl Output {
    /// Returns the frame buffer. Append whole frames, or the head of one whose payload follows.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// Appends a payload behind the content of the buffer.
    pub(super) fn payload(&mut self, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        self.seal();
        self.octets += payload.len();
        self.segments.push(Segment::Payload(payload));
    }

    fn seal(&mut self) {
        if self.arena.len() > self.mark {
            self.octets += self.arena.len() - self.mark;
            self.segments.push(Segment::Arena { start: self.mark, end: self.arena.len() });
            self.mark = self.arena.len();
        }
    }

    /// Returns how many bytes wait.
    pub fn len(&self) -> usize {
        self.octets + (self.arena.len() - self.mark)
    }

    /// Whether no bytes wait.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns all that waits, in order.
    pub fn slices(&mut self) -> impl Iterator<Item = IoSlice<'_>> {
        self.seal();
        self.segments.iter().map(|segment| match segment {
            Segment::Arena { start, end } => {
                IoSlice::new(self.arena.get(*start..*end).unwrap_or_default())
            }
            Segment::Payload(payload) => IoSlice::new(payload),
        })
    }

    /// Forgets all that waits. Call it once everything was written.
    pub fn clear(&mut self) {
        self.segments.clear();
        self.segments.shrink_to(SEGMENTS_KEEP);
        self.arena.clear();
        self.arena.shrink_to(ARENA_KEEP);
        self.mark = 0;
        self.octets = 0;
    }

    /// Returns all that waits as one piece: for tests and tools.
    pub fn to_vec(&mut self) -> Vec<u8> {
        self.slices().fold(Vec::new(), |mut all, slice| {
            all.extend_from_slice(&slice);
            all
        })
    }
}
