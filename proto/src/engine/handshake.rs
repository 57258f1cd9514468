//! The exchanges before open: protocol headers (part 2.2) and SASL (part 5.3).
//!
//! ```text
//!            client                                server
//!      SASL header  -------------------------->  SASL header, mechanisms
//!             init  <--------------------------
//!                   -------------------------->  outcome
//!     AMQP header,  <--------------------------
//!             open  -------------------------->  AMQP header, open
//!                   <--------------------------
//! ```
//!
//! `phase` draws the states of both ends.

use bytes::Bytes;

use super::config::{Credentials, Layer, Verdict};
use super::connection::Connection;
use super::event::Event;
use super::phase::{Phase, SaslPhase};
use crate::amqp::decode::Decode;
use crate::amqp::frame::{self, ProtocolHeader};
use crate::amqp::performative::Error;
use crate::amqp::sasl::{self, SaslFrame};
use crate::amqp::{Encode, Multiple, Reader, Symbol, condition};

impl Connection {
    /// Sends a client's first bytes: without SASL its open follows the header at once (part 2.4.2).
    pub(super) fn start(&mut self) {
        if let Layer::Client { mechanisms, .. } = &self.config.layer {
            if mechanisms.is_empty() {
                self.phase = Phase::AmqpHeader;
                self.send_header(ProtocolHeader::Amqp);
                self.send_open();
            } else {
                self.phase = Phase::SaslHeader;
                self.send_header(ProtocolHeader::Sasl);
            }
        }
    }

    /// Part 2.2, and part 5.3.1 for SASL. The peer says which protocol it speaks.
    pub(super) fn handle_header(&mut self, octets: [u8; 8]) {
        let Some(header) = ProtocolHeader::parse(octets) else {
            return self.refuse_header(Error::new(condition::FRAMING_ERROR, foreign(octets)));
        };
        let policy = |text: &str| Error::new(condition::POLICY_ERROR, text);
        match (self.phase, header, &self.config.layer) {
            (Phase::SaslHeader, ProtocolHeader::Sasl, Layer::Client { .. }) => {
                self.phase = Phase::Sasl(SaslPhase::Negotiating);
            }
            (Phase::SaslHeader, ProtocolHeader::Sasl, Layer::Server { mechanisms, .. }) => {
                let mechanisms = Multiple::of(mechanisms);
                self.send_header(ProtocolHeader::Sasl);
                self.send_sasl(&SaslFrame::Mechanisms(sasl::Mechanisms { mechanisms }));
                self.phase = Phase::Sasl(SaslPhase::Negotiating);
            }
            (Phase::SaslHeader, ProtocolHeader::Amqp, Layer::Server { allow_bare: true, .. })
            | (Phase::AmqpHeader, ProtocolHeader::Amqp, Layer::Server { .. }) => {
                self.send_header(ProtocolHeader::Amqp);
                self.phase = Phase::Open;
            }
            (Phase::AmqpHeader, ProtocolHeader::Amqp, Layer::Client { .. }) => {
                self.phase = Phase::Open;
            }
            (Phase::SaslHeader, ProtocolHeader::Amqp, Layer::Server { .. }) => {
                self.refuse_header(policy("Client skipped authentication - forbidden"));
            }
            (Phase::SaslHeader, ProtocolHeader::Amqp, Layer::Client { .. }) => {
                self.refuse_header(policy("the server skipped the SASL exchange"));
            }
            (_, header, _) => {
                self.refuse_header(Error::new(
                    condition::FRAMING_ERROR,
                    format!("protocol header {header:?} arrived out of order"),
                ));
            }
        }
    }

    /// Answers a header that cannot be taken with the one that can (part 2.2), and with the reason
    /// where a reason has a place.
    fn refuse_header(&mut self, error: Error) {
        if matches!(self.config.layer, Layer::Server { .. }) {
            match self.phase {
                // A peer that speaks bare AMQP can read why it is refused.
                Phase::SaslHeader if error.condition.as_str() == condition::POLICY_ERROR => {
                    self.send_header(ProtocolHeader::Amqp);
                    self.phase = Phase::Open;
                }
                Phase::SaslHeader => self.send_header(ProtocolHeader::Sasl),
                Phase::AmqpHeader => self.send_header(ProtocolHeader::Amqp),
                _ => {}
            }
        }
        self.fail(error);
    }

    /// Part 5.3.2. Takes a SASL frame.
    pub(super) fn handle_sasl(&mut self, body: &Bytes) {
        let frame = match SaslFrame::decode(&mut Reader::new(body)) {
            Ok(frame) => frame,
            Err(error) => {
                let text = format!("SASL frame: {error}");
                return self.fail(Error::new(condition::DECODE_ERROR, text));
            }
        };
        let Phase::Sasl(phase) = self.phase else { return };
        match (&self.config.layer, phase, frame) {
            (Layer::Client { .. }, SaslPhase::Negotiating, SaslFrame::Mechanisms(offer)) => {
                self.handle_mechanisms(&offer);
            }
            (
                Layer::Client { .. },
                SaslPhase::Initiated(mechanism),
                SaslFrame::Outcome(outcome),
            ) => {
                self.handle_outcome(mechanism, &outcome);
            }
            (Layer::Server { .. }, SaslPhase::Negotiating, SaslFrame::Init(init)) => {
                self.handle_init(&init);
            }
            _ => self.fail(Error::new(condition::NOT_ALLOWED, "SASL frame out of order")),
        }
    }

