//! `sslProfile`: certificates and rules for TLS.

use std::path::PathBuf;

use super::{name, text_of};
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{number, path, text};
use crate::schema::entity_type::{CHANGED, EntityType, configuration};
use crate::schema::{AttributeError, Entity, Password, Problem, Use};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    own_operations: CHANGED,
    own_attributes: &[
        text(
            "ciphers",
            "The cipher suites that TLS 1.2 may use, by their OpenSSL names, separated by \
             colons. The router does not start when none of them can be had.",
        )
        .unset("all that are safe")
        .example("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384")
        .create()
        .update()
        .guards(),
        text("protocols", "The versions of TLS that may be used, separated by blanks.")
            .unset("TLSv1.2 TLSv1.3")
            .example("TLSv1.2 TLSv1.3")
            .create()
            .update()
            .guards(),
        path(
            "caCertFile",
            "PEM file of the certificate authorities that the other side's certificate must come \
             from.",
        )
        .example("/etc/skrouterd/tls/ca.crt")
        .names_file(Use::Credentials)
        .create()
        .update()
        .works(),
        path(
            "certFile",
            "PEM file of the certificate this router shows, with the intermediate ones after it.",
        )
        .example("/etc/skrouterd/tls/tls.crt")
        .names_file(Use::Credentials)
        .create()
        .update()
        .works(),
        path("privateKeyFile", "PEM file of the certificate's private key.")
            .example("/etc/skrouterd/tls/tls.key")
            .names_file(Use::Credentials)
            .create()
            .update()
            .works(),
        text(
            "password",
            "The password of the private key: env:NAME for an environment variable, file:PATH \
             for the first line of a file. literal:TEXT, pass:TEXT and bare text are the \
             password itself, which is better kept out of a configuration.",
        )
        .example("file:/etc/skrouterd/tls/password")
        .create()
        .update()
        .secret()
        .guards(),
        text(
            "uidFormat",
            "Which parts of a client certificate make its user name, one letter each: c country, \
             s state, l locality, o organization, u unit, n common name, and the fingerprints 1 \
             SHA-1, 2 SHA-256, 5 SHA-512.",
        )
        .unset("the whole subject")
        .example("n")
        .create()
        .works(),
        text(
            "uidNameMappingFile",
            "JSON file of an object that maps what uidFormat made to user names.",
        )
        .example("/etc/skrouterd/users.json")
        .names_file(Use::Credentials)
        .create()
        .works(),
        number(
            "ordinal",
            "Counts the renewals of the credentials. When it is raised, connectors of the \
             profile open new connections and let the older ones go.",
        )
        .range(0, i64::MAX)
        .implied(Number(0))
        .create()
        .update(),
        number(
            "oldestValidOrdinal",
            "When it is raised, connections made with an older ordinal are closed.",
        )
        .range(0, i64::MAX)
        .implied(Number(0))
        .create()
        .update(),
    ],
    ..configuration(
        "Certificates and rules for TLS, which listeners and connectors name. With caCertFile a \
         peer is verified; with certFile and privateKeyFile the router shows who it is. For a \
         link both sides need all three.",
    )
};

/// Certificates and rules for TLS. The TLS room says which files a use needs, and reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
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
            ciphers: text_of(entity, "ciphers"),
            protocols: text_of(entity, "protocols"),
            ca_cert_file: entity.find("caCertFile")?,
            cert_file: entity.find("certFile")?,
            private_key_file: entity.find("privateKeyFile")?,
            password: entity.find("password")?,
            uid_format: text_of(entity, "uidFormat"),
            uid_name_mapping_file: entity.find("uidNameMappingFile")?,
            ordinal,
            oldest_valid_ordinal,
        })
    }
}
