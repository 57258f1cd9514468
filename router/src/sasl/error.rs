//! The reasons why passwords cannot be checked, and their greatest length.

use std::io;
use std::path::PathBuf;

/// Longest name and password that a check accepts, in bytes.
pub(super) const LONGEST: usize = 1024;

/// The reason why passwords cannot be checked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SaslError {
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("{} is larger than {limit} octets", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{} names neither password_file nor sasldb_path, where passwords would be",
        path.display())]
    NoPasswords { path: PathBuf },
    #[error(
        "{}: {key} {value} is not supported: passwords are read from a password_file or a \
         sasldb_path (pwcheck_method auxprop, auxprop_plugin \
         sasldb)",
        path.display()
    )]
    Unsupported { path: PathBuf, key: &'static str, value: String },
    #[error("{} line {line}: expected NAME:HASH with a hash that begins with $scrypt$",
        path.display())]
    Line { path: PathBuf, line: usize },
    #[error("{} is no Berkeley DB hash file of this machine's byte order, which is what a sasldb \
             is here", path.display())]
    Database { path: PathBuf },
    #[error(
        "a user name has no ':', no control characters and at most {LONGEST} octets, and begins \
         with no '#'"
    )]
    Name,
    #[error("a password has 1 to {LONGEST} octets and no NUL")]
    Password,
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}
