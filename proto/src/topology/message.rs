//! The routing messages: HELLO, RA, LSU and LSR (protocol version 1), MAU and MAR (version 2).
//!
//! Decoding takes the forms that any AMQP encoder may write, looks keys up exactly and ignores
//! those it does not know. Encoding gives the octets that C routers give, for they read some of
//! them by position and type.

use std::borrow::Cow;
use std::sync::Arc;

use super::{LinkId, MAX_ID_LENGTH, MAX_PEERS};
use crate::address::{AddressKey, AddressRef, Treatment};
use crate::amqp::encode::{self, Encode, Null};
use crate::amqp::message::{Scan, Span, application_property, scan, section};
use crate::amqp::{DecodeError, Reader, Value};
use crate::annotations::{Flags, Outgoing};
use crate::mobile::{Attributes, MAX_ADDRESSES};

/// Where HELLO goes: the router at the other end of a control link.
pub const HELLO_ADDRESS: &str = "amqp:/_local/qdhello";
/// Where RA goes: every router.
pub const FLOOD_ADDRESS: &str = "amqp:/_topo/0/all/qdrouter";
/// Where a differential MAU goes: every router.
pub const MOBILE_FLOOD_ADDRESS: &str = "_topo/0/all/qdrouter.ma";

/// Where an RA has its digests.
const LINK_STATE_DIGEST: &str = "ls_digest";
const ADDRESSES_DIGEST: &str = "mobile_digest";

const VERSION: i32 = 1;
const MOBILE_VERSION: i64 = 2;

/// A routing message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// I am here, and these I hear.
    Hello(Hello),
    /// My sequences are these.
    Ra(Ra),
    /// My neighbors are these.
    Lsu(Lsu),
    /// Send me your link state.
    Lsr(Lsr),
    /// These addresses are served here.
    Mau(Mau),
    /// Send me your addresses.
    Mar(Mar),
    /// A message of a protocol version that is not ours; to be ignored.
    Newer {
        /// Its sender.
        id: Arc<str>,
        /// Its version.
        version: i64,
    },
}

/// HELLO: travels one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The sender.
    pub id: Arc<str>,
    /// Which of the sender's lives this is.
    pub instance: Option<i64>,
    /// The routers that the sender heard lately.
    pub seen: Vec<Arc<str>>,
}

/// Router advertisement: flooded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ra {
    /// The sender.
    pub id: Arc<str>,
    /// Which of the sender's lives this is.
    pub instance: Option<i64>,
    /// Sequence of its link state.
    pub ls_seq: u64,
    /// Sequence of its addresses.
    pub mobile_seq: u64,
    /// What goes with the sequences; C routers do not say it.
    pub digests: Option<Digests>,
}

/// Digests of what an RA's sender says of itself. They travel behind what C routers read in an RA.
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
    /// Which of the sender's lives this is.
    pub instance: Option<i64>,
    /// Sequence of the link state.
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

/// Mobile-address update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mau {
    /// The sender, who serves the addresses.
    pub id: Arc<str>,
    /// The sequence that its addresses have with this update.
    pub mobile_seq: u64,
    /// What is served.
    pub content: MauContent,
}

/// The two forms of a MAU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MauContent {
    /// What changed since the sequence before; flooded.
    Change {
        /// Served from now on, or served with other attributes.
        add: Vec<AddressEntry>,
        /// Served no more.
        del: Vec<AddressKey>,
    },
    /// All that is served; the answer to a MAR.
    Whole(Vec<AddressEntry>),
}

/// One address in a MAU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressEntry {
    /// The address.
    pub key: AddressKey,
    /// What its router says of it.
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

/// Why a routing message cannot be read. It is dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not decodable.
    #[error("a routing message does not decode: {0}")]
    Decode(#[from] DecodeError),
    /// A field that must be there is not, or has the wrong type or range.
    #[error("a routing message {opcode} has no valid field {field}")]
    Field {
        /// Which message.
        opcode: &'static str,
        /// Which field.
        field: &'static str,
    },
    /// The opcode is missing or unknown.
    #[error("a message to a routing address has no opcode that is known")]
    Opcode,
    /// More entries than are kept.
    #[error("a routing message {opcode} has {count} entries in {field}; at most {limit} are taken")]
    TooMany {
        /// Which message.
        opcode: &'static str,
        /// Which field.
        field: &'static str,
        /// How many entries.
        count: usize,
        /// How many are taken.
        limit: usize,
    },
}

