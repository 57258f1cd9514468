//! Black-box tests of the daemon: real processes, real certificates, real sockets.
//!
//! One program, one file for each theme; `support` holds what they are made of and explains the
//! environment variables. A test that cannot run here says `skipped: NAME: REASON` on standard
//! error and passes; `.ci/run` counts those lines.

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
