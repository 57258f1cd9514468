//! The management node: it reads and changes the running router through the schema.
//!
//! [`begin`] makes a response of a request, a long one in [steps](Work::step). It is pure:
//! [`Directory`], which the application implements, is all that it sees of the router. [`Service`]
//! is the node's place in the network. It takes requests as deliveries, carries out those of each
//! connection one after the other, and sends the responses. The number of requests is bounded.
//!
//! Six types are answered as the cores of C routers answer them: with columns of their own
//! ([`mod@columns`]) and nulls where there is no value. All others have the attributes of the
//! schema that have a value.

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
