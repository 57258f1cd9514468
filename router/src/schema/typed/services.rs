//! Services over TCP, and the treatment of addresses.

use super::{name, text};
use crate::schema::{
    AttributeError, Distribution, Entity, MultiAddressStrategy, Observer, Port, Problem, quote,
};

/// A port on which clients reach a service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TcpListener {
    pub name: String,
    /// The service; `None` with a [`MultiAddressStrategy`].
    pub address: Option<String>,
    pub strategy: MultiAddressStrategy,
    /// Empty is every address of the host.
    pub host: String,
    pub port: Port,
    /// Connections that may wait to be accepted; `None` is what the system thinks best.
    pub backlog: Option<u32>,
    pub ssl_profile: Option<String>,
    pub authenticate_peer: bool,
    pub site_id: Option<String>,
    pub observer: Observer,
}

impl TcpListener {
    /// Whether listenerAddress entities give its addresses.
    pub fn has_several_addresses(&self) -> bool {
        self.strategy != MultiAddressStrategy::None
    }

    /// Host and port as configured.
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl TryFrom<&Entity> for TcpListener {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let address = text(entity, "address");
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
        let ssl_profile = text(entity, "sslProfile");
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
            site_id: text(entity, "siteId"),
            observer: entity.get("observer")?,
        })
    }
}

/// One of the addresses of a tcpListener with a [`MultiAddressStrategy`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ListenerAddressConfig {
    pub name: String,
    pub address: String,
    /// Its priority or its weight.
    pub value: i64,
    /// The tcpListener's name.
    pub listener: String,
}

impl TryFrom<&Entity> for ListenerAddressConfig {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            name: name(entity)?,
            address: text(entity, "address").ok_or_else(|| Problem::Missing.of("address"))?,
            value: entity.get("value")?,
            listener: entity.get("listener")?,
        })
    }
}

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
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
    /// Host and port as configured.
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl TryFrom<&Entity> for TcpConnector {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            name: name(entity)?,
            address: text(entity, "address").ok_or_else(|| Problem::Missing.of("address"))?,
            host: entity.get("host")?,
            port: entity.get("port")?,
            ssl_profile: text(entity, "sslProfile"),
            verify_hostname: entity.get("verifyHostname")?,
            site_id: text(entity, "siteId"),
            process_id: text(entity, "processId"),
        })
    }
}

/// Which addresses an [`AddressConfig`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressMatch {
    /// Those that begin with these parts.
    Prefix(String),
    /// Those that match, with `*` for one part and `#` for any number.
    Pattern(String),
}

/// Why an [`AddressMatch`] cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressProblem {
    /// Neither prefix nor pattern is given.
    Neither,
    /// Prefix and pattern are given.
    Both,
    /// The text of this attribute is empty.
    Empty(&'static str),
    /// The text of this attribute has nothing between its separators.
    NoParts(&'static str),
}

impl AddressMatch {
    /// Reads which addresses are meant; `None` is an attribute that is not given.
    ///
    /// # Errors
    /// Not exactly one is given, or it names nothing.
    pub fn read(prefix: Option<&str>, pattern: Option<&str>) -> Result<Self, AddressProblem> {
        let checked = |attribute, text: &str| match text {
            "" => Err(AddressProblem::Empty(attribute)),
            text if text.split(['/', '.']).all(str::is_empty) => {
                Err(AddressProblem::NoParts(attribute))
            }
            text => Ok(text.to_owned()),
        };
        match (prefix, pattern) {
            (None, None) => Err(AddressProblem::Neither),
            (Some(_), Some(_)) => Err(AddressProblem::Both),
            (Some(prefix), None) => checked("prefix", prefix).map(Self::Prefix),
            (None, Some(pattern)) => checked("pattern", pattern).map(Self::Pattern),
        }
    }
}

/// How messages to some addresses are spread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct AddressConfig {
    pub name: String,
    pub matches: AddressMatch,
    pub distribution: Distribution,
    pub priority: Option<u8>,
}

impl TryFrom<&Entity> for AddressConfig {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let (prefix, pattern) = (entity.text("prefix"), entity.text("pattern"));
        let matches = AddressMatch::read(prefix, pattern).map_err(|problem| {
            let (attribute, text) = match problem {
                AddressProblem::Neither => {
                    ("prefix", "either prefix or pattern must be set".to_owned())
                }
                AddressProblem::Both => {
                    ("pattern", "either prefix or pattern may be set, not both".to_owned())
                }
                AddressProblem::Empty(attribute) | AddressProblem::NoParts(attribute) => {
                    let given = prefix.or(pattern).unwrap_or_default();
                    (attribute, format!("{} has no parts", quote(given)))
                }
            };
            Problem::Invalid(text).of(attribute)
        })?;
        Ok(Self {
            name: name(entity)?,
            matches,
            distribution: entity.get("distribution")?,
            priority: entity.find("priority")?,
        })
    }
}

/// A link that the router attaches by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct AutoLinkConfig {
    pub name: Option<String>,
    pub address: Option<String>,
    /// Messages come in by it.
    pub incoming: bool,
    /// The container whose connections get it.
    pub container_id: Option<String>,
    /// The listener or connector whose connections get it.
    pub connection: Option<String>,
    pub external_address: Option<String>,
}

impl TryFrom<&Entity> for AutoLinkConfig {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let incoming = auto_link_comes_in(|name| entity.text(name)).map_err(|problem| {
            let invalid = |text: &str| Problem::Invalid(text.to_owned());
            match problem {
                AutoLinkProblem::TwoHolders => {
                    invalid("either containerId or connection may be set, not both")
                        .of("containerId")
                }
                AutoLinkProblem::NoDirection => Problem::Missing.of("direction"),
                AutoLinkProblem::UnknownDirection => invalid("neither in nor out").of("direction"),
                AutoLinkProblem::NoAddress => {
                    invalid("it may be left out only with direction in").of("address")
                }
            }
        })?;
        Ok(Self {
            name: text(entity, "name"),
            address: text(entity, "address"),
            incoming,
            container_id: text(entity, "containerId"),
            connection: text(entity, "connection"),
            external_address: text(entity, "externalAddress"),
        })
    }
}

/// Why an autoLink cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoLinkProblem {
    /// A container and a connection are named.
    TwoHolders,
    /// No direction is given.
    NoDirection,
    /// The direction is no word of the schema.
    UnknownDirection,
    /// Messages go out, and there is no address.
    NoAddress,
}

/// Reads the direction of an autoLink and checks what goes with it. `given` returns the text of an
/// attribute, or `None` for one that is not given.
///
/// # Errors
/// The attributes contradict each other.
pub fn auto_link_comes_in<'a>(
    given: impl Fn(&str) -> Option<&'a str>,
) -> Result<bool, AutoLinkProblem> {
    if given("connection").is_some() && given("containerId").is_some() {
        return Err(AutoLinkProblem::TwoHolders);
    }
    let incoming = match given("direction") {
        None => return Err(AutoLinkProblem::NoDirection),
        Some("in") => true,
        Some("out") => false,
        Some(_) => return Err(AutoLinkProblem::UnknownDirection),
    };
    match given("address") {
        None if !incoming => Err(AutoLinkProblem::NoAddress),
        _ => Ok(incoming),
    }
}
