//! Encodes enough of AMQP 1.0 to send malformed input. It shares nothing with the router's own
//! codec.

/// The header that begins AMQP without a security layer.
pub const HEADER: &[u8] = b"AMQP\x00\x01\x00\x00";
/// The header that begins SASL.
pub const SASL_HEADER: &[u8] = b"AMQP\x03\x01\x00\x00";

/// Descriptors of the performatives, and of other types.
pub mod code {
    pub const OPEN: u8 = 0x10;
    pub const BEGIN: u8 = 0x11;
    pub const ATTACH: u8 = 0x12;
    pub const FLOW: u8 = 0x13;
    pub const TRANSFER: u8 = 0x14;
    pub const DISPOSITION: u8 = 0x15;
    pub const DETACH: u8 = 0x16;
    pub const END: u8 = 0x17;
    pub const CLOSE: u8 = 0x18;
    pub const ERROR: u8 = 0x1d;
    pub const SASL_MECHANISMS: u8 = 0x40;
    pub const SASL_INIT: u8 = 0x41;
    pub const SASL_OUTCOME: u8 = 0x44;
    pub const SOURCE: u8 = 0x28;
    pub const TARGET: u8 = 0x29;
    pub const PROPERTIES: u8 = 0x73;
    pub const APPLICATION_PROPERTIES: u8 = 0x74;
    pub const DATA: u8 = 0x75;
    pub const VALUE: u8 = 0x77;
}

pub fn null() -> Vec<u8> {
    vec![0x40]
}

pub fn boolean(value: bool) -> Vec<u8> {
    vec![if value { 0x41 } else { 0x42 }]
}

/// Encodes a `uint` in its long form.
pub fn uint(value: u32) -> Vec<u8> {
    [&[0x70], &value.to_be_bytes()[..]].concat()
}

pub fn ubyte(value: u8) -> Vec<u8> {
    vec![0x50, value]
}

pub fn ushort(value: u16) -> Vec<u8> {
    [&[0x60], &value.to_be_bytes()[..]].concat()
}

pub fn string(value: &str) -> Vec<u8> {
    sized(0xb1, value.as_bytes())
}

pub fn symbol(value: &str) -> Vec<u8> {
    sized(0xb3, value.as_bytes())
}

pub fn binary(value: &[u8]) -> Vec<u8> {
    sized(0xb0, value)
}

pub fn list(items: &[Vec<u8>]) -> Vec<u8> {
    compound(0xd0, items.len(), &items.concat())
}

/// Encodes a map. `items` are keys and values in turn, even an odd number of them.
pub fn map(items: &[Vec<u8>]) -> Vec<u8> {
    compound(0xd1, items.len(), &items.concat())
}

/// Encodes a compound value. Constructor, count and content need not fit each other.
pub fn compound(constructor: u8, count: usize, content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 4).expect("small enough");
    let count = u32::try_from(count).expect("small enough");
    [&[constructor], &size.to_be_bytes()[..], &count.to_be_bytes()[..], content].concat()
}

/// Encodes a value with a small descriptor.
pub fn described(descriptor: u8, value: &[u8]) -> Vec<u8> {
    [&[0x00, 0x53, descriptor], value].concat()
}

pub fn performative(descriptor: u8, fields: &[Vec<u8>]) -> Vec<u8> {
    described(descriptor, &list(fields))
}

/// Encodes an AMQP frame.
pub fn frame(channel: u16, body: &[u8]) -> Vec<u8> {
    raw_frame(u32::try_from(body.len() + 8).expect("small enough"), 2, 0, channel, body)
}

/// Encodes a SASL frame.
pub fn sasl_frame(body: &[u8]) -> Vec<u8> {
    raw_frame(u32::try_from(body.len() + 8).expect("small enough"), 2, 1, 0, body)
}

/// Encodes a frame with any header.
pub fn raw_frame(size: u32, offset: u8, kind: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    [&size.to_be_bytes()[..], &[offset, kind], &channel.to_be_bytes()[..], body].concat()
}

