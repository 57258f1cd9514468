//! Flow records (VanFlow): a router's statements to collectors about itself, its links and its
//! services. Their form is that of C routers.
//!
//! A source announces itself by beacons, at an address that all sources share, and by heartbeats at
//! one of its own. Its statements are records, each a set of attributes under an identity. It tells
//! the attributes of a record that changed since it told them last; a new collector asks for all of
//! them. [`Records`] is that memory, [`Source`] has the addresses and the messages. The caller
//! decides when to send.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::amqp::encode::{self, Encode};
use crate::amqp::message::{Properties, Scan, scan, section};
use crate::amqp::{Reader, Symbol, Value};

/// The address of all sources' beacons.
pub const BEACONS: &str = "mc/sfe.all";

/// The most records of one message.
pub const MAX_RECORDS: usize = 50;

/// The most bytes of a text; a longer one is cut.
pub const MAX_TEXT: usize = 300;

/// The subject of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum RecordKind {
    /// The site that the router belongs to.
    Site = 0,
    /// The router.
    Router = 1,
    /// A link to another router, told by the router that connected.
    Link = 2,
    /// A port of a service.
    Listener = 4,
    /// A server of a service.
    Connector = 5,
    /// A line of the log.
    Log = 14,
    /// A port for links from other routers.
    RouterAccess = 15,
    /// A connection of a client to a service.
    Flow = 16,
}

/// The numbers of attributes.
#[expect(missing_docs, reason = "the names say it")]
pub mod attribute {
    pub const RECORD_TYPE: u32 = 0;
    pub const IDENTITY: u32 = 1;
    pub const PARENT: u32 = 2;
    pub const START_TIME: u32 = 3;
    pub const END_TIME: u32 = 4;
    pub const PEER: u32 = 6;
    pub const PROCESS: u32 = 7;
    pub const LOCATION: u32 = 9;
    pub const PROVIDER: u32 = 10;
    pub const PLATFORM: u32 = 11;
    pub const NAMESPACE: u32 = 12;
    pub const MODE: u32 = 13;
    pub const SOURCE_HOST: u32 = 14;
    pub const DESTINATION_HOST: u32 = 15;
    pub const PROTOCOL: u32 = 16;
    pub const SOURCE_PORT: u32 = 17;
    pub const DESTINATION_PORT: u32 = 18;
    pub const VAN_ADDRESS: u32 = 19;
    pub const IMAGE_NAME: u32 = 20;
    pub const IMAGE_VERSION: u32 = 21;
    pub const HOST_NAME: u32 = 22;
    pub const OCTETS: u32 = 23;
    pub const LATENCY: u32 = 24;
    pub const RESULT: u32 = 28;
    pub const REASON: u32 = 29;
    pub const NAME: u32 = 30;
    pub const TRACE: u32 = 31;
    pub const BUILD_VERSION: u32 = 32;
    pub const LINK_COST: u32 = 33;
    pub const FLOW_COUNT_L4: u32 = 40;
    pub const LOG_SEVERITY: u32 = 48;
    pub const LOG_TEXT: u32 = 49;
    pub const SOURCE_FILE: u32 = 50;
    pub const SOURCE_LINE: u32 = 51;
    pub const LINK_COUNT: u32 = 52;
    pub const OPER_STATUS: u32 = 53;
    pub const ROLE: u32 = 54;
    pub const UP_TIMESTAMP: u32 = 55;
    pub const DOWN_TIMESTAMP: u32 = 56;
    pub const DOWN_COUNT: u32 = 57;
    pub const OCTETS_REVERSE: u32 = 58;
    pub const CONNECTOR: u32 = 60;
    pub const PROCESS_LATENCY: u32 = 61;
    pub const PROXY_HOST: u32 = 62;
    pub const PROXY_PORT: u32 = 63;
    pub const ERROR_CONNECTOR_SIDE: u32 = 65;
    pub const ACTIVE_TLS_ORDINAL: u32 = 66;
    pub const HTTP_PROXY: u32 = 67;
}

/// The value of an attribute. Collectors know no other types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Times are microseconds since the epoch.
    Number(u64),
    /// Texts, and references to records.
    Text(String),
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        let end = (0..=text.len().min(MAX_TEXT))
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or_default();
        Self::Text(text.get(..end).unwrap_or_default().to_owned())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

