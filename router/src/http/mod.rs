//! HTTP spoken by the router itself.
//!
//! [`connections`] is what every HTTP port of the router shares: the accept loop, its limits and its deadlines; the admin
//! socket stands on it too. [`tls`] puts TLS under it. [`server`] is the listener with `http: yes`, and [`metrics`] what its `/metrics` answers.

pub mod connections;
pub mod metrics;
pub mod server;
pub mod tls;
