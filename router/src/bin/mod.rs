//! The commands beside the daemon, all in its one executable.

pub mod skup;
