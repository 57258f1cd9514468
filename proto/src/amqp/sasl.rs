//! SASL frames (part 5.3).

use bytes::Bytes;

use super::composite::composite;
use super::decode::{Decode, DecodeError, Reader, field};
use super::encode::{self, Encode};
use super::types::{Multiple, Symbol};

/// Both sides are known from outside, by TLS certificates (RFC 4422 appendix A).
pub const EXTERNAL: &str = "EXTERNAL";

/// Neither side states an identity (RFC 4505).
pub const ANONYMOUS: &str = "ANONYMOUS";

/// A user name and a password, in clear (RFC 4616).
pub const PLAIN: &str = "PLAIN";

composite! {
    /// The server's mechanisms (part 5.3.3.1).
    Mechanisms = 0x40 {
        /// Names of the mechanisms.
        mechanisms: Multiple<Symbol>, !;
    }
    /// The client's choice (part 5.3.3.2).
    Init = 0x41 {
        /// The chosen mechanism.
        mechanism: Symbol, !;
        /// The mechanism's first message.
        initial_response: Bytes;
        /// The host the client meant to reach.
        hostname: String;
    }
    /// A question of the server (part 5.3.3.3).
    Challenge = 0x42 {
        /// Bytes of the mechanism.
        challenge: Bytes, !;
    }
    /// The client's answer (part 5.3.3.4).
    Response = 0x43 {
        /// Bytes of the mechanism.
        response: Bytes, !;
    }
    /// The end of the exchange (part 5.3.3.5).
    Outcome = 0x44 {
        /// One of [`code`].
        code: u8, !;
        /// More bytes of the mechanism.
        additional_data: Bytes;
    }
}

/// Values of the outcome's code (part 5.3.3.6).
pub mod code {
    /// Authenticated.
    pub const OK: u8 = 0;
    /// Not authenticated: the credentials are wrong.
    pub const AUTH: u8 = 1;
    /// Not authenticated for now: the server cannot tell, and may later.
    pub const SYS_TEMP: u8 = 4;
}

/// A SASL frame's body.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SaslFrame {
    Mechanisms(Mechanisms),
    Init(Init),
    Challenge(Challenge),
    Response(Response),
    Outcome(Outcome),
}

impl Decode for SaslFrame {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.descriptor()? {
            0x40 => Self::Mechanisms(Mechanisms::decode_fields(reader)?),
            0x41 => Self::Init(Init::decode_fields(reader)?),
            0x42 => Self::Challenge(Challenge::decode_fields(reader)?),
            0x43 => Self::Response(Response::decode_fields(reader)?),
            0x44 => Self::Outcome(Outcome::decode_fields(reader)?),
            other => return Err(DecodeError::Descriptor(other)),
        })
    }
}

impl Encode for SaslFrame {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Mechanisms(frame) => frame.encode(out),
            Self::Init(frame) => frame.encode(out),
            Self::Challenge(frame) => frame.encode(out),
            Self::Response(frame) => frame.encode(out),
            Self::Outcome(frame) => frame.encode(out),
        }
    }
}
