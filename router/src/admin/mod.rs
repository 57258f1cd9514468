//! The admin unix socket: what the running router tells its operator, as JSON over HTTP/1.1.
//!
//! [`model`] is what is told, and the [`Source`](model::Source) that tells it; [`reason`] says why a site link is not active.

pub mod model;
pub mod reason;
