//! Links between routers: how each stands, and why.

use std::sync::Arc;

use skupper_proto::topology::LinkProblem;

use super::reasons::{reason, stands_by, too_old};
use super::{timestamp, tls};
use crate::admin::model::{Direction, Link, LinkState, Peer};
use crate::admin::reason::Reason;
use crate::app::running::Running;
use crate::net::{AmqpListener, Known, SiteLink, Standing};
use crate::node::{ConnectionRecord, ConnectionRole, Protocol};
use crate::schema::Role;

/// Returns the links that this router makes, and behind them those that others make to it.
pub(in crate::app) fn all(running: &Running) -> Vec<Link> {
    let records = running.node.registry.connections();
    let mut links: Vec<_> =
        running.all_of::<SiteLink>().iter().map(|link| outgoing(running, link, &records)).collect();
    links.extend(
        running
            .all_of::<AmqpListener>()
            .iter()
            .flat_map(|listener| incoming(running, listener, &records)),
    );
    links
}

fn outgoing(running: &Running, link: &SiteLink, records: &[Arc<ConnectionRecord>]) -> Link {
    let report = link.report();
    let config = link.config();
    let router = config.role == Role::InterRouter;
    let (state, reason, hello) = match (&report.trouble, report.known.opened) {
        (_, true) if router => state_of(running, &report.known),
        (_, true) => (LinkState::Active, stands_by(&report.known), false),
        (None, false) if report.connecting => {
            (LinkState::Connecting, Some(Reason::Connecting), false)
        }
        (None, false) => (LinkState::NotConnected, Some(Reason::NeverTried), false),
        (Some(trouble), false) => {
            (LinkState::NotConnected, Some(reason(trouble, running.node.core.id())), false)
        }
    };
    let octets = octets_of(records, config.name.as_str());
    Link {
        name: config.name.clone(),
        direction: Direction::Out,
        role: config.role.as_str().to_owned(),
        host: config.host.clone(),
        port: config.port.text.clone(),
        cost: config.cost,
        state,
        reason,
        since: timestamp(report.since.0),
        since_seconds: running.node.clock.now().since(report.since.1).as_secs(),
        failures: report.failures,
        next_try: report.next_try.filter(|_| !report.known.opened).map(timestamp),
        peer: peer(&report.known),
        data_connections: u32::try_from(report.data_connections).unwrap_or(u32::MAX),
        data_connections_wanted: if router {
            u32::try_from(running.node.data_connections).unwrap_or(u32::MAX)
        } else {
            0
        },
        control_links: report.known.control_links,
        hello,
        tls: report.known.tls.as_deref().map(tls),
        octets_in: octets.0,
        octets_out: octets.1,
    }
}

/// Returns the links that other sites hold to a listener of ours.
fn incoming(
    running: &Running,
    listener: &AmqpListener,
    records: &[Arc<ConnectionRecord>],
) -> Vec<Link> {
    let role = listener.config().role;
    if !matches!(role, Role::InterRouter | Role::Edge | Role::InterEdge) {
        return Vec::new();
    }
    let link = |(id, standing): (u64, Arc<Standing>)| {
        let known = standing.get();
        // The records are sorted by number.
        let at = records.binary_search_by_key(&id, |record| record.id).ok()?;
        let record = records.get(at)?;
        let record =
            Some(record).filter(|record| record.role == ConnectionRole::Configured(role))?;
        let (state, reason, hello) = if role == Role::InterRouter {
            state_of(running, &known)
        } else {
            (LinkState::Active, None, false)
        };
        let group = |other: &&Arc<ConnectionRecord>| {
            other.role == ConnectionRole::InterRouterData
                && !other.outgoing
                && other.container == record.container
        };
        let data: Vec<_> = records.iter().filter(group).collect();
        let octets = data
            .iter()
            .map(|record| record.octets.get())
            .fold(record.octets.get(), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let host = record.host.to_string();
        let (host, port) = host.rsplit_once(':').unwrap_or((&host, ""));
        Some(Link {
            name: listener.config().name.clone(),
            direction: Direction::In,
            role: role.as_str().to_owned(),
            host: host.to_owned(),
            port: port.to_owned(),
            cost: known.trunk.as_ref().map_or_else(|| listener.config().cost, |trunk| trunk.cost()),
            state,
            reason,
            since: timestamp(record.opened.0),
            since_seconds: running.node.clock.now().since(record.opened.1).as_secs(),
            peer: peer(&known),
            data_connections: u32::try_from(data.len()).unwrap_or(u32::MAX),
            data_connections_wanted: u32::try_from(data.len()).unwrap_or(u32::MAX),
            control_links: known.control_links,
            hello,
            tls: known.tls.as_deref().map(tls),
            octets_in: octets.0,
            octets_out: octets.1,
            ..Link::default()
        })
    };
    listener.connections().into_iter().filter_map(link).collect()
}

/// Returns how a control connection stands with the routing protocol: its state, the reason, and
/// whether HELLO has passed both ways.
fn state_of(running: &Running, known: &Known) -> (LinkState, Option<Reason>, bool) {
    if known.own_id {
        return (
            LinkState::NotConnected,
            Some(Reason::OwnRouterId { id: running.node.core.id().to_string() }),
            false,
        );
    }
    let Some(trunk) = &known.trunk else {
        return (LinkState::Connecting, Some(Reason::AwaitingControlLinks), false);
    };
    let status = running.node.core.link_status(trunk.id());
    match status.as_ref().and_then(|status| status.problem.as_ref()) {
        Some(LinkProblem::DuplicateId | LinkProblem::Loop) => {
            return (
                LinkState::NotConnected,
                Some(Reason::OwnRouterId { id: running.node.core.id().to_string() }),
                false,
            );
        }
        Some(LinkProblem::NewerVersion(theirs)) => {
            let theirs = u32::try_from(*theirs).unwrap_or(u32::MAX);
            return (
                LinkState::NotConnected,
                Some(Reason::NewerProtocol { theirs, ours: 1 }),
                false,
            );
        }
        _ => {}
    }
    let heard = status.as_ref().is_some_and(|status| status.heard.is_some());
    let confirmed = status.is_some_and(|status| status.confirmed.is_some());
    if heard && confirmed {
        return (LinkState::Active, too_old(known), true);
    }
    (LinkState::Connecting, Some(Reason::AwaitingHello { heard }), false)
}

/// Returns the bytes received and sent by all connections of a connector.
fn octets_of(records: &[Arc<ConnectionRecord>], entity: &str) -> (u64, u64) {
    let of = |record: &&Arc<ConnectionRecord>| {
        &*record.entity == entity && record.outgoing && record.protocol() == Protocol::Amqp
    };
    records
        .iter()
        .filter(of)
        .map(|record| record.octets.get())
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn peer(known: &Known) -> Option<Peer> {
    let container = known.container.as_ref()?;
    Some(Peer { router_id: container.to_string(), version: known.version.clone() })
}
