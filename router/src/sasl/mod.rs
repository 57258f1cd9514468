//! Passwords: where they are kept, and whether a client's is right.
//!
//! Operators configure them as for the C router. The router's `saslConfigDir` and `saslConfigName`
//! name a file such as `/etc/sasl2/skrouterd.conf`. In it `password_file` names a file of the
//! router's own format, with hashes, or `sasldb_path` names a database of Cyrus SASL. Each check
//! reads that file, so a change takes effect at once.
//!
//! A password file has a line `NAME:HASH` for each user; `#` begins a comment line. HASH is scrypt
//! in the PHC form, `$scrypt$ln=15,r=8,p=1$SALT$HASH`, as `skup password USER` prints it.
//!
//! A check takes time and memory on purpose, and blocks. Call it only on a thread for blocking
//! work, in the order of [`Turns`].

mod database;
mod error;
mod file;
mod settings;
mod turns;

pub use error::SaslError;
pub use settings::Passwords;
pub use turns::{Ticket, TooMany, Turns};

/// Returns a line for a password file.
///
/// # Errors
/// The name or the password is not allowed, or it cannot be hashed.
pub fn line(user: &str, password: &str) -> Result<String, SaslError> {
    file::line(user, password)
}

#[cfg(test)]
mod tests;
