//! All routing messages, and their common form: HELLO, RA, LSU and LSR (protocol version 1), MAU
//! and MAR (version 2).

use std::borrow::Cow;
use std::sync::Arc;

use crate::amqp::DecodeError;
use crate::amqp::encode::{Encode, Null};
use crate::amqp::message::{Scan, application_property, scan, section};
use crate::annotations::{Flags, OutgoingAnnotations};
use crate::mobile::message::{Mar, Mau};
use crate::topology::LinkId;
use crate::topology::fields::{Fields, LIST, MAP, MessageError, put_key, put_section};
use crate::topology::message::{Hello, Lsr, Lsu, Ra, TopologyMessage};

const VERSION: i32 = 1;
const MOBILE_VERSION: i64 = 2;

/// A routing message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The sender lives, and hears these routers.
    Hello(Hello),
    /// The sender's sequences.
    Ra(Ra),
    /// The sender's neighbors.
    Lsu(Lsu),
    /// Asks for the receiver's link state.
    Lsr(Lsr),
    /// The sender's addresses, or a change of them.
    Mau(Mau),
    /// Asks for the receiver's addresses.
    Mar(Mar),
    /// A message of a newer protocol version, to be ignored.
    Newer {
        /// Its sender.
        id: Arc<str>,
        /// Its version.
        version: i64,
    },
}

impl From<TopologyMessage> for Message {
    fn from(message: TopologyMessage) -> Self {
        match message {
            TopologyMessage::Hello(hello) => Self::Hello(hello),
            TopologyMessage::Ra(ra) => Self::Ra(ra),
            TopologyMessage::Lsu(lsu) => Self::Lsu(lsu),
            TopologyMessage::Lsr(lsr) => Self::Lsr(lsr),
        }
    }
}

/// A message and its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The control links on which a copy is sent, pre-settled, each as one complete delivery.
    pub links: Vec<LinkId>,
    /// The address in its `to`.
    pub to: Cow<'static, str>,
    /// The message.
    pub message: Message,
}

impl Envelope {
    /// Returns the bytes of the delivery, sent by the router whose
    /// [`node_text`](crate::annotations::node_text) is `own`.
    pub fn encode(&self, own: &str) -> Vec<u8> {
        self.message.encode(&self.to, own)
    }
}

impl Message {
    /// Returns the name in `opcode`.
    pub const fn opcode(&self) -> &'static str {
        match self {
            Self::Hello(_) => "HELLO",
            Self::Ra(_) => "RA",
            Self::Lsu(_) => "LSU",
            Self::Lsr(_) => "LSR",
            Self::Mau(_) => "MAU",
            Self::Mar(_) => "MAR",
            Self::Newer { .. } => "newer",
        }
    }

    /// Returns the sender.
    pub const fn id(&self) -> &Arc<str> {
        match self {
            Self::Hello(Hello { id, .. })
            | Self::Ra(Ra { id, .. })
            | Self::Lsu(Lsu { id, .. })
            | Self::Lsr(Lsr { id, .. })
            | Self::Mau(Mau { id, .. })
            | Self::Mar(Mar { id, .. })
            | Self::Newer { id, .. } => id,
        }
    }

    const fn is_mobile(&self) -> bool {
        matches!(self, Self::Mau(_) | Self::Mar(_))
    }

    /// Returns the message's bytes with all sections, from the router whose node text is `own`, to
    /// the address `to`.
    pub fn encode(&self, to: &str, own: &str) -> Vec<u8> {
        let mobile = self.is_mobile();
        let mut out = Vec::with_capacity(256);
        OutgoingAnnotations::originated(Flags::default(), own).encode(&mut out);
        put_section(&mut out, section::HEADER, LIST, 1, |out| false.encode(out));
        put_section(&mut out, section::PROPERTIES, LIST, if mobile { 3 } else { 6 }, |out| {
            Null.encode(out);
            Null.encode(out);
            to.encode(out);
            for _ in 0..if mobile { 0 } else { 3 } {
                Null.encode(out);
            }
        });
        put_section(&mut out, section::APPLICATION_PROPERTIES, MAP, 2, |out| {
            put_key(out, mobile, "opcode");
            self.opcode().encode(out);
        });
        self.encode_body(&mut out);
        out
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        let mobile = self.is_mobile();
        let pairs = 3 + match self {
            Self::Hello(_) => Hello::PAIRS,
            Self::Ra(ra) => ra.pairs(),
            Self::Lsu(_) => Lsu::PAIRS,
            Self::Mau(mau) => mau.pairs(),
            Self::Mar(_) => Mar::PAIRS,
            Self::Lsr(_) | Self::Newer { .. } => 0,
        };
        put_section(out, section::AMQP_VALUE, MAP, pairs * 2, |out| {
            put_key(out, mobile, "id");
            self.id().as_ref().encode(out);
            put_key(out, mobile, "pv");
            match self {
                Self::Newer { version, .. } => version.encode(out),
                _ if mobile => MOBILE_VERSION.encode(out),
                _ => VERSION.encode(out),
            }
            put_key(out, mobile, "area");
            "0".encode(out);
            match self {
                Self::Hello(hello) => hello.put(out),
                Self::Ra(ra) => ra.put(out),
                Self::Lsu(lsu) => lsu.put(out),
                Self::Mau(mau) => mau.put(out),
                Self::Mar(mar) => mar.put(out),
                Self::Lsr(_) | Self::Newer { .. } => {}
            }
        });
    }

    /// Reads a message from its bytes behind the router annotations.
    ///
    /// # Errors
    /// [`MessageError`] when it is not a routing message, or one that must be dropped.
    pub fn decode(octets: &[u8]) -> Result<Self, MessageError> {
        let Scan::Complete(head) = scan(octets, true, true)? else {
            return Err(DecodeError::Truncated.into());
        };
        let properties = head.application_properties.ok_or(MessageError::Opcode)?;
        let opcode = application_property(&properties, octets, "opcode")?;
        let opcode =
            opcode.as_ref().and_then(|value| value.as_text()).ok_or(MessageError::Opcode)?;
        let body = head
            .body
            .filter(|body| body.code == section::AMQP_VALUE)
            .ok_or(MessageError::Opcode)?;
        let (opcode, supported) = match opcode {
            "HELLO" => ("HELLO", i64::from(VERSION)),
            "RA" => ("RA", i64::from(VERSION)),
            "LSU" => ("LSU", i64::from(VERSION)),
            "LSR" => ("LSR", i64::from(VERSION)),
            "MAU" => ("MAU", MOBILE_VERSION),
            "MAR" => ("MAR", MOBILE_VERSION),
            _ => return Err(MessageError::Opcode),
        };
        let fields = Fields::read(opcode, &mut body.of(octets))?;
        let id = fields.id()?;
        let version = fields.optional_number("pv", &fields.pv)?.unwrap_or(0);
        if version > supported {
            return Ok(Self::Newer { id, version });
        }
        Ok(match opcode {
            "HELLO" => Self::Hello(Hello::read(id, &fields)?),
            "RA" => Self::Ra(Ra::read(id, &fields)?),
            "LSU" => Self::Lsu(Lsu::read(id, &fields)?),
            "LSR" => Self::Lsr(Lsr { id }),
            "MAU" => Self::Mau(Mau::read(id, &fields)?),
            _ => Self::Mar(Mar::read(id, &fields)?),
        })
    }
}