#[derive(Clone, Debug)]
struct Record {
    kind: RecordKind,
    facts: BTreeMap<u32, Fact>,
    /// Attributes that have not been told as they are.
    changed: Vec<u32>,
    ended: bool,
}

impl Record {
    fn set(&mut self, attribute: u32, fact: Fact) {
        if self.facts.get(&attribute) != Some(&fact) {
            self.facts.insert(attribute, fact);
            if !self.changed.contains(&attribute) {
                self.changed.push(attribute);
            }
        }
    }
}

/// A statement about a record: its attributes, its identity and kind among them.
pub type Told = Vec<(u32, Value)>;

/// The records of a source, and which attributes are to be told.
#[derive(Clone, Debug, Default)]
pub struct Records {
    records: BTreeMap<String, Record>,
}

impl Records {
    /// Sets attributes of a record, and begins it if it was not there. Other attributes stay as
    /// they are.
    pub fn put(
        &mut self,
        identity: &str,
        kind: RecordKind,
        facts: impl IntoIterator<Item = (u32, Fact)>,
    ) {
        let begun = || Record { kind, facts: BTreeMap::new(), changed: Vec::new(), ended: false };
        let record = self.records.entry(identity.to_owned()).or_insert_with(begun);
        facts.into_iter().for_each(|(attribute, fact)| record.set(attribute, fact));
    }

    /// Whether a record is there.
    pub fn contains(&self, identity: &str) -> bool {
        self.records.contains_key(identity)
    }

    /// Returns how many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets a record, and tells nothing.
    pub fn forget(&mut self, identity: &str) {
        self.records.remove(identity);
    }

    /// Ends a record at `time`: it is told once more.
    pub fn end(&mut self, identity: &str, time: u64) {
        if let Some(record) = self.records.get_mut(identity) {
            record.set(attribute::END_TIME, Fact::Number(time));
            record.ended = true;
        }
    }

    /// Makes everything news again.
    pub fn flush(&mut self) {
        for record in self.records.values_mut() {
            record.changed = record.facts.keys().copied().collect();
        }
    }

    /// Takes what is news, and the records that have ended for the last time.
    pub fn take(&mut self) -> Vec<Told> {
        let mut news = Vec::new();
        self.records.retain(|identity, record| {
            record.changed.sort_unstable();
            let changed = std::mem::take(&mut record.changed);
            if !changed.is_empty() {
                let mut told = vec![
                    (attribute::RECORD_TYPE, Value::Uint(record.kind as u32)),
                    (attribute::IDENTITY, Value::string(identity.as_str())),
                ];
                told.extend(changed.into_iter().filter_map(|attribute| {
                    Some((
                        attribute,
                        match record.facts.get(&attribute)? {
                            Fact::Number(number) => Value::Ulong(*number),
                            Fact::Text(text) => Value::string(text.as_str()),
                        },
                    ))
                }));
                news.push(told);
            }
            !record.ended
        });
        news
    }
}

/// A source of records, by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    id: String,
}

impl Source {
    /// Makes the source whose records' identities begin with `prefix` and a colon.
    pub fn new(prefix: &str) -> Self {
        Self { id: format!("{prefix}:0") }
    }

    /// Returns its id, which is that of the record of its router.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the address of its heartbeats and records.
    pub fn address(&self) -> String {
        format!("mc/sfe.{}", self.id)
    }

    /// Returns the address of its records of log lines.
    pub fn logs(&self) -> String {
        format!("mc/sfe.{}.logs", self.id)
    }

    /// Returns the address of its records of connections.
    pub fn flows(&self) -> String {
        format!("mc/sfe.{}.flows", self.id)
    }

    /// Returns the address at which it takes other routers' statements about its connections.
    pub fn co_records(&self) -> String {
        format!("vfcr.{}", self.id)
    }

    /// Returns the source that gave a record its identity; `None` if that is none.
    pub fn of_record(identity: &str) -> Option<Self> {
        let (prefix, number) = identity.split_once(':')?;
        let named = !prefix.is_empty() && prefix.len() <= 64 && number.parse::<u64>().is_ok();
        named.then(|| Self::new(prefix))
    }

