//! A client of management nodes: what the tools ask running routers with.
//!
//! `url` reads where to connect, `options` how, `connection` owns the socket and drives the AMQP
//! engine, `node` asks and awaits the answers, `error` says why there is none. What is asked and
//! how answers look on a terminal is the tools' business.

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
