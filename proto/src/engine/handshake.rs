//! What comes before open: protocol headers and SASL.

use bytes::Bytes;

use super::config::{Credentials, Layer, Verdict};
use super::connection::{Connection, Phase};
use super::event::Event;
use crate::amqp::decode::Decode;
use crate::amqp::frame::{self, ProtocolHeader};
use crate::amqp::performative::Error;
use crate::amqp::sasl::{self, SaslFrame};
use crate::amqp::{Encode, Multiple, Reader, Symbol, condition};

impl Connection {
    /// Sends what a client says first.
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

    pub(super) fn handle_header(&mut self, octets: [u8; 8]) {
        let Some(header) = ProtocolHeader::parse(octets) else {
            let error = Error::new(
                condition::FRAMING_ERROR,
                if octets.starts_with(b"AMQP") {
                    "protocol version is not AMQP 1.0".to_owned()
                } else if octets[0] == 0x16 && octets[1] == 3 {
                    "a TLS handshake arrived where plain AMQP is spoken".to_owned()
                } else {
                    format!(
                        "no AMQP protocol header: the first octets are {}",
                        octets.escape_ascii()
                    )
                },
            );
            return self.refuse_header(error);
        };
        match (self.phase, header) {
            (Phase::SaslHeader, ProtocolHeader::Sasl) => {
                if let Layer::Server { mechanisms, .. } = &self.config.layer {
                    let mechanisms = Multiple::of(mechanisms);
                    self.send_header(ProtocolHeader::Sasl);
                    self.send_sasl(&SaslFrame::Mechanisms(sasl::Mechanisms { mechanisms }));
                }
                self.phase = Phase::Sasl;
            }
            (Phase::SaslHeader, ProtocolHeader::Amqp) => match self.config.layer {
                Layer::Server { allow_bare: true, .. } => {
                    self.send_header(ProtocolHeader::Amqp);
                    self.phase = Phase::Open;
                }
                Layer::Server { .. } => {
                    self.refuse_header(Error::new(
                        condition::POLICY_ERROR,
                        "Client skipped authentication - forbidden",
                    ));
                }
                Layer::Client { .. } => {
                    self.refuse_header(Error::new(
                        condition::POLICY_ERROR,
                        "the server skipped the SASL exchange",
                    ));
                }
            },
            (Phase::AmqpHeader, ProtocolHeader::Amqp) => {
                if matches!(self.config.layer, Layer::Server { .. }) {
                    self.send_header(ProtocolHeader::Amqp);
                }
                self.phase = Phase::Open;
            }
            (_, header) => {
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
                // Whoever speaks bare AMQP can read why it is not taken.
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

    pub(super) fn handle_sasl(&mut self, body: &Bytes) {
        let frame = match SaslFrame::decode(&mut Reader::new(body)) {
            Ok(frame) => frame,
            Err(error) => {
                return self
                    .fail(Error::new(condition::DECODE_ERROR, format!("SASL frame: {error}")));
            }
        };
        match (&self.config.layer, frame) {
            (Layer::Client { mechanisms, identity, credentials }, SaslFrame::Mechanisms(offer))
                if self.mechanism.is_none() =>
            {
                let usable = |name: &&&str| {
                    offer.mechanisms.contains(name)
                        && (**name != sasl::PLAIN || credentials.is_some())
                };
                let Some(mechanism) = mechanisms.iter().find(usable) else {
                    let names: Vec<_> = offer.mechanisms.0.iter().map(Symbol::as_str).collect();
                    let text =
                        format!("the peer offers only the SASL mechanisms [{}]", names.join(" "));
                    return self.fail(Error::new(condition::UNAUTHORIZED_ACCESS, text));
                };
                self.mechanism = Some(mechanism);
                let initial_response = match (*mechanism, credentials) {
                    (sasl::ANONYMOUS, _) => identity.clone(),
                    (sasl::PLAIN, Some(credentials)) => credentials.plain(),
                    _ => String::new(),
                };
                let init = sasl::Init {
                    mechanism: Symbol::from_static(mechanism),
                    initial_response: Some(Bytes::from(initial_response)),
                    hostname: self.config.hostname.clone(),
                };
                self.send_sasl(&SaslFrame::Init(init));
            }
            (Layer::Client { .. }, SaslFrame::Outcome(outcome)) if self.mechanism.is_some() => {
                if outcome.code != sasl::outcome::OK {
                    let mechanism = self.mechanism.unwrap_or_default();
                    let text = format!(
                        "Authentication failed [mech={mechanism}]: the peer refused us with code {}",
                        outcome.code
                    );
                    return self.fail(Error::new(condition::UNAUTHORIZED_ACCESS, text));
                }
                self.authenticated();
                self.phase = Phase::AmqpHeader;
                self.send_header(ProtocolHeader::Amqp);
                self.send_open();
            }
            (Layer::Server { mechanisms, .. }, SaslFrame::Init(init))
                if self.mechanism.is_none() =>
            {
                let chosen =
                    mechanisms.iter().find(|name| init.mechanism.as_str() == **name).copied();
                self.mechanism = chosen;
                if chosen != Some(sasl::PLAIN) {
                    let verdict = if chosen.is_some() { Verdict::Right } else { Verdict::Wrong };
                    return self.conclude(verdict, init.mechanism.as_str());
                }
                match init.initial_response.as_deref().and_then(Credentials::parse) {
                    Some(credentials) => {
                        self.verifying = true;
                        self.events.push_back(Event::Credentials(credentials));
                    }
                    None => self.conclude(Verdict::Wrong, sasl::PLAIN),
                }
            }
            _ => self.fail(Error::new(condition::NOT_ALLOWED, "SASL frame out of order")),
        }
    }

    /// Says what came of the credentials of [`Event::Credentials`]. Thereafter
    /// [`Connection::handle_input`] takes what has come behind them.
    pub fn authenticate(&mut self, verdict: Verdict) {
        if core::mem::take(&mut self.verifying) && self.phase == Phase::Sasl {
            self.conclude(verdict, sasl::PLAIN);
        }
    }

    /// As server: ends SASL, well or badly.
    fn conclude(&mut self, verdict: Verdict, mechanism: &str) {
        let code = match verdict {
            Verdict::Right => sasl::outcome::OK,
            Verdict::Wrong => sasl::outcome::AUTH,
            Verdict::Unknown => sasl::outcome::SYS_TEMP,
        };
        self.send_sasl(&SaslFrame::Outcome(sasl::Outcome { code, additional_data: None }));
        if verdict == Verdict::Right {
            self.authenticated();
            self.phase = Phase::AmqpHeader;
        } else {
            let text = format!("Authentication failed [mech={}]", mechanism.escape_default());
            self.fail(Error::new(condition::UNAUTHORIZED_ACCESS, text));
        }
    }

    fn authenticated(&mut self) {
        if let Some(mechanism) = self.mechanism {
            self.events.push_back(Event::Authenticated { mechanism });
        }
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