    /// Returns the address at which it takes requests for everything.
    pub fn direct(&self) -> String {
        format!("sfe.{}", self.id)
    }

    /// Returns a beacon: the source is there, at its address. `number` tells its messages apart.
    pub fn beacon(&self, number: u64) -> Vec<u8> {
        let properties = [
            ("v", Value::Uint(1)),
            ("sourceType", Value::string("ROUTER")),
            ("id", Value::string(self.id.as_str())),
            ("address", Value::string(self.address())),
            ("direct", Value::string(self.direct())),
        ];
        message(number, BEACONS, "BEACON", &properties, &Value::Null)
    }

    /// Returns a heartbeat at `now`, in microseconds since the epoch.
    pub fn heartbeat(&self, number: u64, now: u64) -> Vec<u8> {
        let properties = [
            ("v", Value::Uint(1)),
            ("now", Value::Ulong(now)),
            ("id", Value::string(self.id.as_str())),
        ];
        message(number, &self.address(), "HEARTBEAT", &properties, &Value::Null)
    }
}

/// Returns a message of records, at most [`MAX_RECORDS`], for an address.
pub fn records(number: u64, to: &str, records: &[Told]) -> Vec<u8> {
    let map = |told: &Told| {
        Value::Map(
            told.iter()
                .map(|(attribute, value)| (Value::Uint(*attribute), value.clone()))
                .collect(),
        )
    };
    message(number, to, "RECORD", &[], &Value::List(records.iter().map(map).collect()))
}

/// The attributes that the router of the server may state of a connection. The rest of its record
/// is for the router of the client.
const CO_RECORD: [u32; 6] = [
    attribute::TRACE,
    attribute::CONNECTOR,
    attribute::PROCESS_LATENCY,
    attribute::PROXY_HOST,
    attribute::PROXY_PORT,
    attribute::ERROR_CONNECTOR_SIDE,
];

/// Reads another router's statements about connections: by identity, the attributes that it may
/// set. Ignores everything else.
pub fn read_co_records(octets: &[u8]) -> Vec<(String, Vec<(u32, Fact)>)> {
    let Ok(Scan::Complete(head)) = scan(octets, true, true) else { return Vec::new() };
    let body = head
        .body
        .filter(|span| span.code == section::AMQP_VALUE)
        .and_then(|span| octets.get(span.value..span.end));
    let body = body.and_then(|body| Reader::new(body).value().ok());
    let Some(records) = body.and_then(Value::into_list) else { return Vec::new() };
    let read = |record: Value| {
        let Value::Map(pairs) = record else { return None };
        let mut identity = None;
        let mut facts = Vec::new();
        for (key, value) in pairs {
            let Some(key) = key.as_u64().and_then(|key| u32::try_from(key).ok()) else { continue };
            match (key, value.as_text(), value.as_u64()) {
                (attribute::IDENTITY, Some(text), _) => identity = Some(text.to_owned()),
                (key, Some(text), _) if CO_RECORD.contains(&key) => {
                    facts.push((key, Fact::from(text)))
                }
                (key, None, Some(number)) if CO_RECORD.contains(&key) => {
                    facts.push((key, Fact::Number(number)))
                }
                _ => {}
            }
        }
        Some((identity?, facts))
    };
    records.into_iter().take(MAX_RECORDS).filter_map(read).collect()
}

fn message(
    number: u64,
    to: &str,
    subject: &str,
    application: &[(&'static str, Value)],
    body: &Value,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let properties = Properties {
        message_id: Some(Value::Long(i64::try_from(number).unwrap_or_default())),
        to: Some(to.to_owned()),
        subject: Some(subject.to_owned()),
        ..Properties::default()
    };
    properties.encode(&mut out);
    if !application.is_empty() {
        encode::descriptor(&mut out, section::APPLICATION_PROPERTIES);
        let symbol = |(name, value): &(&'static str, Value)| {
            (Value::Symbol(Symbol::from_static(name)), value.clone())
        };
        Value::Map(application.iter().map(symbol).collect()).encode(&mut out);
    }
    encode::descriptor(&mut out, section::AMQP_VALUE);
    body.encode(&mut out);
    out
}
