//! What `skstat` and `skmanage` have in common, which is what users of the C router's tools rely
//! on: how options are written, how a router is reached, how JSON and errors are printed, the exit
//! status.
//!
//! `options` reads command lines by a table and prints help from it, `connecting` holds the options
//! of a connection, `json` turns AMQP values into JSON and prints it, `run` is what stands around a
//! command.

pub(super) mod connecting;
pub(super) mod json;
pub(super) mod options;
pub(super) mod run;
