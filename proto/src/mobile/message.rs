//! MAU and MAR (protocol version 2).

use std::sync::Arc;

use crate::address::{AddressKey, AddressRef, Treatment};
use crate::amqp::encode::{self, Encode, Null};
use crate::amqp::{Reader, Value};
use crate::topology::MAX_ID_LENGTH;
use crate::topology::fields::{Fields, LIST, MessageError, put_key, put_list, signed};

/// The address of a differential MAU: every router.
pub const MOBILE_FLOOD_ADDRESS: &str = "_topo/0/all/qdrouter.ma";

/// Returns the address of a router's MAR and absolute MAU.
pub fn mobile_address(id: &str) -> String {
    format!("amqp:/_topo/0/{id}/qdrouter.ma")
}

/// The most addresses that are kept of one router, taken in one message, and announced: ten times
/// the services of the largest sites in sight.
pub const MAX_ADDRESSES: usize = 65_536;

/// Mobile-address update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mau {
    /// The sender, which serves the addresses.
    pub id: Arc<str>,
    /// The sequence that its addresses have with this update.
    pub mobile_seq: u64,
    /// The addresses.
    pub content: MauContent,
}

/// The two forms of a MAU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MauContent {
    /// The changes since the sequence before; flooded.
    Change {
        /// New addresses, or new attributes of addresses.
        add: Vec<AddressEntry>,
        /// Addresses that are served no more.
        del: Vec<AddressKey>,
    },
    /// All addresses; the answer to a MAR.
    Whole(Vec<AddressEntry>),
}

/// A router's statement about an address that it serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Its treatment; `None` without a hint, or with one that is not defined.
    pub treatment: Option<Treatment>,
    /// How many senders are attached to it there.
    pub in_links: u32,
    /// The mesh of edge routers to which all its consumers there belong, if they do.
    pub sole_mesh: Option<Arc<str>>,
    /// All its consumers there take a client's bytes before they have answered.
    pub early: bool,
}

impl Attributes {
    /// Makes the attributes of an address with nothing but a treatment.
    pub const fn new(treatment: Treatment) -> Self {
        Self { treatment: Some(treatment), in_links: 0, sole_mesh: None, early: false }
    }
}

/// One address in a MAU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressEntry {
    /// The address.
    pub key: AddressKey,
    /// Its router's statement about it.
    pub attributes: Attributes,
}

/// Mobile-address request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mar {
    /// The sender.
    pub id: Arc<str>,
    /// The sequence that the sender has of the receiver's addresses.
    pub have_seq: u64,
}

impl AddressEntry {
    pub(super) fn new(key: &AddressKey, attributes: &Attributes) -> Self {
        Self { key: key.clone(), attributes: attributes.clone() }
    }
}

impl Mau {
    /// The pairs of its body, beside those of every message.
    pub(crate) const fn pairs(&self) -> u32 {
        match self.content {
            MauContent::Change { .. } => 3,
            MauContent::Whole(_) => 2,
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_key(out, true, "mobile_seq");
        signed(self.mobile_seq).encode(out);
        match &self.content {
            MauContent::Change { add, del } => {
                put_key(out, true, "add");
                put_list(out, add, |out, entry| entry.encode(out));
                put_key(out, true, "del");
                put_list(out, del, |out, key| {
                    encode::compound32(out, LIST, 1, |out| key.to_string().encode(out))
                });
            }
            MauContent::Whole(entries) => {
                put_key(out, true, "exist");
                put_list(out, entries, |out, entry| entry.encode(out));
            }
        }
    }

    pub(crate) fn read(id: Arc<str>, fields: &Fields<'_>) -> Result<Self, MessageError> {
        let mobile_seq = fields.sequence("mobile_seq", &fields.mobile_seq)?;
        let content = match (&fields.exist, &fields.add, &fields.del) {
            (Some(_), None, None) => MauContent::Whole(fields.items(
                "exist",
                &fields.exist,
                MAX_ADDRESSES,
                read_entry,
            )?),
            (None, Some(_), Some(_)) => MauContent::Change {
                add: fields.items("add", &fields.add, MAX_ADDRESSES, read_entry)?,
                del: fields.items("del", &fields.del, MAX_ADDRESSES, |items| {
                    read_entry(items).map(|entry| entry.map(|entry| entry.key))
                })?,
            },
            (Some(_), ..) => return Err(fields.field("exist")),
            (None, None, _) => return Err(fields.field("add")),
            (None, _, None) => return Err(fields.field("del")),
        };
        Ok(Self { id, mobile_seq, content })
    }
}

impl Mar {
    /// The pairs of its body, beside those of every message.
    pub(crate) const PAIRS: u32 = 1;

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_key(out, true, "have_seq");
        signed(self.have_seq).encode(out);
    }

    pub(crate) fn read(id: Arc<str>, fields: &Fields<'_>) -> Result<Self, MessageError> {
        Ok(Self { id, have_seq: fields.sequence("have_seq", &fields.have_seq)? })
    }
}

/// By position: key, treatment, senders, null, mesh; from our routers also whether it takes streams
/// early. C routers leave items that they do not know unread.
impl Encode for AddressEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        let Attributes { treatment, in_links, sole_mesh, early } = &self.attributes;
        let items = match (early, sole_mesh) {
            (true, _) => 6,
            (false, Some(_)) => 5,
            (false, None) => 3,
        };
        encode::compound32(out, LIST, items, |out| {
            self.key.to_string().encode(out);
            treatment.map_or(-1, Treatment::wire).encode(out);
            i32::try_from(*in_links).unwrap_or(i32::MAX).encode(out);
            if items > 3 {
                Null.encode(out);
                sole_mesh.as_deref().unwrap_or_default().encode(out);
            }
            if *early {
                true.encode(out);
            }
        });
    }
}

/// Reads one address. Returns `None` for a class that routers do not exchange or a key that they do
/// not keep: the rest of the message stays good.
fn read_entry(items: &mut Reader<'_>) -> Result<Option<AddressEntry>, MessageError> {
    let (count, mut item) = items.list()?;
    let mut entry = None;
    for index in 0..count {
        match (index, &mut entry) {
            (0, _) => match AddressRef::parse(item.text()?) {
                Ok(address) if address.class.is_advertised() => {
                    entry = Some(AddressEntry {
                        key: address.to_key(),
                        attributes: Attributes::default(),
                    });
                }
                _ => return Ok(None),
            },
            (1, Some(entry)) => {
                entry.attributes.treatment = item.value()?.as_i64().and_then(Treatment::from_wire)
            }
            (2, Some(entry)) => {
                let links = item.value()?.as_i64().unwrap_or(0).max(0);
                entry.attributes.in_links = u32::try_from(links).unwrap_or(u32::MAX);
            }
            (4, Some(entry)) if !item.null() => {
                let mesh = item.text()?;
                entry.attributes.sole_mesh =
                    (!mesh.is_empty() && mesh.len() <= MAX_ID_LENGTH).then(|| Arc::from(mesh));
            }
            (4, _) => {}
            (5, Some(entry)) => entry.attributes.early = item.value()? == Value::Bool(true),
            _ => item.skip()?,
        }
    }
    Ok(entry)
}
