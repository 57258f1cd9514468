//! HELLO, RA, LSU and LSR (protocol version 1).

use std::sync::Arc;

use super::MAX_PEERS;
use super::fields::{
    ADDRESSES_DIGEST, Fields, LINK_STATE_DIGEST, MAP, MessageError, put_instance, put_int,
    put_list, put_number,
};
use crate::amqp::encode::{self, Encode};

/// The address of HELLO: the router at the other end of a control link.
pub const HELLO_ADDRESS: &str = "amqp:/_local/qdhello";

/// The address of RA: every router.
pub const FLOOD_ADDRESS: &str = "amqp:/_topo/0/all/qdrouter";

/// Returns the address of a router's LSR and LSU.
pub fn router_address(id: &str) -> String {
    format!("amqp:/_topo/0/{id}/qdrouter")
}

/// A message of the topology.
#[derive(Clone, Debug)]
pub(crate) enum TopologyMessage {
    Hello(Hello),
    Ra(Ra),
    Lsu(Lsu),
    Lsr(Lsr),
}

/// HELLO: to the router at the other end of one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The sender.
    pub id: Arc<str>,
    /// Which of the sender's lives speaks.
    pub instance: Option<i64>,
    /// The routers that the sender heard lately.
    pub seen: Vec<Arc<str>>,
}

/// Router advertisement: flooded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ra {
    /// The sender.
    pub id: Arc<str>,
    /// Which of the sender's lives speaks.
    pub instance: Option<i64>,
    /// The sequence of its link state.
    pub ls_seq: u64,
    /// The sequence of its addresses.
    pub mobile_seq: u64,
    /// The digests that go with the sequences; absent from C routers.
    pub digests: Option<Digests>,
}

/// Digests of a router's statements about itself. They stand behind the fields that C routers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Of its link state.
    pub link_state: u64,
    /// Of its addresses.
    pub addresses: u64,
}

/// Link-state update: the answer to an LSR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lsu {
    /// The sender, whose link state it is.
    pub id: Arc<str>,
    /// Which of the sender's lives speaks.
    pub instance: Option<i64>,
    /// The sequence of the link state.
    pub ls_seq: u64,
    /// Its neighbors, each with the cost from the sender to it.
    pub peers: Vec<(Arc<str>, u32)>,
}

/// Link-state request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lsr {
    /// The sender.
    pub id: Arc<str>,
}

impl Hello {
    /// The pairs of its body, beside those of every message.
    pub(crate) const PAIRS: u32 = 2;

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_instance(out, self.instance);
        "seen".encode(out);
        if self.seen.is_empty() {
            encode::list(out, 0, |_| {});
        } else {
            put_list(out, &self.seen, |out, id| id.as_ref().encode(out));
        }
    }

    pub(crate) fn read(id: Arc<str>, fields: &Fields<'_>) -> Result<Self, MessageError> {
        let seen = fields.items("seen", &fields.seen, MAX_PEERS, |item| {
            fields.router_id("seen", item).map(Some)
        });
        Ok(Self { id, instance: fields.instance()?, seen: seen? })
    }
}

impl Ra {
    /// The pairs of its body, beside those of every message.
    pub(crate) const fn pairs(&self) -> u32 {
        if self.digests.is_some() { 5 } else { 3 }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_instance(out, self.instance);
        put_number(out, "ls_seq", self.ls_seq);
        put_number(out, "mobile_seq", self.mobile_seq);
        if let Some(digests) = self.digests {
            LINK_STATE_DIGEST.encode(out);
            digests.link_state.cast_signed().encode(out);
            ADDRESSES_DIGEST.encode(out);
            digests.addresses.cast_signed().encode(out);
        }
    }

    pub(crate) fn read(id: Arc<str>, fields: &Fields<'_>) -> Result<Self, MessageError> {
        Ok(Self {
            id,
            instance: fields.instance()?,
            ls_seq: fields.sequence("ls_seq", &fields.ls_seq)?,
            mobile_seq: fields.sequence("mobile_seq", &fields.mobile_seq)?,
            digests: Digests::read(fields)?,
        })
    }
}

impl Digests {
    fn read(fields: &Fields<'_>) -> Result<Option<Self>, MessageError> {
        let link_state = fields.optional_number(LINK_STATE_DIGEST, &fields.ls_digest)?;
        let addresses = fields.optional_number(ADDRESSES_DIGEST, &fields.mobile_digest)?;
        let both = link_state.zip(addresses);
        Ok(both.map(|(links, addresses)| Self {
            link_state: links.cast_unsigned(),
            addresses: addresses.cast_unsigned(),
        }))
    }
}

impl Lsu {
    /// The pairs of its body, beside those of every message.
    pub(crate) const PAIRS: u32 = 3;

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_instance(out, self.instance);
        put_number(out, "ls_seq", self.ls_seq);
        "ls".encode(out);
        encode::compound32(out, MAP, 8, |out| self.put_link_state(out));
    }

    fn put_link_state(&self, out: &mut Vec<u8>) {
        "id".encode(out);
        self.id.as_ref().encode(out);
        "area".encode(out);
        "0".encode(out);
        put_number(out, "ls_seq", self.ls_seq);
        "peers".encode(out);
        let members = u32::try_from(self.peers.len()).unwrap_or(u32::MAX).saturating_mul(2);
        encode::compound32(out, MAP, members, |out| {
            for (id, cost) in &self.peers {
                id.as_ref().encode(out);
                put_int(out, i64::from(*cost));
            }
        });
    }

    pub(crate) fn read(id: Arc<str>, fields: &Fields<'_>) -> Result<Self, MessageError> {
        let instance = fields.instance()?;
        let mut ls = fields.ls.clone().ok_or_else(|| fields.field("ls"))?;
        let ls = Fields::read(fields.opcode, &mut ls).map_err(|_| fields.field("ls"))?;
        if ls.id()? != id {
            return Err(fields.field("ls"));
        }
        let ls_seq = ls.sequence("ls_seq", &ls.ls_seq)?;
        let mut peers = ls.peers.clone().ok_or_else(|| fields.field("peers"))?;
        let (members, mut pairs) = peers.map().map_err(|_| fields.field("peers"))?;
        fields.within("peers", members / 2, MAX_PEERS)?;
        let peers = (0..members / 2).map(|_| {
            let peer = fields.router_id("peers", &mut pairs)?;
            let cost = pairs.value()?.as_u64().and_then(|cost| u32::try_from(cost).ok());
            Ok((peer, cost.ok_or_else(|| fields.field("peers"))?))
        });
        let peers = peers.collect::<Result<_, MessageError>>()?;
        Ok(Self { id, instance, ls_seq, peers })
    }
}
