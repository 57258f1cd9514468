//! Password files in the router's own format: names and scrypt hashes.

use std::sync::OnceLock;

use scrypt::password_hash::phc::PasswordHash;
use scrypt::password_hash::{CustomizedPasswordHasher, PasswordVerifier};
use scrypt::{Params, Scrypt};

use super::error::{LONGEST, SaslError};

/// 2^15 rounds: each check, and so each guess, costs 32 MiB and about a tenth of a second.
const LOG_ROUNDS: u8 = 15;

/// The hash that a password of an unknown user is compared with. So the time of an answer does not
/// show which users exist.
static NOBODY: OnceLock<String> = OnceLock::new();

/// Returns the line number, name and hash of each user of a file.
fn users(text: &str) -> impl Iterator<Item = (usize, Option<(&str, &str)>)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            (number, line.split_once(':').filter(|(_, hash)| hash.starts_with("$scrypt$")))
        })
}

/// Returns the hash of a user.
///
/// # Errors
/// The number of a line that cannot be read.
pub(super) fn find<'a>(text: &'a str, user: &str) -> Result<Option<&'a str>, usize> {
    for (number, entry) in users(text) {
        let (name, hash) = entry.ok_or(number)?;
        if name == user {
            return Ok(Some(hash));
        }
    }
    Ok(None)
}

/// Checks every line.
///
/// # Errors
/// The number of the first line that cannot be read.
pub(super) fn check(text: &str) -> Result<(), usize> {
    let whole = |hash: PasswordHash| hash.salt.is_some() && hash.hash.is_some();
    let sound = |entry: Option<(&str, &str)>| {
        entry.is_some_and(|(name, hash)| {
            name_is_sound(name) && PasswordHash::new(hash).is_ok_and(whole)
        })
    };
    users(text).find(|(_, entry)| !sound(*entry)).map_or(Ok(()), |(number, _)| Err(number))
}

/// Returns true if the password fits the hash. Without a hash it returns false, after the same
/// time.
pub(super) fn verify(hash: Option<&str>, password: &str) -> bool {
    let nobody = || NOBODY.get_or_init(|| self::hash("nobody").unwrap_or_default()).as_str();
    let compared = PasswordHash::new(hash.unwrap_or_else(nobody));
    let equal = compared
        .is_ok_and(|parsed| Scrypt::new().verify_password(password.as_bytes(), &parsed).is_ok());
    equal && hash.is_some()
}

fn hash(password: &str) -> Result<String, SaslError> {
    let failed = |problem: &dyn std::fmt::Display| SaslError::Hash(problem.to_string());
    let params = Params::new(LOG_ROUNDS, 8, 1).map_err(|problem| failed(&problem))?;
    let mut salt = [0; 16];
    // The system call returns so few bytes at once. It needs no device, and the image has none.
    rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::empty())
        .map_err(|problem| failed(&problem))?;
    let hashed =
        Scrypt::new().hash_password_customized(password.as_bytes(), &salt, None, None, params);
    hashed.map(|hash| hash.to_string()).map_err(|problem| failed(&problem))
}

fn name_is_sound(user: &str) -> bool {
    let length = (1..=LONGEST).contains(&user.len());
    length && !user.starts_with('#') && !user.contains(|c: char| c == ':' || c.is_control())
}

fn password_is_sound(password: &str) -> bool {
    (1..=LONGEST).contains(&password.len()) && !password.contains('\0')
}

pub(super) fn line(user: &str, password: &str) -> Result<String, SaslError> {
    if !name_is_sound(user) {
        return Err(SaslError::Name);
    }
    if !password_is_sound(password) {
        return Err(SaslError::Password);
    }
    Ok(format!("{user}:{}", hash(password)?))
}
