//! The parts of black-box tests of the daemon: router processes, certificates, backends, relays and
//! clients.
//!
//! The tests run a router as an executable with a configuration file, and observe it from outside.
//! The router under test is this package's executable. `SKROUTERD_UNDER_TEST` names another one, to
//! check the scenarios themselves against an independent implementation. `SKROUTERD_PEER` (and
//! `SKROUTERD_PEER_ARGS`) name that implementation for tests that mix both.
//!
//! Each test program includes all of this as a module of its own, and uses a part.
#![allow(clippy::allow_attributes, dead_code, unused_imports, unused_macros, unreachable_pub)]

pub mod amqp;
pub mod backend;
pub mod client;
pub mod hear;
pub mod http;
pub mod lab;
pub mod manager;
pub mod monitor;
pub mod network;
pub mod pattern;
#[macro_use]
pub mod peers;
pub mod pki;
pub mod ports;
pub mod process;
#[macro_use]
pub mod python;
pub mod relay;
pub mod scene;
pub mod spec;
pub mod tls;
pub mod tool;
pub mod wait;
pub mod watched;
pub mod websocket;

pub use backend::Backend;
pub use client::End;
pub use lab::Lab;
pub use manager::Manager;
pub use monitor::Monitor;
pub use network::{Line, Pair, PairOptions, Triangle};
pub use peers::Kind;
pub use process::Router;
pub use python::Python;
pub use relay::Relay;
pub use scene::Scene;
pub use spec::Spec;
pub use tool::Tool;
pub use watched::Watched;
