//! The peer's limits, as its open states them (part 2.7.1).

use crate::amqp::frame;
use crate::amqp::performative::Open;

/// The bytes that a transfer may take beside its payload: 8 of the frame header, 40 of the tag, 36
/// of all else, rounded up.
const TRANSFER_OVERHEAD: u32 = 96;

/// The limits in the peer's open.
#[derive(Debug)]
pub(super) struct Remote {
    /// The open itself, until the owner takes it.
    pub(super) open: Option<Box<Open>>,
    /// The highest channel that the peer takes.
    pub(super) channel_max: u16,
    /// The largest frame that the peer takes, in bytes.
    pub(super) max_frame_size: u32,
}

impl Remote {
    /// Makes the limits of a peer whose open has not arrived.
    pub(super) const fn new() -> Self {
        Self { open: None, channel_max: 0, max_frame_size: frame::MIN_MAX_FRAME_SIZE }
    }

    /// Returns how many bytes of payload one transfer can hold.
    pub(super) fn max_payload(&self) -> usize {
        self.max_frame_size
            .saturating_sub(TRANSFER_OVERHEAD)
            .max(frame::MIN_MAX_FRAME_SIZE - TRANSFER_OVERHEAD) as usize
    }
}
