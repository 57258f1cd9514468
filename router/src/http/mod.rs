//! The HTTP ports of the router.
//!
//! * [`connections`] is the accept loop of every HTTP port, with its limits and deadlines. The
//!   admin socket uses it too.
//! * [`tls`] puts TLS under it.
//! * [`server`] is the listener with `http: yes`.
//! * [`metrics`] renders the answer of `/metrics`, and [`files`] serves a folder.
//! * [`aside`] makes slow answers on other threads.
//!
//! A client that asks for WebSocket leaves this room, which does not speak AMQP.

pub mod aside;
pub mod connections;
pub mod files;
pub mod metrics;
#[cfg(any(test, fuzzing))]
pub mod opening;
pub mod server;
pub mod tls;
