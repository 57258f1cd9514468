//! What black-box tests of the daemon are made of: router processes, certificates, backends, relays
//! and clients.
//!
//! Nothing here looks into the router: it is an executable that is given a configuration file, and
//! everything is observed from outside. The router under test is this package's own executable;
//! `SKROUTERD_UNDER_TEST` names another one, which is how the scenarios are checked against an
//! independent implementation. `SKROUTERD_PEER` (and `SKROUTERD_PEER_ARGS`) name that independent
//! implementation for the tests that mix the two.
//!
//! Not every test program uses all of it, and each has it as a module of its own.
#![allow(dead_code, unused_imports, unused_macros, unreachable_pub)]

pub mod amqp;
pub mod backend;
pub mod client;
pub mod lab;
pub mod manager;
pub mod network;
pub mod pattern;
#[macro_use]
pub mod peers;
pub mod pki;
pub mod ports;
pub mod process;
pub mod relay;
pub mod scene;
pub mod spec;
pub mod tls;
pub mod wait;
pub mod websocket;

pub use backend::Backend;
pub use client::End;
pub use lab::Lab;
pub use manager::Manager;
pub use network::{Line, Pair, PairOptions, Triangle};
pub use peers::Kind;
pub use process::Router;
pub use relay::Relay;
pub use scene::Scene;
pub use spec::Spec;