/// A message and where it goes.
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
    /// The octets of the delivery, sent by the router whose
    /// [`node_text`](crate::annotations::node_text) is `own`.
    pub fn encode(&self, own: &str) -> Vec<u8> {
        self.message.encode(&self.to, own)
    }
}

/// The address of a router's LSR and LSU.
pub fn router_address(id: &str) -> String {
    format!("amqp:/_topo/0/{id}/qdrouter")
}

/// The address of a router's MAR and absolute MAU.
pub fn mobile_address(id: &str) -> String {
    format!("amqp:/_topo/0/{id}/qdrouter.ma")
}

impl Message {
    /// The name in `opcode`.
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

    /// Who sent it.
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

    /// The message's octets with all sections, from the router whose node text is `own`, to the
    /// address `to`.
    pub fn encode(&self, to: &str, own: &str) -> Vec<u8> {
        let mobile = self.is_mobile();
        let mut out = Vec::with_capacity(256);
        Outgoing::originated(Flags::default(), own).encode(&mut out);
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
        let pairs: u32 = match self {
            Self::Lsr(_) | Self::Newer { .. } => 3,
            Self::Mar(_) => 4,
            Self::Hello(_) => 5,
            Self::Ra(Ra { digests: Some(_), .. }) => 8,
            Self::Ra(_) | Self::Lsu(_) => 6,
            Self::Mau(mau) => match mau.content {
                MauContent::Change { .. } => 6,
                MauContent::Whole(_) => 5,
            },
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
                Self::Hello(hello) => {
                    put_instance(out, hello.instance);
                    "seen".encode(out);
                    if hello.seen.is_empty() {
                        encode::list(out, 0, |_| {});
                    } else {
                        put_list(out, &hello.seen, |out, id| id.as_ref().encode(out));
                    }
                }
                Self::Ra(ra) => {
                    put_instance(out, ra.instance);
                    put_number(out, "ls_seq", ra.ls_seq);
                    put_number(out, "mobile_seq", ra.mobile_seq);
                    if let Some(digests) = ra.digests {
                        LINK_STATE_DIGEST.encode(out);
                        digests.link_state.cast_signed().encode(out);
                        ADDRESSES_DIGEST.encode(out);
                        digests.addresses.cast_signed().encode(out);
                    }
                }
                Self::Lsu(lsu) => {
                    put_instance(out, lsu.instance);
                    put_number(out, "ls_seq", lsu.ls_seq);
                    "ls".encode(out);
                    encode::compound32(out, MAP, 8, |out| lsu.encode_link_state(out));
                }
                Self::Mau(mau) => mau.encode_content(out),
                Self::Mar(mar) => {
                    put_key(out, true, "have_seq");
                    signed(mar.have_seq).encode(out);
                }
                Self::Lsr(_) | Self::Newer { .. } => {}
            }
        });
    }

    /// Reads a message from its octets after the router annotations.
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
        let body = Body::read(opcode, &body, octets)?;
        let id = body.id()?;
        let version = body.optional_number("pv", &body.pv)?.unwrap_or(0);
        if version > supported {
            return Ok(Self::Newer { id, version });
        }
        Ok(match opcode {
            "HELLO" => Self::Hello(Hello { id, instance: body.instance()?, seen: body.seen()? }),
            "RA" => Self::Ra(Ra {
                id,
                instance: body.instance()?,
                ls_seq: body.sequence("ls_seq", &body.ls_seq)?,
                mobile_seq: body.sequence("mobile_seq", &body.mobile_seq)?,
                digests: body.digests()?,
            }),
            "LSU" => body.lsu(id)?,
            "LSR" => Self::Lsr(Lsr { id }),
            "MAU" => body.mau(id)?,
            _ => Self::Mar(Mar { id, have_seq: body.sequence("have_seq", &body.have_seq)? }),
        })
    }
}

const LIST: u8 = 0xc0 + 0x10;
const MAP: u8 = 0xc1 + 0x10;

fn put_section(
    out: &mut Vec<u8>,
    code: u8,
    compound: u8,
    count: u32,
    members: impl FnOnce(&mut Vec<u8>),
) {
    encode::descriptor(out, code);
    encode::compound32(out, compound, count, members);
}

/// HELLO, RA, LSU and LSR have strings for keys, MAU and MAR symbols.
fn put_key(out: &mut Vec<u8>, symbol: bool, key: &'static str) {
    if symbol { crate::amqp::Symbol::from_static(key).encode(out) } else { key.encode(out) }
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
    encode::compound32(out, LIST, count, |out| items.iter().for_each(|item| put(out, item)));
}

