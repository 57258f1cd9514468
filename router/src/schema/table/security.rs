//! TLS profiles and proxies.

use super::management::configuration;
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{number, path, text};
use crate::schema::entity_type::EntityType;
use crate::schema::{Effect, Operation, Use};

const CHANGING: &[Operation] = &[Operation::Create, Operation::Update, Operation::Delete];

pub(super) static SSL_PROFILE: EntityType = EntityType {
    own_operations: CHANGING,
    own_attributes: &[
        text(
            "ciphers",
            "The cipher suites that TLS 1.2 may use, by their OpenSSL names, separated by colons. The router does not start when \
             none of them can be had.",
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
        path("caCertFile", "PEM file of the certificate authorities that the other side's certificate must come from.")
            .example("/etc/skrouterd/tls/ca.crt")
            .names_file(Use::Credentials)
            .create()
            .update()
            .works(),
        path("certFile", "PEM file of the certificate this router shows, with the intermediate ones after it.")
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
            "The password of the private key: env:NAME for an environment variable, file:PATH for the first line of a file. \
             literal:TEXT, pass:TEXT and bare text are the password itself, which is better kept out of a configuration.",
        )
        .example("file:/etc/skrouterd/tls/password")
        .create()
        .update()
        .secret()
        .guards(),
        text(
            "uidFormat",
            "Which parts of a client certificate make its user name, one letter each: c country, s state, l locality, \
             o organization, u unit, n common name, and the fingerprints 1 SHA-1, 2 SHA-256, 5 SHA-512.",
        )
        .unset("the whole subject")
        .example("n")
        .create()
        .works(),
        text("uidNameMappingFile", "JSON file of an object that maps what uidFormat made to user names.")
            .example("/etc/skrouterd/users.json")
            .names_file(Use::Credentials)
            .create()
            .works(),
        number(
            "ordinal",
            "Counts the renewals of the credentials. When it is raised, connectors of the profile open new connections and let the \
             older ones go.",
        )
        .range(0, i64::MAX)
        .implied(Number(0))
        .create()
        .update(),
        number("oldestValidOrdinal", "When it is raised, connections made with an older ordinal are closed.")
            .range(0, i64::MAX)
            .implied(Number(0))
            .create()
            .update(),
    ],
    ..configuration("Certificates and rules for TLS, which listeners and connectors name. With caCertFile a peer is verified; with certFile \
         and privateKeyFile the router shows who it is. For a link both sides need all three.",
    )
};

pub(super) static PROXY_PROFILE: EntityType = EntityType {
    effect: Effect::Accepted,
    own_operations: CHANGING,
    own_attributes: &[
        text("host", "The proxy's host.").example("proxy.example.com").create().update(),
        text("port", "The proxy's port.").example("3128").create().update(),
        text("username", "Who to be at the proxy.").example("skrouterd").create().update(),
        text(
            "password",
            "The password at the proxy, in one of the forms that sslProfile's password has.",
        )
        .example("file:/etc/skrouterd/proxy-password")
        .create()
        .update()
        .hidden()
        .guards(),
    ],
    ..configuration("An HTTP proxy that a connector goes through, by CONNECT.")
};
