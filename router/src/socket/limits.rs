//! The limit of open descriptors.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard limit and returns the limit now in force
/// (`None`: unlimited).
///
/// Every service connection takes a descriptor, and the usual soft limit of 1024 is a legacy of
/// `select`, which nothing here uses.
pub fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return Ok(current);
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(getrlimit(Resource::Nofile).current)
}