    /// Part 5.3.3.1. As client: chooses the first of our mechanisms that the server offers.
    fn handle_mechanisms(&mut self, offer: &sasl::Mechanisms) {
        let Layer::Client { mechanisms, identity, credentials } = &self.config.layer else {
            return;
        };
        let usable = |name: &&&'static str| {
            offer.mechanisms.contains(name) && (**name != sasl::PLAIN || credentials.is_some())
        };
        let Some(mechanism) = mechanisms.iter().find(usable).copied() else {
            let names: Vec<_> = offer.mechanisms.0.iter().map(Symbol::as_str).collect();
            let text = format!("the peer offers only the SASL mechanisms [{}]", names.join(" "));
            return self.fail(Error::new(condition::UNAUTHORIZED_ACCESS, text));
        };
        let initial_response = match (mechanism, credentials) {
            (sasl::ANONYMOUS, _) => identity.clone(),
            (sasl::PLAIN, Some(credentials)) => credentials.plain(),
            _ => String::new(),
        };
        let init = sasl::Init {
            mechanism: Symbol::from_static(mechanism),
            initial_response: Some(Bytes::from(initial_response)),
            hostname: self.config.hostname.clone(),
        };
        self.phase = Phase::Sasl(SaslPhase::Initiated(mechanism));
        self.send_sasl(&SaslFrame::Init(init));
    }

    /// Part 5.3.3.5. As client: goes on to open, if the server took us.
    fn handle_outcome(&mut self, mechanism: &'static str, outcome: &sasl::Outcome) {
        if outcome.code != sasl::code::OK {
            let text = format!(
                "Authentication failed [mech={mechanism}]: the peer refused us with code {}",
                outcome.code
            );
            return self.fail(Error::new(condition::UNAUTHORIZED_ACCESS, text));
        }
        self.events.push_back(Event::Authenticated { mechanism });
        self.phase = Phase::AmqpHeader;
        self.send_header(ProtocolHeader::Amqp);
        self.send_open();
    }

    /// Part 5.3.3.2. As server: takes the client's choice.
    fn handle_init(&mut self, init: &sasl::Init) {
        let Layer::Server { mechanisms, .. } = &self.config.layer else { return };
        match mechanisms.iter().find(|name| init.mechanism.as_str() == **name).copied() {
            None => self.deny(Verdict::Wrong, init.mechanism.as_str()),
            Some(sasl::PLAIN) => {
                match init.initial_response.as_deref().and_then(Credentials::parse) {
                    Some(credentials) => {
                        self.phase = Phase::Sasl(SaslPhase::Verifying);
                        self.events.push_back(Event::Credentials(credentials));
                    }
                    None => self.deny(Verdict::Wrong, sasl::PLAIN),
                }
            }
            Some(mechanism) => self.grant(mechanism),
        }
    }

    /// As server: answers [`Event::Credentials`]. Call [`Connection::handle_input`] afterwards: it
    /// takes the bytes behind the credentials.
    pub fn authenticate(&mut self, verdict: Verdict) {
        if matches!(self.phase, Phase::Sasl(SaslPhase::Verifying)) {
            match verdict {
                Verdict::Right => self.grant(sasl::PLAIN),
                Verdict::Wrong | Verdict::Unknown => self.deny(verdict, sasl::PLAIN),
            }
        }
    }

    /// As server: ends SASL well (part 5.3.3.5).
    fn grant(&mut self, mechanism: &'static str) {
        self.send_outcome(sasl::code::OK);
        self.events.push_back(Event::Authenticated { mechanism });
        self.phase = Phase::AmqpHeader;
    }

    /// As server: ends SASL badly, and the connection with it (part 5.3.3.5).
    fn deny(&mut self, verdict: Verdict, mechanism: &str) {
        self.send_outcome(match verdict {
            Verdict::Unknown => sasl::code::SYS_TEMP,
            Verdict::Right | Verdict::Wrong => sasl::code::AUTH,
        });
        let text = format!("Authentication failed [mech={}]", mechanism.escape_default());
        self.fail(Error::new(condition::UNAUTHORIZED_ACCESS, text));
    }

    fn send_outcome(&mut self, code: u8) {
        self.send_sasl(&SaslFrame::Outcome(sasl::Outcome { code, additional_data: None }));
    }

    fn send_header(&mut self, header: ProtocolHeader) {
        self.output.buffer().extend_from_slice(&header.octets());
    }

    fn send_sasl(&mut self, body: &SaslFrame) {
        let out = self.output.buffer();
        let start = frame::begin(out, frame::TYPE_SASL, 0);
        body.encode(out);
        frame::end(out, start, 0);
    }
}

/// Describes bytes that are no header of an AMQP protocol.
fn foreign(octets: [u8; 8]) -> String {
    match octets {
        [b'A', b'M', b'Q', b'P', ..] => "protocol version is not AMQP 1.0".to_owned(),
        [0x16, 3, ..] => "a TLS handshake arrived where plain AMQP is spoken".to_owned(),
        _ => format!("no AMQP protocol header: the first octets are {}", octets.escape_ascii()),
    }
}
