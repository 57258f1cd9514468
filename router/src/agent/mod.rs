//! The management node: it reads and changes the running router through the schema.
//!
//! [`begin`] makes a response of a request, a long one in [steps](Work::step). It is pure: what
//! there is and how it is changed is behind [`Directory`], which the application implements.
//! [`Service`] is the node's place in the network: a handler of deliveries in the process, which
//! takes a bounded number of requests, one after the other of each connection, and sends the
//! responses.
//!
//! Six types are answered as C routers' cores answer them, with columns of their own ([`columns`])
//! and nulls where there is no value; all others have the attributes of the schema, without those
//! that have no value.

mod change;
mod columns;
mod describe;
mod directory;
mod handle;
mod lanes;
mod outcome;
mod query;
mod schema;
mod service;
#[cfg(test)]
mod tests;
pub mod value;

pub use columns::columns;
pub use directory::{
    By, ConnectionChange, Directory, Entities, LogLine, Page, Record, Refusal, Requester,
};
pub use handle::{Work, begin, handle};
pub use service::{Outlet, Service};
