//! Who may come in with a password: where passwords are kept, and whether one is right.
//!
//! Operators say it as for the C router: `saslConfigDir` and `saslConfigName` of the router name a
//! file such as `/etc/sasl2/skrouterd.conf`, whose `password_file` (ours, hashed) or `sasldb_path`
//! (that of Cyrus SASL) is where the passwords are. The file of passwords is read for each check,
//! so that a change counts at once.
//!
//! A password file has a line `NAME:HASH` for each user; `#` begins a comment line. HASH is scrypt
//! in the PHC form, `$scrypt$ln=15,r=8,p=1$SALT$HASH`, as `skup password USER` makes it.
//!
//! Checks take time and memory on purpose. They block: call them where that may be, in the order of
//! [`Turns`].

mod database;
mod file;
mod settings;
mod turns;

pub use settings::{Passwords, SaslError};
pub use turns::{Ticket, TooMany, Turns};

/// A line for a password file.
pub fn line(user: &str, password: &str) -> Result<String, SaslError> {
    file::line(user, password)
}

#[cfg(test)]
mod tests;
