//! A TCP connection as two streaming messages, and its window of bytes.
//!
//! One service connection is two deliveries. The client stream goes from the router with the
//! tcpListener to the router with the tcpConnector, the server stream goes back. Each is as long as
//! its half of the connection. The bytes follow the sections of [`encode_head`] without framing of
//! their own.
//!
//! A receiver acknowledges by RECEIVED (part 3.4.1). Its section-offset counts the bytes that the
//! receiver has written out, and [`WINDOW`] bytes may be under way beyond that. On a long path this
//! bounds a stream: 5 MB/s at a round trip of 200 ms. So between two routers of ours the receiver
//! may allow more. The section-number of RECEIVED means nothing here and is 0 from C routers; there
//! the receiver counts units of [`ALLOWANCE_UNIT`] bytes beyond the window. Routers pass it on hop
//! by hop, and only to a neighbor that is known to be ours. With a C router anywhere on the path
//! the window stays as C routers keep it.

mod window;

pub use window::{
    ACKNOWLEDGE, ALLOWANCE_UNIT, MAX_ALLOWANCE, MAX_HELD, Receipt, SendWindow, WINDOW,
};

use crate::amqp::encode::{self, Null};
use crate::amqp::message::{self, Head, PropertyReader, Scan, section};
use crate::amqp::{DecodeError, Encode};

/// The content type of a stream's messages.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// Returns the sections of a stream's message up to the bytes. The server stream has neither
/// `reply_to` nor `correlation_id`.
pub fn encode_head(
    to: &str,
    reply_to: Option<&str>,
    correlation_id: Option<&str>,
    alpn: Option<&str>,
) -> Vec<u8> {
    let text = |text: &str| text.len() + if text.len() < 256 { 2 } else { 5 };
    let fields = text(to)
        + text(CONTENT_TYPE)
        + [reply_to, correlation_id].map(|field| field.map_or(1, text)).iter().sum::<usize>();
    // Sized to the byte: the head lives as long as the stream.
    let mut out =
        Vec::with_capacity(36 + fields + alpn.map_or(0, |protocol| text("alpn") + text(protocol)));
    encode::descriptor(&mut out, section::PROPERTIES);
    encode::compound32(&mut out, 0xd0, 7, |out| {
        Null.encode(out);
        Null.encode(out);
        to.encode(out);
        Null.encode(out);
        reply_to.encode(out);
        correlation_id.encode(out);
        // A string, where AMQP has a symbol: C routers write it so.
        CONTENT_TYPE.encode(out);
    });
    encode::descriptor(&mut out, section::APPLICATION_PROPERTIES);
    encode::compound32(&mut out, 0xd1, if alpn.is_some() { 4 } else { 2 }, |out| {
        "V".encode(out);
        1u32.encode(out);
        if let Some(protocol) = alpn {
            "alpn".encode(out);
            protocol.encode(out);
        }
    });
    encode::descriptor(&mut out, section::AMQP_VALUE);
    Null.encode(&mut out);
    out
}

/// The head of a stream's message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHead<'a> {
    /// The address of the server stream; only a client stream has it.
    pub reply_to: Option<&'a str>,
    /// The flow record of the connection at its listener.
    pub correlation_id: Option<&'a str>,
    /// The application protocol that the client's TLS negotiated.
    pub alpn: Option<String>,
}

/// The reason why a message is no stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAStream {
    /// Its sections do not end where a body begins.
    #[error("the message does not decode")]
    Sections,
    /// A property does not decode.
    #[error("the message does not decode: {0}")]
    Malformed(#[from] DecodeError),
    /// Its content is something else; a peer of release 2.x sends such.
    #[error(
        "the content type is {0:?}, not {CONTENT_TYPE}: \
         the peer may be of release 2.x, whose services cannot be carried"
    )]
    ContentType(Option<String>),
}

/// Reads the head of a stream's message from bytes that begin with all of its sections.
///
/// Each end of a stream calls this once, on the sections that its router kept of the message.
///
/// # Errors
/// Returns why the message is no stream.
pub fn read_head(octets: &[u8]) -> Result<StreamHead<'_>, NotAStream> {
    match message::scan(octets, false, true) {
        Ok(Scan::Complete(head)) => decode_head(octets, &head),
        _ => Err(NotAStream::Sections),
    }
}

/// Reads the head of a stream's message from its sections, which [`message::scan`] found whole.
///
/// # Errors
/// Returns why the message is no stream.
pub fn decode_head<'a>(sections: &'a [u8], head: &Head) -> Result<StreamHead<'a>, NotAStream> {
    let mut properties = PropertyReader::new(head.properties.as_ref(), sections)?;
    properties.pass(4)?;
    let reply_to = properties.string()?;
    let correlation_id = properties.any_text()?;
    match properties.text()? {
        Some(CONTENT_TYPE) => {}
        other => return Err(NotAStream::ContentType(other.map(str::to_owned))),
    }
    let alpn = match &head.application_properties {
        Some(span) => message::application_property(span, sections, "alpn")?,
        None => None,
    };
    Ok(StreamHead {
        reply_to,
        correlation_id,
        alpn: alpn.and_then(|value| value.as_text().map(str::to_owned)),
    })
}

#[cfg(test)]
mod tests;
