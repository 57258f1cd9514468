//! What flow records say of the running router.

use skupper_proto::vanflow::{Fact, Kind, attribute as of};

use super::running::{Owner, Running};
use crate::flow::{Describe, Described, LogEntry, micros};
use crate::log::{self, Level, Module};
use crate::net::{AmqpListener, SiteLink};
use crate::node::Protocol;
use crate::schema::Mode;
use crate::schema::typed::Site;
use crate::tcp::{TcpConnector, TcpListener};

/// Attributes that are known; those that are not are left out.
#[derive(Default)]
struct Facts(Vec<(u32, Fact)>);

impl Facts {
    fn with(mut self, attribute: u32, fact: impl Into<Fact>) -> Self {
        self.0.push((attribute, fact.into()));
        self
    }

    fn maybe(self, attribute: u32, fact: Option<impl Into<Fact>>) -> Self {
        match fact {
            Some(fact) => self.with(attribute, fact),
            None => self,
        }
    }

    /// Of a service's port or server: its name, its host and port, the address, and the connections
    /// so far.
    fn of_service(name: &str, (host, port): (&str, String), address: &str, opened: u64) -> Self {
        Self::default()
            .with(of::PROTOCOL, "tcp")
            .with(of::NAME, name)
            .with(of::DESTINATION_HOST, host)
            .with(of::DESTINATION_PORT, port)
            .with(of::VAN_ADDRESS, address)
            .with(of::FLOW_COUNT_L4, opened)
    }

    fn describe(self, key: String, kind: Kind) -> Described {
        Described { key, identity: None, kind, facts: self.0 }
    }
}

impl Running {
    /// The identity of the site's record: as whoever set up the router gave it, or one of ours if
    /// there is a site at all.
    fn site_identity(&self) -> Option<String> {
        let given = std::env::var("SKUPPER_SITE_ID").ok().filter(|id| !id.is_empty());
        given.or_else(|| self.site.as_ref().map(|_| format!("{}:1", self.node.flow_prefix)))
    }

    fn router_record(&self) -> Described {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mode = match self.mode {
            Mode::Standalone => "standalone",
            Mode::Interior => "interior",
            Mode::Edge => "edge",
        };
        let facts = Facts::default()
            .maybe(of::PARENT, self.site_identity())
            .with(of::NAME, format!("0/{}", self.node.core.id()))
            .with(of::MODE, mode)
            .with(of::BUILD_VERSION, env!("CARGO_PKG_VERSION"))
            .with(of::HOST_NAME, rustix::system::uname().nodename().to_string_lossy().into_owned())
            .maybe(of::NAMESPACE, environment("POD_NAMESPACE"))
            .maybe(of::IMAGE_NAME, environment("APPLICATION_NAME"))
            .maybe(of::IMAGE_VERSION, environment("VERSION"));
        let identity = Some(format!("{}:0", self.node.flow_prefix));
        Described { identity, ..facts.describe("router".to_owned(), Kind::Router) }
    }

    fn site_record(&self, site: &Site) -> Described {
        let facts = Facts::default()
            .with(of::NAME, site.name.as_str())
            .maybe(of::BUILD_VERSION, site.version.as_deref())
            .maybe(of::LOCATION, site.location.as_deref())
            .maybe(of::PROVIDER, site.provider.as_deref())
            .maybe(of::PLATFORM, site.platform.as_deref())
            .maybe(of::NAMESPACE, site.namespace.as_deref());
        Described {
            identity: self.site_identity(),
            ..facts.describe("site".to_owned(), Kind::Site)
        }
    }

