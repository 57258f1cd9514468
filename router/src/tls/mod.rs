//! TLS and certificates: the one place that knows rustls.
//!
//! A [`Profile`] is the configured material (`sslProfile`). It gives out an [`Acceptor`] for
//! listeners and a [`Connector`] for connectors; both use whatever the profile holds at the time of
//! the handshake, so that a reload reaches new sessions and leaves running ones alone. A handshake
//! ends in a socket and a [`Session`], or in a [`HandshakeError`] that an operator can act on.
//!
//! Every session proves its peer anew: session resumption is off, for a resumed session would
//! outlive the reload, or the expiry, of the certificates it was founded on.
//!
//! [`Authority`] makes certificates for the demo, for a site without a control plane, and for
//! tests.

mod authority;
mod certificate;
mod ciphers;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handshake;
mod key;
mod naming;
mod profile;
mod session;
mod verify;

pub use authority::{Authority, AuthorityError, Issued, Leaf};
pub use certificate::Certificate;
pub use failure::HandshakeError;
pub use handshake::{Acceptor, ClientVerification, Connector, ServerVerification, speaks_tls};
pub use profile::{Profile, ProfileConfig, ProfileError, ProfileProblem};
pub use session::{End, Flushed, Input, Output, Received, Session, SessionError, SessionInfo};

#[cfg(test)]
mod tests;