/// Encodes the beginning of an anonymous client that does not wait for answers, up to its open.
pub fn opening(container: &str) -> Vec<u8> {
    let init = [symbol("ANONYMOUS"), binary(b"anonymous"), null()];
    opening_with(&init, &open(container))
}

/// Encodes such a beginning with any SASL init and any open.
pub fn opening_with(init: &[Vec<u8>], open: &[u8]) -> Vec<u8> {
    let init = sasl_frame(&performative(code::SASL_INIT, init));
    [SASL_HEADER, &init, HEADER, &frame(0, open)].concat()
}

pub fn open(container: &str) -> Vec<u8> {
    performative(code::OPEN, &[string(container), null(), uint(16_384), ushort(100), uint(8_000)])
}

pub fn begin() -> Vec<u8> {
    performative(code::BEGIN, &[null(), uint(0), uint(1_000), uint(1_000), uint(100)])
}

/// Encodes a begin with windows that no test fills.
pub fn wide_begin() -> Vec<u8> {
    let windows = [null(), uint(0), uint(100_000), uint(100_000), uint(u32::MAX)];
    performative(code::BEGIN, &windows)
}

/// Encodes an attach of a sender, or of a receiver, at `address`.
pub fn attach(name: &str, handle: u32, receiver: bool, address: &str) -> Vec<u8> {
    let end = |code| performative(code, &[string(address)]);
    let count = if receiver { null() } else { uint(0) };
    performative(
        code::ATTACH,
        &[
            string(name),
            uint(handle),
            boolean(receiver),
            ubyte(2),
            ubyte(0),
            end(code::SOURCE),
            end(code::TARGET),
            null(),
            boolean(false),
            count,
        ],
    )
}

/// Encodes a flow that grants credit to the link of handle 0.
pub fn flow(credit: u32) -> Vec<u8> {
    let window = [uint(0), uint(u32::MAX), uint(0), uint(u32::MAX)];
    performative(
        code::FLOW,
        &[&window[..], &[uint(0), uint(0), uint(credit), uint(u32::MAX)]].concat(),
    )
}

/// A transfer of a delivery, which has its number as its tag.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    handle: u32,
    id: u32,
    settled: bool,
    more: bool,
}

impl Transfer {
    /// Returns the only transfer of an unsettled delivery.
    pub const fn new(handle: u32, id: u32) -> Self {
        Self { handle, id, settled: false, more: false }
    }

    /// Returns the only transfer of a settled delivery.
    pub const fn settled(handle: u32, id: u32) -> Self {
        Self { settled: true, ..Self::new(handle, id) }
    }

    /// Sets whether more transfers of the delivery follow.
    pub const fn more(self, more: bool) -> Self {
        Self { more, ..self }
    }

    /// Encodes the transfer with its payload, for a frame.
    pub fn with(self, payload: &[u8]) -> Vec<u8> {
        let tag = binary(&self.id.to_be_bytes());
        let mut fields =
            vec![uint(self.handle), uint(self.id), tag, uint(0), boolean(self.settled)];
        if self.more {
            fields.push(boolean(true));
        }
        [&performative(code::TRANSFER, &fields), payload].concat()
    }
}

/// Encodes a message with one section of data.
pub fn data(octets: &[u8]) -> Vec<u8> {
    described(code::DATA, &binary(octets))
}

/// Encodes a management request for all entities of a type, with a reply address that nobody has.
pub fn query(entity_type: &str) -> Vec<u8> {
    let properties = [null(), null(), null(), null(), string("_topo/0/north/temp.nobody"), uint(1)];
    let application =
        [("operation", "QUERY"), ("type", "org.amqp.management"), ("entityType", entity_type)];
    let application: Vec<_> =
        application.iter().flat_map(|(name, value)| [string(name), string(value)]).collect();
    let body = map(&[string("attributeNames"), list(&[])]);
    [
        performative(code::PROPERTIES, &properties),
        described(code::APPLICATION_PROPERTIES, &map(&application)),
        described(code::VALUE, &body),
    ]
    .concat()
}

fn sized(constructor: u8, octets: &[u8]) -> Vec<u8> {
    let size = u32::try_from(octets.len()).expect("small enough");
    [&[constructor], &size.to_be_bytes()[..], octets].concat()
}
