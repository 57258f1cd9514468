//! Addresses: from the text in a message to the class and key by which routers know it.
//!
//! The form of addresses is that of C routers. An address such as `hello`,
//! `amqp:/_topo/0/north/temp.x` or `_edge/e1/temp.y` loses scheme, host and one trailing separator.
//! Then an [`AddressSpace`], which knows the router's own id, classifies it. The result is a
//! borrowed [`AddressRef`]: classifying allocates nothing, and looks up a map keyed by
//! [`AddressKey`] directly.
//!
//! This module does not know which router serves an address (`mobile` does), nor what a router does
//! with it (the core does).

pub mod patterns;
mod space;
#[cfg(test)]
mod tests;

use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use std::sync::Arc;

pub use space::{AddressSpace, Canonical, strip_origin};

/// The longest address key, in bytes, that is accepted from another router or at the attach of a
/// link.
///
/// Names in use are far shorter: Kubernetes names end at 253 bytes, and a few of them may be
/// joined. A longer one is a mistake or an attempt to fill memory.
pub const MAX_KEY_LENGTH: usize = 4096;

/// The class of an address: the character that begins its key on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AddressClass {
    /// `A`: another area; it makes nothing reachable.
    Area = b'A',
    /// `H`: an edge router, which the interior router that it is attached to serves.
    Edge = b'H',
    /// `L`: served in this router only.
    Local = b'L',
    /// `M`: an application's address.
    Mobile = b'M',
    /// `N`: another network.
    Network = b'N',
    /// `R`: a router.
    Router = b'R',
    /// `T`: flooded to every router.
    Topological = b'T',
}

impl AddressClass {
    /// Returns the class whose character is `octet`.
    pub const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            b'A' => Self::Area,
            b'H' => Self::Edge,
            b'L' => Self::Local,
            b'M' => Self::Mobile,
            b'N' => Self::Network,
            b'R' => Self::Router,
            b'T' => Self::Topological,
            _ => return None,
        })
    }

    /// Returns the class's character.
    pub const fn as_char(self) -> char {
        self as u8 as char
    }

    /// Whether routers tell each other by MAU which of them serve addresses of this class.
    pub const fn is_advertised(self) -> bool {
        matches!(self, Self::Mobile | Self::Edge | Self::Network)
    }
}

/// A classified address that borrows its text.
///
/// It equals, hashes and orders like the [`AddressKey`] of the same class and text. To look one up
/// without allocating, ask the map with a trait object: `map.get(&address as &dyn AddressParts)`.
#[derive(Clone, Copy, Debug)]
pub struct AddressRef<'a> {
    /// The class.
    pub class: AddressClass,
    /// The text after the class character.
    pub text: &'a str,
}

impl<'a> AddressRef<'a> {
    /// Makes an address of `class`.
    pub const fn new(class: AddressClass, text: &'a str) -> Self {
        Self { class, text }
    }

    /// Makes an application's address, class `M`.
    pub const fn mobile(text: &'a str) -> Self {
        Self::new(AddressClass::Mobile, text)
    }

    /// Reads a key as it stands in a MAU or a tracking message, for example `Mhello`.
    ///
    /// # Errors
    /// [`KeyError`] when the key is empty, of an unknown class or longer than [`MAX_KEY_LENGTH`].
    pub fn parse(key: &'a str) -> Result<Self, KeyError> {
        if key.len() > MAX_KEY_LENGTH {
            return Err(KeyError::TooLong { length: key.len() });
        }
        let mut chars = key.chars();
        let first = chars.next().ok_or(KeyError::Empty)?;
        let class = u8::try_from(first)
            .ok()
            .and_then(AddressClass::from_octet)
            .ok_or(KeyError::Class(first))?;
        Ok(Self { class, text: chars.as_str() })
    }

    /// Returns the bytes of the key on the wire, with its class character.
    pub const fn wire_len(self) -> usize {
        self.text.len().saturating_add(1)
    }

    /// Returns the owned key.
    pub fn to_key(self) -> AddressKey {
        AddressKey { class: self.class, text: Arc::from(self.text) }
    }
}

/// The reason why a key of another router cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key is empty.
    #[error("the address key is empty")]
    Empty,
    /// The first character names no class.
    #[error("the address key begins with {0:?}, which is no address class")]
    Class(char),
    /// The key is too long to keep.
    #[error("the address key has {length} octets; at most {MAX_KEY_LENGTH} are kept")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

