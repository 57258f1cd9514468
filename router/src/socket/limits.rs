//! The limit of open descriptors.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard limit. Returns the limit in force, `None`
/// for none.
///
/// Every service connection takes a descriptor. The usual soft limit of 1024 is a legacy of
/// `select`, which the router does not use.
///
/// # Errors
/// The system refuses.
pub fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return Ok(current);
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(getrlimit(Resource::Nofile).current)
}
