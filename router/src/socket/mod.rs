//! Creates every TCP socket of the router: listeners, dials, name resolution, options, and the ways
//! in which a socket ends.
//!
//! This room does not know the protocols on its sockets. TLS is in [`crate::tls`].
//!
//! Sockets move between the runtimes of the shards:
//!
//! * A listener is a [`std::net::TcpListener`] in non-blocking mode. The runtime that accepts wraps
//!   it with [`tokio::net::TcpListener::from_std`].
//! * A stream leaves a runtime with `into_std` and enters another with `from_std`. Both keep the
//!   non-blocking mode and the options.

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
pub use options::{SocketUse, configure, end_cleanly, finish, reset};
pub use places::{Neighbors, Phase, Place, Places};
pub use read::read;
pub use resolve::{Family, ResolveError, ResolveFailure, Resolver, service_port};
pub use source::Source;
pub use write::write;

/// Returns the address to show for a peer: a dual-stack socket's `::ffff:192.0.2.1` becomes
/// `192.0.2.1`.
pub fn canonical(address: std::net::SocketAddr) -> std::net::SocketAddr {
    std::net::SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
