//! The common parts of `skstat` and `skmanage`, on which users of the C router's tools rely.
//!
//! * `options` reads a command line by a table, and prints help from that table.
//! * `connecting` holds the options of a connection.
//! * `json` converts AMQP values to JSON, and prints it.
//! * `run` runs a command, prints its output or error, and sets the exit status.

pub(super) mod connecting;
pub(super) mod json;
pub(super) mod options;
pub(super) mod run;