/// An int, or a long where the number does not fit.
fn put_int(out: &mut Vec<u8>, number: i64) {
    match i32::try_from(number) {
        Ok(number) => number.encode(out),
        Err(_) => number.encode(out),
    }
}

fn put_number(out: &mut Vec<u8>, key: &str, number: u64) {
    key.encode(out);
    put_int(out, signed(number));
}

fn put_instance(out: &mut Vec<u8>, instance: Option<i64>) {
    "instance".encode(out);
    put_int(out, instance.unwrap_or(0));
}

/// A sequence as the signed number that stands on the wire. It begins at 0 with every start and
/// never comes near the end.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Lsu {
    fn encode_link_state(&self, out: &mut Vec<u8>) {
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
}

impl Mau {
    fn encode_content(&self, out: &mut Vec<u8>) {
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
}

/// By position: key, treatment, senders, nothing, mesh; and, of routers of ours, whether it takes
/// streams early. C routers leave what they do not know unread.
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

/// The entries of a body map that are known, each with a reader at its value.
struct Body<'a> {
    opcode: &'static str,
    id: Option<Reader<'a>>,
    pv: Option<Reader<'a>>,
    instance: Option<Reader<'a>>,
    ls_seq: Option<Reader<'a>>,
    mobile_seq: Option<Reader<'a>>,
    have_seq: Option<Reader<'a>>,
    seen: Option<Reader<'a>>,
    ls: Option<Reader<'a>>,
    peers: Option<Reader<'a>>,
    add: Option<Reader<'a>>,
    del: Option<Reader<'a>>,
    exist: Option<Reader<'a>>,
    ls_digest: Option<Reader<'a>>,
    mobile_digest: Option<Reader<'a>>,
}

impl<'a> Body<'a> {
    fn read(opcode: &'static str, body: &Span, octets: &'a [u8]) -> Result<Self, MessageError> {
        Self::of_map(opcode, &mut body.of(octets))
    }

    fn of_map(opcode: &'static str, reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let (members, mut map) = reader.map()?;
        let mut body = Self {
            opcode,
            id: None,
            pv: None,
            instance: None,
            ls_seq: None,
            mobile_seq: None,
            have_seq: None,
            seen: None,
            ls: None,
            peers: None,
            add: None,
            del: None,
            exist: None,
            ls_digest: None,
            mobile_digest: None,
        };
        for _ in 0..members / 2 {
            let key = match map.peek()? {
                0xa1 | 0xb1 | 0xa3 | 0xb3 => map.text()?,
                _ => {
                    map.skip()?;
                    ""
                }
            };
            let slot = match key {
                "id" => Some(&mut body.id),
                "pv" => Some(&mut body.pv),
                "instance" => Some(&mut body.instance),
                "ls_seq" => Some(&mut body.ls_seq),
                "mobile_seq" => Some(&mut body.mobile_seq),
                "have_seq" => Some(&mut body.have_seq),
                "seen" => Some(&mut body.seen),
                "ls" => Some(&mut body.ls),
                "peers" => Some(&mut body.peers),
                "add" => Some(&mut body.add),
                "del" => Some(&mut body.del),
                "exist" => Some(&mut body.exist),
                LINK_STATE_DIGEST => Some(&mut body.ls_digest),
                ADDRESSES_DIGEST => Some(&mut body.mobile_digest),
                _ => None,
            };
            if let Some(slot) = slot {
                slot.get_or_insert_with(|| map.clone());
            }
            map.skip()?;
        }
        Ok(body)
    }

    const fn field(&self, field: &'static str) -> MessageError {
        MessageError::Field { opcode: self.opcode, field }
    }

    fn router_id(
        &self,
        field: &'static str,
        reader: &mut Reader<'a>,
    ) -> Result<Arc<str>, MessageError> {
        let id = reader.text().map_err(|_| self.field(field))?;
        if id.is_empty() || id.len() > MAX_ID_LENGTH {
            Err(self.field(field))
        } else {
            Ok(Arc::from(id))
        }
    }

    fn id(&self) -> Result<Arc<str>, MessageError> {
        let mut reader = self.id.clone().ok_or_else(|| self.field("id"))?;
        self.router_id("id", &mut reader)
    }

    fn optional_number(
        &self,
        field: &'static str,
        reader: &Option<Reader<'a>>,
    ) -> Result<Option<i64>, MessageError> {
        match reader {
            None => Ok(None),
            Some(reader) => {
                reader.clone().value()?.as_i64().map(Some).ok_or_else(|| self.field(field))
            }
        }
    }

