//! Open and close (parts 2.4.1, 2.4.3, 2.7.1 and 2.7.9).

use super::config::Layer;
use super::connection::Connection;
use super::event::{Closed, Event, Initiator};
use super::phase::Phase;
use crate::amqp::performative::{Close, Error, Open, Performative};
use crate::amqp::{condition, frame};
use crate::time::Instant;

impl Connection {
    /// As server: makes our open wait for [`Connection::admit`]. Call it right after
    /// [`Connection::new`]. [`Event::Opened`] tells when the peer's open has arrived.
    pub fn hold_open(&mut self) {
        self.holds_open = true;
    }

    /// Sends the open that [`Connection::hold_open`] holds. The limits given here replace those of
    /// the configuration: bytes of a frame, the highest channel, transfers that a session takes.
    /// Call [`Connection::handle_input`] afterwards: it takes the bytes behind the peer's open.
    pub fn admit(
        &mut self,
        max_frame_size: Option<u32>,
        channel_max: Option<u16>,
        incoming_window: Option<u32>,
    ) {
        if matches!(self.phase, Phase::Holding) {
            let config = &mut self.config;
            config.max_frame_size =
                max_frame_size.unwrap_or(config.max_frame_size).max(frame::MIN_MAX_FRAME_SIZE);
            config.channel_max = channel_max.unwrap_or(config.channel_max);
            config.incoming_window = incoming_window.unwrap_or(config.incoming_window);
            self.answer_open();
        }
    }

    /// Part 2.7.1. Takes the peer's limits, and answers unless the owner holds the answer.
    pub(super) fn handle_open(&mut self, open: Box<Open>) -> Result<(), Error> {
        let max_frame = open.max_frame_size.unwrap_or(u32::MAX);
        if max_frame < frame::MIN_MAX_FRAME_SIZE {
            return Err(Error::new(
                condition::INVALID_FIELD,
                format!("max-frame-size {max_frame} is below {}", frame::MIN_MAX_FRAME_SIZE),
            ));
        }
        self.remote.max_frame_size = max_frame;
        self.remote.channel_max = open.channel_max.unwrap_or(u16::MAX);
        self.timers.opened(open.idle_time_out);
        self.remote.open = Some(open);
        if self.holds_open {
            self.phase = Phase::Holding;
        } else {
            self.answer_open();
        }
        self.events.push_back(Event::Opened);
        Ok(())
    }

    /// The peer's open has arrived: opens this end. A client has sent its open before.
    fn answer_open(&mut self) {
        if self.is_server() {
            self.send_open();
        }
        self.phase = Phase::Opened;
    }

    /// Closes the connection. [`Event::Closed`] comes when the peer has answered or 2 s have
    /// passed; at once where the peer's open has not arrived.
    pub fn close(&mut self, error: Option<Error>, now: Instant) {
        match self.phase {
            Phase::Holding | Phase::Opened => {
                if matches!(self.phase, Phase::Holding) {
                    self.answer_open();
                }
                self.send(0, &Performative::Close(Close { error }));
                self.phase = Phase::Closing;
                self.timers.closing(now);
            }
            Phase::Closing | Phase::Closed => {}
            _ => self.closed(Closed { initiator: Initiator::Local, error }),
        }
    }

    /// Part 2.4.3. The peer closes: answers, and ends the connection.
    pub(super) fn handle_close(&mut self, close: Close) {
        self.send(0, &Performative::Close(Close::default()));
        self.closed(Closed { initiator: Initiator::Remote, error: close.error });
    }

    /// Ends the connection because the peer broke the protocol or a limit. Sends close where AMQP
    /// allows it, behind an open that is owed (part 2.4.3).
    pub(super) fn fail(&mut self, error: Error) {
        match self.phase {
            Phase::Closed => return,
            Phase::Open | Phase::Holding | Phase::Opened => {
                if !self.phase.is_opened() && self.is_server() {
                    self.send_open();
                }
                self.send(0, &Performative::Close(Close { error: Some(error.clone()) }));
            }
            _ => {}
        }
        self.closed(Closed { initiator: Initiator::Local, error: Some(error) });
    }

    /// Ends the connection. Nothing is sent.
    pub(super) fn closed(&mut self, closed: Closed) {
        self.phase = Phase::Closed;
        self.timers.stop();
        self.events.push_back(Event::Closed(closed));
    }

    const fn is_server(&self) -> bool {
        matches!(self.config.layer, Layer::Server { .. })
    }

    /// Sends our open (part 2.7.1). The peer is told half of the idle timeout (part 2.4.5).
    pub(super) fn send_open(&mut self) {
        let config = &self.config;
        let half = u32::try_from((config.idle_timeout / 2).as_millis()).unwrap_or(u32::MAX);
        let open = Open {
            container_id: config.container_id.clone(),
            hostname: config.hostname.clone(),
            max_frame_size: Some(config.max_frame_size),
            channel_max: Some(config.channel_max),
            idle_time_out: (half > 0).then_some(half),
            outgoing_locales: None,
            incoming_locales: None,
            offered_capabilities: (!config.capabilities.0.is_empty())
                .then(|| config.capabilities.clone()),
            desired_capabilities: (!config.capabilities.0.is_empty())
                .then(|| config.capabilities.clone()),
            properties: (!config.properties.0.is_empty()).then(|| config.properties.clone()),
        };
        self.send(0, &Performative::Open(Box::new(open)));
    }
}
