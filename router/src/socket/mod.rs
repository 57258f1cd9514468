//! Every TCP socket of the router is made here: listening, dialing, name resolution, options, and
//! the ways a socket ends.
//!
//! Nothing here knows what is spoken on a socket; TLS lives in [`crate::tls`].
//!
//! Sockets move between the runtimes of the shards. Listeners are made as [`std::net::TcpListener`]
//! in non-blocking mode, ready for [`tokio::net::TcpListener::from_std`] on the runtime that
//! accepts; a stream moves with `into_std` on the runtime it leaves and `from_std` on the one it
//! enters (both keep non-blocking mode and options).

mod descriptors;
mod dial;
mod limits;
mod listen;
mod options;
mod places;
mod read;
mod resolve;
mod source;
mod write;

pub use descriptors::{Descriptor, NO_DESCRIPTOR, Purpose, limit_descriptors};
pub use dial::{AttemptError, DialError, DialOptions, dial, dial_address};
pub use limits::raise_descriptor_limit;
pub use listen::{
    AcceptFailure, ListenError, accept_failure, drain_accept, listen, listen_address,
};
pub use options::{Kind, configure, end_cleanly, finish, reset};
pub use places::{Neighbors, Phase, Place, Places};
pub use read::read;
pub use resolve::{Family, ResolveError, ResolveFailure, Resolver, service_port};
pub use source::Source;
pub use write::write;

/// The address to show for a peer: what a dual-stack socket calls `::ffff:192.0.2.1` is written
/// `192.0.2.1`.
pub fn canonical(address: std::net::SocketAddr) -> std::net::SocketAddr {
    std::net::SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
