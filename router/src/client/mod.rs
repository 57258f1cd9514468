//! A client of management nodes, with which the tools query running routers.
//!
//! * `url` reads the place to connect to, and `options` holds TLS, SASL and time limits.
//! * `connection` owns the socket and drives the AMQP engine.
//! * `node` sends requests and awaits responses.
//! * `error` holds the reasons of failures.
//!
//! The tools choose the requests and print the responses.

mod connection;
mod error;
mod node;
mod options;
#[cfg(test)]
mod tests;
mod url;

pub use error::{ClientError, Doing};
pub use node::{Node, node_address};
pub use options::{Options, SaslOptions, TlsOptions};
pub use url::{Scheme, Url, UrlError};
