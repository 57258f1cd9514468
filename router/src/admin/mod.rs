//! The admin unix socket: what the running router tells its operator, as JSON over HTTP/1.1.
//!
//! [`model`] is what is told, and the [`Source`](model::Source) that tells it; [`reason`] says why
//! a site link is not active; [`path`] is the one rule by which the daemon and `skup` agree on
//! where the socket is, [`socket`] creates it there, and [`server`] answers on it. How an answer is
//! printed for a person is the business of [`bin::skup`](crate::bin::skup).

pub mod model;
pub mod path;
pub mod reason;
pub mod server;
pub mod socket;

#[cfg(test)]
pub(crate) mod samples;
