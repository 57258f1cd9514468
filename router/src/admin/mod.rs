//! The admin unix socket, on which the running router answers its operator in JSON over HTTP/1.1.
//!
//! * [`model`] holds the answers and the trait [`Source`](model::Source) that supplies them.
//! * [`reason`] explains why a site link is not active.
//! * [`path`] is the rule by which the daemon and `skup` agree on the socket's place.
//! * [`socket`] creates the socket there, and [`server`] answers on it.
//!
//! [`bin::skup`](crate::bin::skup) prints the answers for people.

pub mod model;
pub mod path;
pub mod reason;
pub mod server;
pub mod socket;

#[cfg(test)]
pub(crate) mod samples;
