//! `connector`: connections that the router makes and keeps.

use std::sync::Arc;

use skupper_proto::vanflow::{Fact, RecordKind, attribute as of};

use super::kept::Kept;
use crate::agent::Record;
use crate::app::facts::Facts;
use crate::app::planning::Planning;
use crate::app::profile::ProfileInForce;
use crate::app::running::{Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::flow::{Described, micros};
use crate::log;
use crate::net::SiteLink;
use crate::node::{ConnectionRecord, ConnectionRole, Protocol};
use crate::schema::Entity;
use crate::schema::typed::Connector;
use crate::tls;

/// A connector with its certificates.
#[derive(Debug)]
struct Secured {
    config: Connector,
    tls: Option<tls::Connector>,
    /// The ordinal of its profile.
    ordinal: Option<u64>,
    /// It shows a certificate.
    certified: bool,
}

impl Plannable for Connector {
    fn plan(self: Box<Self>, planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        let tls = planning.connector(self.ssl_profile.as_ref(), self.verify_hostname)?;
        let profile = planning.profile(self.ssl_profile.as_ref());
        let ordinal = profile.map(ProfileInForce::ordinal);
        let certified = profile
            .and_then(ProfileInForce::loaded)
            .is_some_and(|profile| profile.certificate().is_some());
        Ok(Box::new(Secured { config: *self, tls, ordinal, certified }))
    }
}

impl Planned for Secured {
    fn start(
        self: Box<Self>,
        router: &Running,
        _entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        let Self { config, tls, ordinal, certified } = *self;
        if !config.role.is_served() {
            log!(
                ConnMgr,
                Warning,
                "connector '{}': role {} has no effect yet; not connecting",
                config.name,
                config.role
            );
            return Ok(Arc::new(Kept));
        }
        log!(
            ConnMgr,
            Info,
            "Configured  Connector: {} proto=any, role={}",
            config.host_port(),
            config.role
        );
        Ok(SiteLink::start(&router.node, config, tls, ordinal, certified))
    }
}

impl Managed for SiteLink {
    fn stop(self: Arc<Self>, router: &Running) {
        Self::stop(&self);
        router.wait(async move { self.stopped().await });
    }

    fn describe(&self, router: &Running, record: &mut Record) {
        let config = self.config();
        let report = self.report();
        let (status, message) = match (&report.trouble, report.known.opened) {
            (_, true) => ("SUCCESS", opened(router, &config.name)),
            (Some(trouble), false) => {
                ("CONNECTING", format!("Connection to {} failed: {trouble}", config.host_port()))
            }
            (None, false) => ("CONNECTING", String::new()),
        };
        record.put("failoverUrls", self.failover_urls());
        record.put("connectionStatus", status);
        record.put("connectionMsg", message);
    }

    fn flow_records(&self, router: &Running) -> Vec<Described> {
        if !self.config().role.is_router() {
            return Vec::new();
        }
        vec![flow_record(self, router)]
    }

    /// The counts of its connections went with them.
    fn last_flow_records(&self, router: &Running) -> Vec<Described> {
        let records = self.flow_records(router).into_iter();
        records.map(|described| Described { facts: Vec::new(), ..described }).collect()
    }
}

/// Returns the words of C routers for a connector's connection.
fn opened(router: &Running, connector: &str) -> String {
    let records = router.node.registry.connections();
    let control = |record: &&Arc<ConnectionRecord>| {
        record.outgoing
            && *record.entity == *connector
            && record.protocol() == Protocol::Amqp
            && record.role != ConnectionRole::InterRouterData
    };
    let Some(record) = records.iter().find(control) else { return String::new() };
    format!(
        "[C{}] Connection Opened: dir=out host={} encrypted={} auth={} user={} container_id={}",
        record.id,
        record.host,
        record.tls.as_ref().map_or("no", |tls| tls.protocol),
        record.peer.sasl.unwrap_or("no"),
        record.peer.user.as_deref().unwrap_or("(null)"),
        record.container.as_deref().unwrap_or_default()
    )
}

fn flow_record(link: &SiteLink, router: &Running) -> Described {
    let (config, report) = (link.config(), link.report());
    let up = report.known.trunk.is_some() || report.known.edge.is_some();
    let records = router.node.registry.connections();
    let (mut received, mut sent, mut peer) = (0, 0, None);
    for record in records.iter().filter(|record| {
        record.protocol() == Protocol::Amqp && record.outgoing && *record.entity == *config.name
    }) {
        let octets = record.octets.get();
        (received, sent) = (received + octets.0, sent + octets.1);
        let access = record.peer.properties.iter().find(|(name, _)| name == "qd.access-id");
        peer = peer.or_else(|| access.and_then(|(_, value)| value.as_text().map(str::to_owned)));
    }
    let trouble = report.trouble.as_ref().filter(|_| !up).map(ToString::to_string);
    let since = Fact::Number(micros(report.since.0));
    Facts::default()
        .with(of::NAME, config.name.as_str())
        .with(of::ROLE, config.role.as_str())
        .with(of::LINK_COST, u64::from(config.cost))
        .with(of::PROTOCOL, "amqp")
        .with(of::DESTINATION_PORT, config.port.to_string())
        .with(of::HTTP_PROXY, "no")
        .with(of::OPER_STATUS, if up { "up" } else { "down" })
        .with(if up { of::UP_TIMESTAMP } else { of::DOWN_TIMESTAMP }, since)
        .with(of::OCTETS, sent)
        .with(of::OCTETS_REVERSE, received)
        .maybe(of::PEER, peer)
        .maybe(of::RESULT, trouble.as_ref().map(|_| "unknown"))
        .maybe(of::REASON, trouble)
        .maybe(of::ACTIVE_TLS_ORDINAL, report.known.tls.as_ref().map(|tls| tls.ordinal))
        .describe(format!("connector/{}", config.name), RecordKind::Link)
}
