//! Black-box tests of the daemon, with real processes, certificates and sockets.
//!
//! Each theme has one file. `support` holds the common parts and explains the environment
//! variables. A test that cannot run here prints `skipped: NAME: REASON` on standard error and
//! passes. `.ci/run` counts those lines.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod access;
mod another_client;
mod busy;
mod certificates;
mod commands;
mod containers;
mod edge;
mod flow;
mod greedy;
mod harness;
mod hostile;
mod interop;
mod lifecycle;
mod link_loss;
mod link_status;
mod management;
mod memory;
mod messages;
mod operator;
mod places;
mod refusals;
mod rights;
mod service;
mod several_addresses;
mod streams;
mod tools;
mod web;
