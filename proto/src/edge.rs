//! The messages between an edge router and its interior router: which addresses are reachable, and
//! to which mesh of edge routers one belongs. Their form is that of C routers.
//!
//! An edge router takes no part in the routing protocol. It attaches a link for each address that
//! is consumed or produced for behind it. [`Tracking`] tells it which of the latter have consumers
//! elsewhere. By [`encode_mesh`] it states which mesh it belongs to, so that messages from there
//! are not sent back. The sections here stand behind the router annotations.

use crate::address::{AddressKey, AddressRef, KeyError};
use crate::amqp::decode::DecodeError;
use crate::amqp::encode::{self, Encode};
use crate::amqp::message::{Scan, application_property, scan, section};
use crate::amqp::{Symbol, Value};

/// The source of the link on which an edge router hears which addresses are reachable.
pub const TRACKING_ADDRESS: &str = "_$qd.edge_addr_tracking";

/// The target of the link on which an edge router states its mesh.
pub const MESH_ADDRESS: &str = "_$qd.mesh_discovery";

/// The target of the link on which an edge router bids for the id of the mesh that it forms with
/// another.
pub const BID_ADDRESS: &str = "_$qd.mesh_id_negotiation";

/// The mark of two edge routers: the capability of their connections, and of the links for messages
/// by a router's id.
pub const INTER_EDGE: &str = "qd.router-inter-edge";

/// The mark of the link on which an edge router receives messages for itself, by its id.
pub const DOWNLINK: &str = "qd.router-edge-downlink";

/// The bytes of a mesh id.
pub const MESH_ID_LENGTH: usize = 15;

/// The application property that holds the mesh id.
const MESH_KEY: &str = "meshid";

const LIST: u8 = 0xd0;
const MAP: u8 = 0xd1;

/// Whether an address has consumers beyond the interior router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// The address.
    pub address: AddressKey,
    /// Whether a consumer of another mesh of edge routers consumes it.
    pub reachable: bool,
}

/// The reason why a message between an edge router and its interior router cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgeMessageError {
    /// Its sections do not decode.
    #[error("the message does not decode: {0}")]
    Malformed(#[from] DecodeError),
    /// Its body is not a list of an address and a flag.
    #[error("the body is not a list of an address and a boolean")]
    Body,
    /// Its address is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It has no mesh id of the right length.
    #[error("the message has no mesh id of {MESH_ID_LENGTH} characters")]
    MeshId,
}

impl Tracking {
    /// Returns the message's sections.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40 + self.address.wire_len());
        encode::descriptor(&mut out, section::HEADER);
        encode::compound32(&mut out, LIST, 1, |out| false.encode(out));
        encode::descriptor(&mut out, section::AMQP_VALUE);
        encode::compound32(&mut out, LIST, 2, |out| {
            self.address.to_string().as_str().encode(out);
            self.reachable.encode(out);
        });
        out
    }

    /// Reads the sections of a whole message.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(sections: &[u8]) -> Result<Self, EdgeMessageError> {
        let Scan::Complete(head) = scan(sections, true, true)? else {
            return Err(EdgeMessageError::Body);
        };
        let body = head
            .body
            .filter(|body| body.code == section::AMQP_VALUE)
            .ok_or(EdgeMessageError::Body)?;
        let value = body.of(sections).value()?;
        match value.as_list() {
            Some([address, Value::Bool(reachable)]) => {
                let key = address.as_text().ok_or(EdgeMessageError::Body)?;
                Ok(Self { address: AddressRef::parse(key)?.to_key(), reachable: *reachable })
            }
            _ => Err(EdgeMessageError::Body),
        }
    }
}

/// Returns the sections of the message by which an edge router states its mesh.
pub fn encode_mesh(id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + id.len());
    encode::descriptor(&mut out, section::APPLICATION_PROPERTIES);
    encode::compound32(&mut out, MAP, 2, |out| {
        Symbol::from_static(MESH_KEY).encode(out);
        id.encode(out);
    });
    out
}