    fn instance(&self) -> Result<Option<i64>, MessageError> {
        self.optional_number("instance", &self.instance)
    }

    fn digests(&self) -> Result<Option<Digests>, MessageError> {
        let link_state = self.optional_number(LINK_STATE_DIGEST, &self.ls_digest)?;
        let addresses = self.optional_number(ADDRESSES_DIGEST, &self.mobile_digest)?;
        let both = link_state.zip(addresses);
        Ok(both.map(|(links, addresses)| Digests {
            link_state: links.cast_unsigned(),
            addresses: addresses.cast_unsigned(),
        }))
    }

    fn sequence(
        &self,
        field: &'static str,
        reader: &Option<Reader<'a>>,
    ) -> Result<u64, MessageError> {
        let number = self.optional_number(field, reader)?;
        number.and_then(|number| u64::try_from(number).ok()).ok_or_else(|| self.field(field))
    }

    fn members(
        &self,
        field: &'static str,
        reader: &Option<Reader<'a>>,
        limit: usize,
    ) -> Result<(u32, Reader<'a>), MessageError> {
        let mut reader = reader.clone().ok_or_else(|| self.field(field))?;
        let (count, items) = reader.list().map_err(|_| self.field(field))?;
        self.within(field, count, limit)?;
        Ok((count, items))
    }

    fn within(&self, field: &'static str, count: u32, limit: usize) -> Result<(), MessageError> {
        let count = count as usize;
        if count > limit {
            Err(MessageError::TooMany { opcode: self.opcode, field, count, limit })
        } else {
            Ok(())
        }
    }

    fn seen(&self) -> Result<Vec<Arc<str>>, MessageError> {
        let (count, mut items) = self.members("seen", &self.seen, MAX_PEERS)?;
        (0..count).map(|_| self.router_id("seen", &mut items)).collect()
    }

    fn lsu(&self, id: Arc<str>) -> Result<Message, MessageError> {
        let instance = self.instance()?;
        let mut ls = self.ls.clone().ok_or_else(|| self.field("ls"))?;
        let ls = Self::of_map(self.opcode, &mut ls).map_err(|_| self.field("ls"))?;
        if ls.id()? != id {
            return Err(self.field("ls"));
        }
        let ls_seq = ls.sequence("ls_seq", &ls.ls_seq)?;
        let mut peers = ls.peers.clone().ok_or_else(|| self.field("peers"))?;
        let (members, mut pairs) = peers.map().map_err(|_| self.field("peers"))?;
        self.within("peers", members / 2, MAX_PEERS)?;
        let peers = (0..members / 2).map(|_| {
            let peer = self.router_id("peers", &mut pairs)?;
            let cost = pairs.value()?.as_u64().and_then(|cost| u32::try_from(cost).ok());
            Ok((peer, cost.ok_or_else(|| self.field("peers"))?))
        });
        Ok(Message::Lsu(Lsu {
            id,
            instance,
            ls_seq,
            peers: peers.collect::<Result<_, MessageError>>()?,
        }))
    }

    fn mau(&self, id: Arc<str>) -> Result<Message, MessageError> {
        let mobile_seq = self.sequence("mobile_seq", &self.mobile_seq)?;
        let content = match (&self.exist, &self.add, &self.del) {
            (Some(_), None, None) => {
                MauContent::Whole(self.entries("exist", &self.exist, read_entry)?)
            }
            (None, Some(_), Some(_)) => MauContent::Change {
                add: self.entries("add", &self.add, read_entry)?,
                del: self.entries("del", &self.del, |items| {
                    read_entry(items).map(|entry| entry.map(|entry| entry.key))
                })?,
            },
            (Some(_), ..) => return Err(self.field("exist")),
            (None, None, _) => return Err(self.field("add")),
            (None, _, None) => return Err(self.field("del")),
        };
        Ok(Message::Mau(Mau { id, mobile_seq, content }))
    }

    fn entries<T>(
        &self,
        field: &'static str,
        reader: &Option<Reader<'a>>,
        read: impl Fn(&mut Reader<'a>) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, MessageError> {
        let (count, mut items) = self.members(field, reader, MAX_ADDRESSES)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.extend(read(&mut items)?);
        }
        Ok(entries)
    }
}

/// One address descriptor; `None` for one of a class that routers do not exchange or a key that is
/// not kept. Such an entry concerns nobody, and the rest of its message stays good.
fn read_entry(items: &mut Reader<'_>) -> Result<Option<AddressEntry>, DecodeError> {
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
