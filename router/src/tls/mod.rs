//! TLS and certificates: the one place that knows rustls.
//!
//! A [`Profile`] is a loaded `sslProfile`. It gives out an [`Acceptor`] for listeners and a
//! [`Connector`] for connectors. Both use the material that the profile has at the time of the
//! handshake. So a reload reaches new sessions and leaves running ones alone. A handshake ends in a
//! socket and a [`Session`], or in a [`HandshakeError`] that an operator can act on.
//!
//! ```text
//!   ProfileConfig --load--> Material: trust, identity, naming, ciphers     (material)
//!        |                      |
//!     Profile ------------- InForce <--- Acceptor, Connector               (profile, handshake)
//!                                              |
//!                        verifiers (verify, trust) --> Session, SessionInfo
//! ```
//!
//! Each session proves its peer anew. Session resumption is off: a resumed session would outlive
//! the reload, or the expiry, of its certificates.
//!
//! [`Authority`] makes certificates for the demo, for a site without a control plane, and for
//! tests.

mod authority;
mod certificate;
mod ciphers;
mod config;
mod der;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handshake;
mod host;
mod info;
mod key;
mod material;
mod naming;
mod problem;
mod profile;
mod session;
mod trust;
mod verify;

pub use authority::{Authority, AuthorityError, Issued, Leaf};
pub use certificate::Certificate;
pub use config::ProfileConfig;
pub use failure::HandshakeError;
pub use handshake::{Acceptor, Connector, speaks_tls};
pub use info::SessionInfo;
pub use problem::{ProfileError, ProfileProblem};
pub use profile::Profile;
pub use session::{End, Flushed, Input, Output, Received, Session, SessionError};
pub use verify::{ClientVerification, ServerVerification};

#[cfg(test)]
mod tests;
