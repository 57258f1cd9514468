//! The order in which entities of a configuration are checked, started and told.

use super::EntityKind;

/// The types in the order in which their entities start. The log comes before all that log,
/// profiles before their users. Consumers come before the ports that let clients in, and a
/// tcpListener before its addresses.
pub const START_ORDER: &[EntityKind] = &[
    EntityKind::Log,
    EntityKind::Router,
    EntityKind::Network,
    EntityKind::Policy,
    EntityKind::SslProfile,
    EntityKind::ConfigAddress,
    EntityKind::AutoLink,
    EntityKind::ProxyProfile,
    EntityKind::Site,
    EntityKind::Vhost,
    EntityKind::VhostUserGroupSettings,
    EntityKind::TcpConnector,
    EntityKind::Listener,
    EntityKind::Connector,
    EntityKind::TcpListener,
    EntityKind::ListenerAddress,
];

impl EntityKind {
    /// Returns the place of the type in [`START_ORDER`]. Types that are not in it come last.
    pub fn start_rank(self) -> usize {
        START_ORDER.iter().position(|kind| *kind == self).unwrap_or(START_ORDER.len())
    }
}
