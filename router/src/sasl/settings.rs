//! The configuration file of SASL, with the keys of Cyrus SASL.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{LONGEST, SaslError};
use super::{database, file};

/// The default folder of Cyrus SASL.
const FOLDER: &str = "/etc/sasl2";

/// Most bytes read of a configuration file, and of a password file or database.
const LARGEST_SETTINGS: u64 = 64 * 1024;
const LARGEST: u64 = 16 * 1024 * 1024;

/// The file that holds the passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    File(PathBuf),
    Database(PathBuf),
}

/// The passwords that a router's listeners accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passwords(Kept);

impl Passwords {
    /// Reads the file `NAME.conf` in `folder`, or in the folder of Cyrus SASL.
    ///
    /// # Errors
    /// The file cannot be read, names no passwords, or asks for an unsupported method.
    pub fn find(folder: Option<&Path>, name: &str) -> Result<Self, SaslError> {
        let path = folder.unwrap_or_else(|| Path::new(FOLDER)).join(format!("{name}.conf"));
        let octets = read(&path, LARGEST_SETTINGS)?;
        Self::of(&String::from_utf8_lossy(&octets), &path)
    }

    pub(super) fn of(text: &str, path: &Path) -> Result<Self, SaslError> {
        let setting = |wanted: &str| {
            let value = |line: &str| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == wanted && !line.trim_start().starts_with('#'))
                    .then(|| value.trim().to_owned())
            };
            text.lines().filter_map(value).find(|value| !value.is_empty())
        };
        if let Some(file) = setting("password_file") {
            return Ok(Self(Kept::File(file.into())));
        }
        for (key, known) in [("pwcheck_method", "auxprop"), ("auxprop_plugin", "sasldb")] {
            if let Some(value) =
                setting(key).filter(|value| !value.split_whitespace().any(|word| word == known))
            {
                return Err(SaslError::Unsupported { path: path.to_owned(), key, value });
            }
        }
        match setting("sasldb_path") {
            Some(file) => Ok(Self(Kept::Database(file.into()))),
            None => Err(SaslError::NoPasswords { path: path.to_owned() }),
        }
    }

    /// Returns true if the password is the user's. `host` is the realm of users that give none.
    /// Blocks.
    ///
    /// # Errors
    /// The file of passwords cannot be read.
    pub fn verify(&self, user: &str, password: &str, host: &str) -> Result<bool, SaslError> {
        if user.len() > LONGEST || password.len() > LONGEST {
            return Ok(false);
        }
        match &self.0 {
            Kept::File(path) => {
                let octets = read(path, LARGEST)?;
                let text = String::from_utf8_lossy(&octets);
                let found = file::find(&text, user)
                    .map_err(|line| SaslError::Line { path: path.clone(), line })?;
                Ok(file::verify(found, password))
            }
            Kept::Database(path) => {
                let octets = read(path, LARGEST)?;
                let (name, realm) = user.rsplit_once('@').unwrap_or((user, host));
                let key = format!("{name}\0{realm}\0userPassword");
                let found = database::find(&octets, key.as_bytes())
                    .ok_or_else(|| SaslError::Database { path: path.clone() })?;
                Ok(found.is_some_and(|kept| same(kept, password.as_bytes())))
            }
        }
    }

    /// Checks that the file of passwords can be read. Call it at start-up, so that a mistake shows
    /// early.
    ///
    /// # Errors
    /// The file cannot be read, or is malformed.
    pub fn check(&self) -> Result<(), SaslError> {
        match &self.0 {
            Kept::File(path) => {
                let octets = read(path, LARGEST)?;
                file::check(&String::from_utf8_lossy(&octets))
                    .map_err(|line| SaslError::Line { path: path.clone(), line })
            }
            Kept::Database(path) => {
                let octets = read(path, LARGEST)?;
                database::find(&octets, b"")
                    .map(|_| ())
                    .ok_or_else(|| SaslError::Database { path: path.clone() })
            }
        }
    }
}

/// Compares in a time that depends on the lengths only.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |differing, (left, right)| differing | (left ^ right))
            == 0
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, SaslError> {
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut octets))
        .map_err(|cause| SaslError::Unreadable { path: path.to_owned(), cause })?;
    if octets.len() as u64 > limit {
        return Err(SaslError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(octets)
}
