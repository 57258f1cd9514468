//! The user name of a client by its certificate: `uidFormat` and `uidNameMappingFile`.

use std::collections::HashMap;
use std::fmt::Write;

use sha1::Digest;

use super::certificate::Certificate;

/// The rule of user names.
#[derive(Debug, Default)]
pub(super) struct Naming {
    /// The letters of the format. Without any the name is the whole subject.
    format: String,
    /// The names that replace those of the format.
    names: HashMap<String, String>,
}

/// Returns whether each letter of a format has a meaning, and at most one is a fingerprint.
pub(super) fn is_format(format: &str) -> bool {
    let known = format.chars().all(|letter| "csloun125".contains(letter));
    known
        && !format.is_empty()
        && format.chars().filter(|letter| letter.is_ascii_digit()).count() <= 1
}

impl Naming {
    pub(super) fn new(format: Option<&str>, names: HashMap<String, String>) -> Self {
        Self {
            format: format.filter(|format| is_format(format)).unwrap_or_default().to_owned(),
            names,
        }
    }

    /// Reads the file of names, one JSON object of strings.
    pub(super) fn names(text: &[u8]) -> Result<HashMap<String, String>, String> {
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    /// Returns the user name of a certificate.
    pub(super) fn user(&self, certificate: &Certificate) -> String {
        if self.format.is_empty() {
            return certificate.subject.clone();
        }
        let parts: Vec<_> =
            self.format.chars().filter_map(|letter| part(letter, certificate)).collect();
        let user = parts.join(";");
        self.names.get(&user).cloned().unwrap_or(user)
    }
}

fn part(letter: char, certificate: &Certificate) -> Option<String> {
    let field = |oid: &str| certificate.subject_field(oid);
    match letter {
        'c' => field("2.5.4.6"),
        's' => field("2.5.4.8"),
        'l' => field("2.5.4.7"),
        'o' => field("2.5.4.10"),
        'u' => field("2.5.4.11"),
        'n' => field("2.5.4.3"),
        '1' => Some(hexadecimal(&sha1::Sha1::digest(&certificate.der))),
        '2' => Some(hexadecimal(&sha2::Sha256::digest(&certificate.der))),
        '5' => Some(hexadecimal(&sha2::Sha512::digest(&certificate.der))),
        _ => None,
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn formats_have_known_letters_and_one_fingerprint() {
        for sound in ["n", "2noucs", "1cs", "cs5", "scounl"] {
            assert!(is_format(sound), "{sound}");
        }
        for wrong in ["", "1x", "abxd", "12", "d"] {
            assert!(!is_format(wrong), "{wrong}");
        }
    }

    #[test]
    fn users_are_named_by_their_certificates() {
        let names = Naming::names(
            br#"{"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad": "alice"}"#,
        )
        .unwrap();
        let certificate = Certificate {
            subject: "CN=a,O=b".to_owned(),
            issuer: String::new(),
            common_names: vec!["a".to_owned()],
            alternative_names: vec![],
            has_alternative_names: false,
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::UNIX_EPOCH,
            der: b"abc".to_vec(),
        };
        assert_eq!(Naming::new(Some("2"), names.clone()).user(&certificate), "alice");
        assert_eq!(
            Naming::new(Some("1"), names.clone()).user(&certificate),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(Naming::new(Some("1x"), names).user(&certificate), "CN=a,O=b");
        assert!(Naming::names(b"[1]").is_err());
    }
}
