//! The source of a connection, by which places are shared.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A source of connections. All connections of one source share its places.
///
/// An IPv6 host usually chooses its address from a whole /64, so the /64 is the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A process of this machine, by a Unix socket.
    Local,
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The /64 of an IPv6 address.
    V6(u64),
}

impl Source {
    /// Returns the source of an address. An IPv4 address in IPv6 form is an IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                Self::V6(u64::try_from(u128::from(address) >> 64).unwrap_or_default())
            }
        }
    }

    /// Returns true for this machine. The /64 of `::1` has no other address in use.
    pub const fn is_local(self) -> bool {
        match self {
            Self::Local => true,
            Self::V4(address) => address.is_loopback(),
            Self::V6(network) => network == 0,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("this machine"),
            Self::V4(address) => address.fmt(f),
            Self::V6(network) => {
                write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*network) << 64))
            }
        }
    }
}
