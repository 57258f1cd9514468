//! The data-plane router of a Skupper network: `skrouterd` and its tools.
//!
//! It is a library with thin executables, so that tests, benchmarks and fuzzers reach every room.
//! `ARCHITECTURE.md` draws the rooms, and `tests/rooms.rs` says which room may name which.
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

pub mod admin;
pub mod agent;
pub mod app;
pub mod bin;
pub mod client;
pub mod clock;
pub mod config;
pub mod core;
pub mod files;
pub mod flow;
pub mod http;
pub mod lock;
pub mod log;
pub mod net;
pub mod node;
pub mod policy;
pub mod sasl;
pub mod schema;
pub mod socket;
pub mod tcp;
pub mod text;
pub mod tls;
pub mod websocket;
