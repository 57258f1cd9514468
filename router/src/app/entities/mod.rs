//! One file for each type of entities that the router acts on: how one is planned, started,
//! updated, stopped, described to management and told in flow records.

mod address;
mod auto_link;
mod connector;
mod http_listener;
mod kept;
mod listener;
mod listener_address;
mod log;
mod policy;
mod router;
mod site;
mod ssl_profile;
mod tcp_connector;
mod tcp_listener;
mod vhost;

pub(super) use address::treatment;
pub(super) use log::{logs, put_in_force};

use crate::agent::Refusal;
use crate::app::planning::Planning;
use crate::app::running::{Plannable, Planned};
use crate::app::trouble::Trouble;
use crate::schema::EntityKind;
use crate::schema::typed::{
    AddressConfig, ListenerAddressConfig, Settings, SslProfile, VhostEntity,
};

/// Plans an entity of any type.
///
/// # Errors
/// The entity is wrong. The plan stays as it was.
pub(super) fn plan(
    settings: Settings,
    planning: &mut Planning,
) -> Result<Box<dyn Planned>, Trouble> {
    match settings {
        Settings::Log(settings) => settings.plan(planning),
        Settings::Router(settings) => settings.plan(planning),
        Settings::Policy(settings) => settings.plan(planning),
        Settings::SslProfile(settings) => settings.plan(planning),
        Settings::ConfigAddress(settings) => settings.plan(planning),
        Settings::AutoLink(settings) => settings.plan(planning),
        Settings::Site(settings) => settings.plan(planning),
        Settings::Vhost(settings) => settings.plan(planning),
        Settings::TcpConnector(settings) => settings.plan(planning),
        Settings::Listener(settings) => settings.plan(planning),
        Settings::Connector(settings) => settings.plan(planning),
        Settings::TcpListener(settings) => settings.plan(planning),
        Settings::ListenerAddress(settings) => settings.plan(planning),
        Settings::Unread(_) => Ok(Box::new(kept::Unread)),
    }
}

/// Returns the words in which a C router refuses an entity of this type, where they are not those
/// of other types.
pub(super) fn refusal(kind: EntityKind, trouble: &Trouble) -> Option<Refusal> {
    match kind {
        EntityKind::SslProfile => SslProfile::refusal(trouble),
        EntityKind::ConfigAddress => AddressConfig::refusal(trouble),
        EntityKind::Vhost => VhostEntity::refusal(trouble),
        EntityKind::ListenerAddress => ListenerAddressConfig::refusal(trouble),
        _ => None,
    }
}
