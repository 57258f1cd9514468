//! Rules between entities of a configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{ConfigError, Located};
use crate::schema::typed::RouterEntity;
use crate::schema::{
    AddressFamily, AttributeError, Entity, EntityKind, Mode, Port, Problem, Role, quote,
};

/// Checks what needs no settings: only one entity where only one may be, unique names, and
/// references to entities that exist.
pub(super) fn entities(all: &[Located]) -> Result<(), ConfigError> {
    let mut names = BTreeMap::<(EntityKind, String), &Located>::new();
    for located in all {
        let kind = located.entity.kind();
        // Two log entities of one module, or two of one name, would leave the choice to chance.
        let key = match kind {
            _ if kind.is_single() => String::new(),
            EntityKind::Log => located.entity.text("module").unwrap_or_default().to_owned(),
            _ => located.entity.name().unwrap_or_default().to_owned(),
        };
        if let Some(first) = names.insert((kind, key.clone()), located) {
            let there = if first.file == located.file {
                String::new()
            } else {
                format!(", the first is in {}", first.file)
            };
            return Err(match kind {
                _ if key.is_empty() => {
                    let problem = format!(
                        "there is more than one {}, and only one may be{there}",
                        kind.name()
                    );
                    ConfigError::entity(&located.file, &located.label, problem)
                }
                EntityKind::Log => located.error(
                    Problem::Invalid(format!(
                        "a second log entity has module {}{there}",
                        quote(&key)
                    ))
                    .of("module"),
                ),
                _ => {
                    let problem = format!(
                        "duplicate: another {} has the name {}{there}",
                        kind.section(),
                        quote(&key)
                    );
                    located.error(Problem::Invalid(problem).of("name"))
                }
            });
        }
    }
    for located in all {
        let is_there = |kind, name: &str| names.contains_key(&(kind, name.to_owned()));
        if let Some(missing) = located.entity.missing_reference(is_there) {
            let problem = Problem::NoSuchEntity { kind: missing.kind, name: quote(missing.name) };
            return Err(located.error(problem.of(missing.attribute)));
        }
    }
    Ok(())
}

/// Checks what needs values: roles that fit the router's mode, and no two listeners on one port.
pub(super) fn together(all: &[Located], router: &RouterEntity) -> Result<(), ConfigError> {
    let mut taken: Vec<(Socket, &Located)> = Vec::new();
    for located in all {
        let kind = located.entity.kind();
        role_fits(&located.entity, router.mode).map_err(|error| located.error(error))?;
        if matches!(kind, EntityKind::Listener | EntityKind::TcpListener) {
            let socket = Socket::of(&located.entity).map_err(|error| located.error(error))?;
            if let Some((_, other)) = taken.iter().find(|(other, _)| other.overlaps(&socket)) {
                let problem = format!("{} already listens on port {}", other.label, socket.port);
                return Err(located.error(Problem::Invalid(problem).of("port")));
            }
            taken.push((socket, located));
        }
    }
    Ok(())
}

/// Checks that a router of this mode may have a listener or connector of this role. Entities of
/// other types have no role.
///
/// # Errors
/// The role, and what is wrong with it.
pub fn role_fits(entity: &Entity, mode: Mode) -> Result<(), AttributeError> {
    let kind = entity.kind();
    if !matches!(kind, EntityKind::Listener | EntityKind::Connector) {
        return Ok(());
    }
    let problem = match (mode, entity.get::<Role>("role")?) {
        // Tools look for these words.
        (Mode::Standalone, role) if role.is_router() => {
            "'standalone' not allowed to connect to or accept connections from other routers."
        }
        (Mode::Edge, Role::InterRouter) => {
            "'inter-router' only allowed with router mode='interior'"
        }
        (Mode::Edge, Role::Edge) if kind == EntityKind::Listener => {
            "'edge' only allowed with router mode='interior'"
        }
        _ => return Ok(()),
    };
    Err(Problem::Invalid(problem.to_owned()).of("role"))
}

/// The sockets that a listener binds, by family of addresses.
struct Socket {
    port: u16,
    v4: Option<Host>,
    v6: Option<Host>,
}

#[derive(Clone, PartialEq)]
enum Host {
    All,
    Address(IpAddr),
    Name(String),
}

impl Socket {
    fn of(entity: &Entity) -> Result<Self, AttributeError> {
        let port = entity.get::<Port>("port")?.number;
        let host = entity.text("host").unwrap_or_default().to_ascii_lowercase();
        let family = match entity.kind().attribute("socketAddressFamily") {
            Some(_) => entity.find::<AddressFamily>("socketAddressFamily")?,
            None => None,
        };
        let (v4, v6) = match (host.as_str(), host.parse::<IpAddr>()) {
            ("", _) => (Some(Host::All), Some(Host::All)),
            ("localhost", _) => (
                Some(Host::Address(IpAddr::from([127, 0, 0, 1]))),
                Some(Host::Address(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))),
            ),
            (_, Ok(address)) => {
                let host =
                    if address.is_unspecified() { Host::All } else { Host::Address(address) };
                if address.is_ipv4() { (Some(host), None) } else { (None, Some(host)) }
            }
            (name, Err(_)) => {
                (Some(Host::Name(name.to_owned())), Some(Host::Name(name.to_owned())))
            }
        };
        Ok(Self {
            port,
            v4: v4.filter(|_| family != Some(AddressFamily::V6)),
            v6: v6.filter(|_| family != Some(AddressFamily::V4)),
        })
    }

    /// Returns whether both cannot be bound. A port that the system chooses is never taken.
    fn overlaps(&self, other: &Self) -> bool {
        let clash = |a: &Option<Host>, b: &Option<Host>| match (a, b) {
            (Some(a), Some(b)) => a == b || *a == Host::All || *b == Host::All,
            _ => false,
        };
        self.port != 0
            && self.port == other.port
            && (clash(&self.v4, &other.v4) || clash(&self.v6, &other.v6))
    }
}
