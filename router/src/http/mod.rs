//! HTTP spoken by the router itself.
//!
//! [`connections`] is what every HTTP port of the router shares: the accept loop, its limits and
//! its deadlines; the admin socket stands on it too. [`tls`] puts TLS under it. [`server`] is the
//! listener with `http: yes`, [`metrics`] what its `/metrics` answers, and [`files`] what it serves
//! of a folder. A client that asks for WebSocket is handed on: AMQP is not spoken here.

pub mod aside;
pub mod connections;
pub mod files;
pub mod metrics;
#[cfg(any(test, fuzzing))]
pub mod opening;
pub mod server;
pub mod tls;
