//! TLS profiles.

use std::path::PathBuf;

use super::{name, text};
use crate::schema::{AttributeError, Entity, Password, Problem};

/// Certificates and rules for TLS. Which of the files a use needs, and what they hold, is for the
/// TLS room to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SslProfile {
    pub name: String,
    /// OpenSSL names, separated by colons.
    pub ciphers: Option<String>,
    /// Names such as `TLSv1.3`, separated by blanks.
    pub protocols: Option<String>,
    pub ca_cert_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub private_key_file: Option<PathBuf>,
    pub password: Option<Password>,
    pub uid_format: Option<String>,
    pub uid_name_mapping_file: Option<PathBuf>,
    pub ordinal: u64,
    pub oldest_valid_ordinal: u64,
}

impl TryFrom<&Entity> for SslProfile {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let ordinal = entity.get("ordinal")?;
        let oldest_valid_ordinal = entity.get("oldestValidOrdinal")?;
        if oldest_valid_ordinal > ordinal {
            let problem =
                format!("{oldest_valid_ordinal} is more than the ordinal, which is {ordinal}");
            return Err(Problem::Invalid(problem).of("oldestValidOrdinal"));
        }
        Ok(Self {
            name: name(entity)?,
            ciphers: text(entity, "ciphers"),
            protocols: text(entity, "protocols"),
            ca_cert_file: entity.find("caCertFile")?,
            cert_file: entity.find("certFile")?,
            private_key_file: entity.find("privateKeyFile")?,
            password: entity.find("password")?,
            uid_format: text(entity, "uidFormat"),
            uid_name_mapping_file: entity.find("uidNameMappingFile")?,
            ordinal,
            oldest_valid_ordinal,
        })
    }
}