/// A classified address that owns its text; clones share it.
#[derive(Clone)]
pub struct AddressKey {
    class: AddressClass,
    text: Arc<str>,
}

impl AddressKey {
    /// Makes an address of `class`.
    pub fn new(class: AddressClass, text: impl Into<Arc<str>>) -> Self {
        Self { class, text: text.into() }
    }

    /// Makes an application's address, class `M`.
    pub fn mobile(text: impl Into<Arc<str>>) -> Self {
        Self::new(AddressClass::Mobile, text)
    }

    /// Returns the class.
    pub const fn class(&self) -> AddressClass {
        self.class
    }

    /// Returns the text after the class character.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the same address, borrowed.
    pub fn as_ref(&self) -> AddressRef<'_> {
        AddressRef { class: self.class, text: &self.text }
    }

    /// Returns the bytes of the key on the wire, with its class character.
    pub fn wire_len(&self) -> usize {
        self.as_ref().wire_len()
    }
}

/// The common part of [`AddressKey`] and [`AddressRef`]: a map of the former is asked with the
/// latter.
pub trait AddressParts {
    /// Returns the address, borrowed.
    fn parts(&self) -> AddressRef<'_>;
}

impl AddressParts for AddressKey {
    fn parts(&self) -> AddressRef<'_> {
        self.as_ref()
    }
}

impl AddressParts for AddressRef<'_> {
    fn parts(&self) -> AddressRef<'_> {
        *self
    }
}

impl<'a> Borrow<dyn AddressParts + 'a> for AddressKey {
    fn borrow(&self) -> &(dyn AddressParts + 'a) {
        self
    }
}

/// Equality, order, hash and text of every form are those of [`AddressRef`], as `Borrow` demands.
macro_rules! like_its_parts {
    ($($type:ty),*) => {$(
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                let (a, b) = (self.parts(), other.parts());
                a.class == b.class && a.text == b.text
            }
        }
        impl Eq for $type {}
        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $type {
            fn cmp(&self, other: &Self) -> Ordering {
                let (a, b) = (self.parts(), other.parts());
                a.class.cmp(&b.class).then_with(|| a.text.cmp(b.text))
            }
        }
        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                let parts = self.parts();
                state.write_u8(parts.class as u8);
                parts.text.hash(state);
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let parts = self.parts();
                write!(f, "{}{}", parts.class.as_char(), parts.text)
            }
        }
    )*};
}

like_its_parts!(AddressKey, AddressRef<'_>, dyn AddressParts + '_);

impl fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How messages to an address are distributed; the numbers travel in MAU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Treatment {
    /// To every neighbor but those it came through; control traffic.
    Flood = 0,
    /// To every consumer, once.
    Multicast = 1,
    /// To the consumer with the least path cost.
    Closest = 2,
    /// To the consumer with the least work outstanding.
    Balanced = 3,
    /// To no consumer; refused.
    Unavailable = 4,
}

impl Treatment {
    /// Returns the treatment of a number in a MAU; `None` for one that is not defined.
    pub const fn from_wire(number: i64) -> Option<Self> {
        Some(match number {
            0 => Self::Flood,
            1 => Self::Multicast,
            2 => Self::Closest,
            3 => Self::Balanced,
            4 => Self::Unavailable,
            _ => return None,
        })
    }

    /// Returns its number in a MAU.
    pub const fn wire(self) -> i32 {
        self as u8 as i32
    }

    /// Returns the treatment of a configured `distribution`.
    pub fn from_distribution(name: &str) -> Option<Self> {
        Some(match name {
            "multicast" => Self::Multicast,
            "closest" => Self::Closest,
            "balanced" => Self::Balanced,
            "unavailable" => Self::Unavailable,
            _ => return None,
        })
    }

    /// Returns its name in configuration and management. `flood` is a name of ours, for it cannot
    /// be configured.
    pub const fn distribution(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Multicast => "multicast",
            Self::Closest => "closest",
            Self::Balanced => "balanced",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The local address by which an edge router reaches everything that is not its own: its uplink.
pub const EDGE_UPLINK: AddressRef<'static> = AddressRef::new(AddressClass::Local, "_edge");

/// Whether a router takes part in routing or hangs off one that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterMode {
    /// Runs the routing protocol.
    Interior,
    /// Sends everything that is not local to its uplink.
    Edge,
}

/// Returns the router that an entry of the annotations' trace or ingress names: `north` of
/// `0/north`.
pub fn router_of_node(text: &str) -> Option<&str> {
    text.strip_prefix("0/")
}
