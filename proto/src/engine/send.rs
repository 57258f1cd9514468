//! Writes a frame to the output.

use super::connection::Connection;
use super::key::SessionKey;
use super::phase::Phase;
use crate::amqp::performative::Performative;
use crate::amqp::{Encode, frame};

impl Connection {
    /// Sends a frame of a session.
    pub(super) fn send_on(&mut self, session: SessionKey, performative: &Performative) {
        if let Some(channel) = self.session(session).map(|session| session.channel) {
            self.send(channel, performative);
        }
    }

    /// Sends a frame. Does nothing behind a close (part 2.4.3).
    pub(super) fn send(&mut self, channel: u16, performative: &Performative) {
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            return;
        }
        let out = self.output.buffer();
        let start = frame::begin(out, frame::TYPE_AMQP, channel);
        performative.encode(out);
        frame::end(out, start, 0);
    }
}
