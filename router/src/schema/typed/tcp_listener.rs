//! `tcpListener`: a port on which clients reach a service.

use super::service::{BYTES_IN, BYTES_OUT, CLOSED, OPENED, SITE_ID};
use super::{name, text_of};
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{choice, flag, number, text};
use crate::schema::entity_type::{CHANGED, EntityType, configuration};
use crate::schema::{
    AttributeError, Entity, EntityKind, MultiAddressStrategy, Observer, Port, Problem,
};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    own_operations: CHANGED,
    own_attributes: &[
        text(
            "address",
            "The service whose servers clients reach here. Needed unless multiAddressStrategy is \
             set.",
        )
        .example("hello")
        .create()
        .works(),
        text("host", "The address or host name to listen on; empty is every address of the host.")
            .default(Text(""))
            .example("127.0.0.1")
            .create()
            .works(),
        number(
            "backlog",
            "How many connections may wait to be accepted; 0 is what the system thinks best.",
        )
        .range(0, i32::MAX as i64)
        .default(Number(0))
        .create()
        .works(),
        text("port", "The TCP port: a number or the name of a service. Must be given.")
            .example("8080")
            .create()
            .works(),
        choice(
            "multiAddressStrategy",
            MultiAddressStrategy::WORDS,
            "How one of several addresses is picked for a connection; the addresses are \
             listenerAddress entities that name this listener.",
        )
        .default(Text("none"))
        .create()
        .works(),
        SITE_ID,
        OPENED,
        CLOSED,
        BYTES_IN,
        BYTES_OUT,
        text(
            "sslProfile",
            "The sslProfile for TLS with clients. Without one clients speak plain TCP.",
        )
        .refers_to(EntityKind::SslProfile)
        .example("service")
        .create()
        .works(),
        flag(
            "authenticatePeer",
            "Refuse clients without a certificate that the sslProfile's authorities vouch for.",
        )
        .default(Flag(false))
        .create()
        .guards(),
        choice(
            "operStatus",
            &["up", "down"],
            "Whether the port is open: it is while somebody serves the address.",
        ),
        text("connectionMsg", "Why the port is not open when it should be."),
        choice(
            "observer",
            Observer::WORDS,
            "Which application protocol to look for, so that requests show in flow records.",
        )
        .default(Text("auto"))
        .create()
        .update(),
    ],
    ..configuration(
        "A TCP port on which clients reach a service, wherever in the network its servers are.",
    )
};

/// A port on which clients reach a service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TcpListener {
    pub name: String,
    /// The service; `None` with a [`MultiAddressStrategy`].
    pub address: Option<String>,
    pub strategy: MultiAddressStrategy,
    /// Empty means every address of the host.
    pub host: String,
    pub port: Port,
    /// Connections that may wait to be accepted. `None` leaves it to the system.
    pub backlog: Option<u32>,
    pub ssl_profile: Option<String>,
    pub authenticate_peer: bool,
    pub site_id: Option<String>,
    pub observer: Observer,
}

impl TcpListener {
    /// Returns whether listenerAddress entities give its addresses.
    pub fn has_several_addresses(&self) -> bool {
        self.strategy != MultiAddressStrategy::None
    }

    /// Returns host and port as configured.
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl TryFrom<&Entity> for TcpListener {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let address = text_of(entity, "address");
        let strategy = entity.get("multiAddressStrategy")?;
        match (&address, strategy) {
            (None, MultiAddressStrategy::None) => {
                return Err(Problem::Invalid(
                    "Exactly one of the 'address' or 'multiAddressStrategy' field must be set"
                        .to_owned(),
                )
                .of("address"));
            }
            (Some(_), MultiAddressStrategy::Priority | MultiAddressStrategy::Weighted) => {
                let problem =
                    "Exactly one of the 'address' or 'multiAddressStrategy' field must be set"
                        .to_owned();
                return Err(Problem::Invalid(problem).of("multiAddressStrategy"));
            }
            _ => {}
        }
        let ssl_profile = text_of(entity, "sslProfile");
        let authenticate_peer = entity.get("authenticatePeer")?;
        if authenticate_peer && ssl_profile.is_none() {
            let problem =
                "client certificates are demanded, but there is no sslProfile to ask for them with"
                    .to_owned();
            return Err(Problem::Invalid(problem).of("authenticatePeer"));
        }
        Ok(Self {
            name: name(entity)?,
            address,
            strategy,
            host: entity.get("host")?,
            port: entity.get("port")?,
            backlog: Some(entity.get("backlog")?).filter(|backlog| *backlog != 0),
            ssl_profile,
            authenticate_peer,
            site_id: text_of(entity, "siteId"),
            observer: entity.get("observer")?,
        })
    }
}
