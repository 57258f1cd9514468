//! Inputs: bytes become frames (part 2.3), and frames go to their handlers; deadlines.

use bytes::{Buf, Bytes, BytesMut};

use super::STEPS;
use super::connection::Connection;
use super::event::{Closed, Initiator};
use super::key::SessionKey;
use super::phase::{Phase, SaslPhase};
use super::timers::Expired;
use crate::amqp::frame::{self, FrameHeader};
use crate::amqp::performative::{Error, Performative};
use crate::amqp::{Reader, condition};
use crate::time::Instant;

impl Connection {
    /// Acts on timers that have run out (part 2.4.5). If one ran out long ago, the process did not
    /// run: what the peer said meanwhile may come yet.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.timers.expired(self.phase, self.config.idle_timeout, now) {
            None => {}
            Some(Expired::Deadline) => match self.phase {
                Phase::Closing => self.closed(Closed { initiator: Initiator::Local, error: None }),
                _ => self.fail(Error::new(
                    condition::NOT_ALLOWED,
                    "Timeout waiting for initial handshake",
                )),
            },
            Some(Expired::Silence) => self
                .fail(Error::new(condition::RESOURCE_LIMIT_EXCEEDED, "local-idle-timeout expired")),
            Some(Expired::Heartbeat) => {
                let out = self.output.buffer();
                let start = frame::begin(out, frame::TYPE_AMQP, 0);
                frame::end(out, start, 0);
                self.timers.sent(now);
            }
        }
    }

    /// Takes bytes from the transport. One call takes [`STEPS`] steps at most.
    ///
    /// Returns whether there is more to do at once: poll the events, then call it again, with or
    /// without more bytes. Otherwise the rest of `input` is the start of a frame that has not
    /// arrived whole, or stands behind credentials or an open that the owner looks at.
    #[must_use = "there may be more to do at once"]
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Instant) -> bool {
        if !input.is_empty() {
            self.timers.received(now);
        }
        self.steps = STEPS;
        if self.pending.is_some() && self.phase.is_opened() {
            self.resume_disposition();
        }
        while self.steps > 0 {
            if !self.take_frame(input) {
                return false;
            }
            self.steps = self.steps.saturating_sub(1);
        }
        true
    }

    /// Takes one frame or protocol header. Returns whether there may be another.
    #[inline(always)] // It runs once for each frame, and has one caller.
    fn take_frame(&mut self, input: &mut BytesMut) -> bool {
        match self.phase {
            Phase::Closed => {
                input.clear();
                self.pending = None;
                false
            }
            Phase::Sasl(SaslPhase::Verifying) | Phase::Holding => false,
            Phase::SaslHeader | Phase::AmqpHeader => {
                let Some(header) = input.first_chunk::<8>().copied() else { return false };
                input.advance(8);
                self.handle_header(header);
                true
            }
            Phase::Sasl(_) | Phase::Open | Phase::Opened | Phase::Closing => {
                let sasl = matches!(self.phase, Phase::Sasl(_));
                let wanted = if sasl { frame::TYPE_SASL } else { frame::TYPE_AMQP };
                let Some((channel, body)) = self.cut_frame(input, wanted) else { return false };
                if sasl {
                    self.handle_sasl(&body);
                } else if !body.is_empty() {
                    self.handle_frame(channel, &body);
                }
                true
            }
        }
    }

    /// Cuts a frame of a type from the input (part 2.3.1). Returns its channel and body; `None` if
    /// it has not arrived whole, or if it ends the connection.
    #[inline(always)] // It runs once for each frame, and has one caller.
    fn cut_frame(&mut self, input: &mut BytesMut, wanted: u8) -> Option<(u16, Bytes)> {
        let header = FrameHeader::parse(input)?;
        let offset = match header.body_offset() {
            Ok(offset) if header.size <= self.config.max_frame_size => offset,
            _ => {
                let text = format!(
                    "frame of {} octets (limit {}) with data offset {}",
                    header.size, self.config.max_frame_size, header.data_offset
                );
                self.fail(Error::new(condition::FRAMING_ERROR, text));
                return None;
            }
        };
        let size = header.size as usize;
        if input.len() < size {
            return None;
        }
        let body = input.split_to(size).freeze().slice(offset..);
        if header.kind != wanted {
            let text = format!("frame of type {} out of order", header.kind);
            self.fail(Error::new(condition::FRAMING_ERROR, text));
            return None;
        }
        Some((header.channel, body))
    }

    fn handle_frame(&mut self, channel: u16, body: &Bytes) {
        let mut reader = Reader::new(body);
        let performative = match Performative::decode(&mut reader) {
            Ok(performative) => performative,
            Err(error) => return self.fail(Error::new(condition::DECODE_ERROR, error.to_string())),
        };
        if matches!(self.phase, Phase::Closing) {
            // Part 2.4.6: between close and close everything else is discarded.
            if matches!(performative, Performative::Close(_)) {
                self.closed(Closed { initiator: Initiator::Local, error: None });
            }
            return;
        }
        let result = match performative {
            Performative::Open(open) if matches!(self.phase, Phase::Open) => self.handle_open(open),
            _ if !self.phase.is_opened() => {
                Err(not_allowed(format!("{} before open", performative.name())))
            }
            Performative::Open(_) => Err(not_allowed("a second open".to_owned())),
            Performative::Begin(begin) => self.handle_begin(channel, &begin),
            Performative::Close(close) => {
                self.handle_close(close);
                Ok(())
            }
            performative => match self.channels.get(&channel).copied() {
                None => Err(not_allowed(format!(
                    "{} on channel {channel}, where no session has begun",
                    performative.name()
                ))),
                Some(session) => {
                    let payload = reader.rest().len();
                    self.handle_on_session(session, channel, performative, body, payload)
                }
            },
        };
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Gives a frame of a session to its handler. The last `payload` bytes of the body stand behind
    /// the performative.
    #[inline(always)] // A call would copy the performative once for each frame.
    fn handle_on_session(
        &mut self,
        session: SessionKey,
        channel: u16,
        performative: Performative,
        body: &Bytes,
        payload: usize,
    ) -> Result<(), Error> {
        let ended = self.session(session).is_none_or(|session| session.is_ended());
        match performative {
            Performative::End(end) => {
                self.handle_end(session, channel, end);
                Ok(())
            }
            // Part 2.5.5, DISCARDING: the peer sent it before it saw our end.
            _ if ended => Ok(()),
            Performative::Transfer(transfer) => {
                let payload = body.slice(body.len() - payload..);
                self.handle_transfer(session, &transfer, payload)
            }
            Performative::Attach(attach) => self.handle_attach(session, attach),
            Performative::Flow(flow) => self.handle_flow(session, &flow),
            Performative::Disposition(disposition) => {
                self.handle_disposition(session, &disposition)
            }
            Performative::Detach(detach) => self.handle_detach(session, detach),
            // These are of the connection.
            Performative::Open(_) | Performative::Begin(_) | Performative::Close(_) => Ok(()),
        }
    }
}

/// Makes the error of a frame that the state of the connection does not allow (part 2.8.15).
pub(super) fn not_allowed(text: String) -> Error {
    Error::new(condition::NOT_ALLOWED, text)
}
