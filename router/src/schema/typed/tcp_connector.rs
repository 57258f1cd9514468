//! `tcpConnector`: a server of a service.

use super::service::{BYTES_IN, BYTES_OUT, CLOSED, OPENED, SITE_ID};
use super::{name, text_of};
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{flag, text};
use crate::schema::entity_type::{CREATED_AND_DELETED, EntityType, configuration};
use crate::schema::{AttributeError, Entity, EntityKind, Port, Problem};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text("address", "The service that this server serves. Must be given.")
            .example("hello")
            .create()
            .works(),
        text("host", "The server's address or host name; a name is resolved anew as it ages.")
            .default(Text("127.0.0.1"))
            .create()
            .works(),
        text("port", "The server's TCP port: a number or the name of a service. Must be given.")
            .example("80")
            .create()
            .works(),
        SITE_ID,
        text("processId", "The process that serves, for flow records.")
            .example("hello-1")
            .create()
            .works(),
        OPENED,
        CLOSED,
        BYTES_IN,
        BYTES_OUT,
        text("sslProfile", "The sslProfile for TLS with the server. Without one it is plain TCP.")
            .refers_to(EntityKind::SslProfile)
            .example("service")
            .create()
            .works(),
        flag("verifyHostname", "Refuse a server whose certificate does not name the host.")
            .default(Flag(true))
            .create()
            .guards(),
    ],
    ..configuration(
        "A server: the router connects to it for each service connection to its address.",
    )
};

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TcpConnector {
    pub name: String,
    pub address: String,
    pub host: String,
    pub port: Port,
    pub ssl_profile: Option<String>,
    pub verify_hostname: bool,
    pub site_id: Option<String>,
    pub process_id: Option<String>,
}

impl TcpConnector {
    /// Returns host and port as configured.
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl TryFrom<&Entity> for TcpConnector {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            name: name(entity)?,
            address: text_of(entity, "address").ok_or_else(|| Problem::Missing.of("address"))?,
            host: entity.get("host")?,
            port: entity.get("port")?,
            ssl_profile: text_of(entity, "sslProfile"),
            verify_hostname: entity.get("verifyHostname")?,
            site_id: text_of(entity, "siteId"),
            process_id: text_of(entity, "processId"),
        })
    }
}