    fn link_record(&self, link: &SiteLink) -> Described {
        let (config, report) = (link.config(), link.report());
        let up = report.known.trunk.is_some() || report.known.edge.is_some();
        let records = self.node.registry.connections();
        let (mut received, mut sent, mut peer) = (0, 0, None);
        for record in records.iter().filter(|record| {
            record.protocol() == Protocol::Amqp && record.outgoing && *record.entity == *config.name
        }) {
            let octets = record.octets.get();
            (received, sent) = (received + octets.0, sent + octets.1);
            let access = record.peer.properties.iter().find(|(name, _)| name == "qd.access-id");
            peer =
                peer.or_else(|| access.and_then(|(_, value)| value.as_text().map(str::to_owned)));
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
            .describe(format!("connector/{}", config.name), Kind::Link)
    }

    fn access_record(listener: &AmqpListener) -> Described {
        let config = listener.config();
        // Data connections belong to the link of their control connection.
        let links = listener.connections().into_iter().map(|(_, standing)| standing.get());
        let links = links.filter(|known| known.trunk.is_some() || known.edge.is_some()).count();
        let facts = Facts::default()
            .with(of::NAME, config.name.as_str())
            .with(of::ROLE, config.role.as_str())
            .with(of::LINK_COUNT, links as u64);
        let identity = Some(listener.access_id().to_owned());
        Described {
            identity,
            ..facts.describe(format!("listener/{}", config.name), Kind::RouterAccess)
        }
    }

    fn listener_record(listener: &TcpListener, service: &str, opened: u64) -> Described {
        let config = listener.config();
        Facts::of_service(&config.name, (&config.host, config.port.to_string()), service, opened)
            .describe(format!("tcpListener/{}/{service}", config.name), Kind::Listener)
    }

    fn connector_record(connector: &TcpConnector) -> Described {
        let config = connector.config();
        let opened = connector.stats().connections().0;
        Facts::of_service(
            &config.name,
            (&config.host, config.port.to_string()),
            &config.address,
            opened,
        )
        .maybe(of::PROCESS, config.process_id.as_deref())
        .describe(format!("tcpConnector/{}", config.name), Kind::Connector)
    }

    /// The records of what runs for an entity. An address of a tcpListener has one with the
    /// listener as long as it is there.
    fn records_of(&self, owner: &Owner) -> Vec<Described> {
        match owner {
            Owner::Connector(link) if link.config().role.is_router() => {
                vec![self.link_record(link)]
            }
            Owner::Listener(listener) if listener.config().role.is_router() => {
                vec![Self::access_record(listener)]
            }
            Owner::TcpListener(listener) => {
                let services = listener.services();
                services
                    .iter()
                    .map(|(service, opened)| Self::listener_record(listener, service, *opened))
                    .collect()
            }
            Owner::TcpConnector(connector) => vec![Self::connector_record(connector)],
            _ => Vec::new(),
        }
    }

    /// What is last said of what was deleted.
    pub(super) fn last_of(&self, owner: &Owner) -> Vec<Described> {
        match owner {
            Owner::ListenerAddress(listener, address) => {
                vec![Self::listener_record(
                    listener,
                    address.service(),
                    address.connections_opened(),
                )]
            }
            // What its connections carried went with them.
            Owner::Connector(_) => self
                .records_of(owner)
                .into_iter()
                .map(|described| Described { facts: Vec::new(), ..described })
                .collect(),
            _ => self.records_of(owner),
        }
    }
}

impl Describe for Running {
    fn describe(&self) -> Vec<Described> {
        let mut there: Vec<Described> =
            self.site.iter().map(|site| self.site_record(site)).collect();
        there.push(self.router_record());
        there.extend(self.all().iter().flat_map(|live| self.records_of(&live.owner)));
        there
    }

    fn departed(&self) -> Vec<Described> {
        self.take_departed()
    }

    fn log_lines(&self, last: u64) -> Vec<LogEntry> {
        let severity = |level| match level {
            Level::Warning => Some(2_u64),
            Level::Error => Some(3),
            Level::Critical => Some(4),
            Level::Debug | Level::Info => None,
        };
        let entry = |line: log::Line| {
            let time =
                u64::try_from(line.time.as_microsecond()).ok().filter(|time| *time > last)?;
            // Else each record that is told would make another.
            let severity = severity(line.level).filter(|_| line.module != Module::FlowLog)?;
            let facts = Facts::default()
                .with(of::LOG_SEVERITY, severity)
                .with(of::LOG_TEXT, format!("LOG_{}: {}", line.module, line.text))
                .with(of::SOURCE_FILE, line.file)
                .with(of::SOURCE_LINE, u64::from(line.line));
            Some(LogEntry { time, facts: facts.0 })
        };
        log::last_lines(usize::MAX).into_iter().filter_map(entry).collect()
    }
}
