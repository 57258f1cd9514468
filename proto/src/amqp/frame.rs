//! Frames (part 2.3) and protocol headers (part 2.2).

use super::decode::DecodeError;

/// The bytes of a frame header without extension.
pub const HEADER_SIZE: usize = 8;

/// The smallest max-frame-size a peer may announce (part 2.7.1).
pub const MIN_MAX_FRAME_SIZE: u32 = 512;

/// The type of AMQP frames.
pub const TYPE_AMQP: u8 = 0x00;

/// The type of SASL frames.
pub const TYPE_SASL: u8 = 0x01;

/// The eight bytes that begin each protocol layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolHeader {
    /// Plain AMQP 1.0.
    Amqp,
    /// The TLS layer of AMQP, which no Skupper router uses: TLS comes before any header.
    Tls,
    /// SASL.
    Sasl,
}

impl ProtocolHeader {
    /// Returns the header's bytes.
    pub const fn octets(self) -> [u8; 8] {
        let id = match self {
            Self::Amqp => 0,
            Self::Tls => 2,
            Self::Sasl => 3,
        };
        [b'A', b'M', b'Q', b'P', id, 1, 0, 0]
    }

    /// Returns the header that these bytes are, if any.
    pub fn parse(octets: [u8; 8]) -> Option<Self> {
        [Self::Amqp, Self::Tls, Self::Sasl].into_iter().find(|header| header.octets() == octets)
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the frame, this header included.
    pub size: u32,
    /// Offset of the frame body in 4-byte words.
    pub data_offset: u8,
    /// [`TYPE_AMQP`] or [`TYPE_SASL`].
    pub kind: u8,
    /// The channel.
    pub channel: u16,
}

impl FrameHeader {
    /// Reads a header. Returns `None` while there are fewer than eight bytes.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let [s0, s1, s2, s3, data_offset, kind, c0, c1] = *octets.first_chunk::<HEADER_SIZE>()?;
        Some(Self {
            size: u32::from_be_bytes([s0, s1, s2, s3]),
            data_offset,
            kind,
            channel: u16::from_be_bytes([c0, c1]),
        })
    }

    /// Returns where in the frame its body begins.
    ///
    /// # Errors
    /// [`DecodeError::Size`] when the header contradicts itself.
    pub fn body_offset(&self) -> Result<usize, DecodeError> {
        let offset = usize::from(self.data_offset) * 4;
        if offset < HEADER_SIZE || (self.size as usize) < offset {
            Err(DecodeError::Size)
        } else {
            Ok(offset)
        }
    }
}

/// Begins a frame in `out`; [`end`] fills in its size.
pub fn begin(out: &mut Vec<u8>, kind: u8, channel: u16) -> usize {
    let start = out.len();
    let [c0, c1] = channel.to_be_bytes();
    out.extend_from_slice(&[0, 0, 0, 0, 2, kind, c0, c1]);
    start
}

/// Ends the frame that began at `start`, whose payload of `payload` bytes travels behind it.
pub fn end(out: &mut [u8], start: usize, payload: usize) {
    let size = u32::try_from(out.len() - start + payload).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&size.to_be_bytes());
    }
}