/// Returns the mesh id in the sections of a whole message.
///
/// # Errors
/// There is none.
pub fn decode_mesh(sections: &[u8]) -> Result<String, EdgeMessageError> {
    let Scan::Complete(head) = scan(sections, true, false)? else {
        return Err(EdgeMessageError::MeshId);
    };
    let properties = head.application_properties.ok_or(EdgeMessageError::MeshId)?;
    let id = application_property(&properties, sections, MESH_KEY)?;
    match id.as_ref().and_then(Value::as_text) {
        Some(id) if id.len() == MESH_ID_LENGTH => Ok(id.to_owned()),
        _ => Err(EdgeMessageError::MeshId),
    }
}

/// An edge router's bid for the id of its mesh: the lowest ordinal wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    /// About when the router started, in microseconds.
    pub ordinal: i64,
    /// The id it proposes.
    pub id: String,
}

impl Bid {
    /// Returns the message's sections.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        encode::descriptor(&mut out, section::APPLICATION_PROPERTIES);
        encode::compound32(&mut out, MAP, 4, |out| {
            Symbol::from_static("ordinal").encode(out);
            self.ordinal.encode(out);
            Symbol::from_static("id").encode(out);
            self.id.as_str().encode(out);
        });
        out
    }

    /// Reads the sections of a whole message.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(sections: &[u8]) -> Result<Self, EdgeMessageError> {
        let Scan::Complete(head) = scan(sections, true, false)? else {
            return Err(EdgeMessageError::MeshId);
        };
        let properties = head.application_properties.ok_or(EdgeMessageError::MeshId)?;
        let ordinal = application_property(&properties, sections, "ordinal")?;
        let id = application_property(&properties, sections, "id")?;
        match (ordinal.as_ref().and_then(Value::as_i64), id.as_ref().and_then(Value::as_text)) {
            (Some(ordinal), Some(id)) if id.len() == MESH_ID_LENGTH => {
                Ok(Self { ordinal, id: id.to_owned() })
            }
            _ => Err(EdgeMessageError::MeshId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracking_is_what_c_routers_send() {
        let tracking = Tracking { address: AddressKey::mobile("s"), reachable: true };
        let octets = b"\x00Sp\xd0\x00\x00\x00\x05\x00\x00\x00\x01B\
            \x00Sw\xd0\x00\x00\x00\x09\x00\x00\x00\x02\xa1\x02MsA";
        assert_eq!(tracking.encode(), octets);
        assert_eq!(Tracking::decode(octets), Ok(tracking));
    }

    #[test]
    fn mesh_is_what_c_routers_send() {
        let octets =
            b"\x00St\xd1\x00\x00\x00\x1d\x00\x00\x00\x02\xa3\x06meshid\xa1\x0fEQ1lP_g3e6IrQxU";
        assert_eq!(encode_mesh("EQ1lP_g3e6IrQxU"), octets);
        assert_eq!(decode_mesh(octets).as_deref(), Ok("EQ1lP_g3e6IrQxU"));
    }

    #[test]
    fn bid_survives_the_way() {
        let bid = Bid { ordinal: 1_764_000_000_123_456, id: "EQ1lP_g3e6IrQxU".to_owned() };
        assert_eq!(Bid::decode(&bid.encode()), Ok(bid));
        assert_eq!(Bid::decode(&encode_mesh("EQ1lP_g3e6IrQxU")), Err(EdgeMessageError::MeshId));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for octets in [
            &b""[..],
            b"\x00Sw@",
            b"\x00Sw\xc0\x04\x02\xa1\x00A",
            b"\x00Sw\xc0\x05\x02\xa1\x01?A",
            b"\x00St\xc1\x01\x00",
        ] {
            assert!(Tracking::decode(octets).is_err(), "{octets:?}");
            assert!(decode_mesh(octets).is_err(), "{octets:?}");
        }
        assert_eq!(decode_mesh(&encode_mesh("short")), Err(EdgeMessageError::MeshId));
        let mut octets =
            Tracking { address: AddressKey::mobile("service"), reachable: false }.encode();
        while octets.pop().is_some() {
            assert!(Tracking::decode(&octets).is_err());
        }
    }
}
