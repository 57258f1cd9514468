//! The commands beside the daemon, all in its executable.

pub mod skmanage;
pub mod skstat;
pub mod skup;
mod tools;
