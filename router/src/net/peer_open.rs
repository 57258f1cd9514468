//! The peer's open: it says what the peer is, and that decides what becomes of the connection.

use std::sync::Arc;
use std::time::SystemTime;

use skupper_proto::amqp::performative::{Error, Open};
use skupper_proto::amqp::show::{Show, Unsigned};
use skupper_proto::amqp::{Value, condition};

use super::connection::Connection;
use super::open::{FAILOVER, OURS, group_ordinal};
use super::peer::PeerOpen;
use super::settings::Kind;
use crate::core::{GroupKey, Mailbox};
use crate::log;
use crate::node::{Closer, ConnectionRecord, Host, OUTDATED, PeerInfo};
use crate::schema::Role;
use crate::socket::Source;

/// Most properties of a peer's open that are kept for status, and most octets of theirs: routers
/// send some hundreds.
const MAX_PROPERTIES: usize = 64;
const MAX_PROPERTY_OCTETS: usize = 8 * 1024;

/// A peer that takes links for what is forwarded as it arrives, each for one message at a time.
const STREAMING_LINKS: &str = "qd.streaming-links";

/// A router that tells apart what comes by the connections of one group.
const TRUNKING: &str = "qd.connection_trunking";

/// A property of an open.
fn property<'open>(open: &'open Open, name: &str) -> Option<&'open Value> {
    open.properties.as_ref()?.get(name)
}

impl Connection {
    /// The peer's open has arrived. Returns the shard where the connection belongs when that is
    /// another.
    pub(super) fn peer_opened(&mut self) -> Option<usize> {
        self.cx.life.on_opened();
        self.cx.peer.place = None;
        if self.cx.peer.mechanism.is_none() && !self.cx.settings.outgoing {
            // As the C router names those who leave SASL out.
            self.cx.peer.user = Some("anonymous".to_owned());
        }
        if !self.admit() {
            return None;
        }
        let open = self.cx.engine.take_remote()?;
        let container: Arc<str> = Arc::from(open.container_id.as_str());
        let offers = |capability| {
            open.offered_capabilities.as_ref().is_some_and(|offered| offered.contains(capability))
        };
        self.cx.peer.open = Some(PeerOpen {
            container: Arc::clone(&container),
            streaming_links: offers(STREAMING_LINKS),
            trunking: offers(TRUNKING),
            ordinal: group_ordinal(&open),
        });
        let own = *container == **self.cx.core.id();
        self.log_opened(&open);
        self.tell_kind(&open);
        self.opening = super::pressure::opening(&open);
        if let Some(targets) = &self.cx.settings.targets {
            targets.learn(property(&open, FAILOVER));
        }
        self.cx.standing.set_opened(
            &container,
            property(&open, "version").and_then(Value::as_text),
            self.wire.info(),
        );
        let shard = self.shard();
        if shard != self.cx.mailbox.shard() {
            self.cx.mailbox = Mailbox::new(shard);
        }
        if !self.cx.peer.bounds_unread {
            self.cx.engine.restore_windows();
        }
        if self.cx.kind == Kind::Edge && !own {
            self.edge_up(&container);
        }
        self.register(&open, &container);
        if own && self.cx.kind != Kind::Normal {
            self.refuse_own_id();
            return None;
        }
        // They may have been declared so during the handshake; from here on whoever does it finds
        // the connection.
        if self.wire.info().is_some_and(|info| info.is_outdated()) {
            self.cx
                .engine
                .close(Some(Error::new(condition::CONNECTION_FORCED, OUTDATED)), self.cx.now);
            return None;
        }
        if let Some(remote) = self.cx.peer.remote.filter(|_| self.cx.settings.role.is_router()) {
            self.node.access.neighbors.remember(Source::of(remote));
        }
        self.begin_service(&container);
        (!self.cx.settings.outgoing && shard != 0).then_some(shard)
    }

    fn log_opened(&self, open: &Open) {
        let (host, encrypted) =
            (&self.cx.peer.host, self.wire.info().map_or("no", |info| info.protocol));
        let (direction, mechanism) = (
            if self.cx.settings.outgoing { "out" } else { "in" },
            self.cx.peer.mechanism.unwrap_or("no"),
        );
        let (user, container) = (self.cx.peer.user().unwrap_or_default(), &open.container_id);
        let properties = properties_text(open);
        let line = format!(
            "[C{}] Connection Opened: dir={direction} host={host} encrypted={encrypted} auth={mechanism} user={user} container_id={container} props={properties}",
            self.cx.id
        );
        if self.cx.settings.role.is_router() {
            log!(RouterCore, Info, "{line}");
        } else {
            log!(RouterCore, Debug, "{line}");
        }
        if let Some(version) = property(open, "qd.annotations-version").and_then(Value::as_i64) {
            log!(Router, Debug, "Remote router annotations version: {version}");
        }
    }

    /// What the connection is, by its role and by what the peer says.
    fn tell_kind(&mut self, open: &Open) {
        self.cx.peer.bounds_unread = property(open, OURS).is_none();
        match self.cx.settings.role {
            Role::InterRouter => {}
            Role::Edge | Role::InterEdge => return self.cx.kind = Kind::Edge,
            _ => return,
        }
        let announced = matches!(property(open, "qd.inter-router-role"), Some(Value::Int(4)));
        self.cx.kind = if self.cx.settings.data || !self.cx.settings.outgoing && announced {
            Kind::Data
        } else {
            Kind::Control
        };
        if let Some(Value::Int(cost)) = property(open, "qd.inter-router-cost") {
            self.cost = self.cost.max(u32::try_from(*cost).unwrap_or(1));
        }
        if !self.cx.settings.outgoing {
            self.correlator = match property(open, "qd.group-correlator") {
                Some(Value::String(text)) => Some(text.chars().take(15).collect()),
                _ => None,
            };
        }
    }

    /// Enters it into the record of connections.
    fn register(&mut self, open: &Open, container: &Arc<str>) {
        let mut peer = peer_info(open, self.cx.peer.mechanism, self.cx.peer.user.clone());
        if self.cx.settings.outgoing {
            (peer.correlator, peer.ordinal) =
                (self.cx.settings.correlator.clone(), self.cx.settings.ordinal);
        }
        self.registered = Some(
            self.node.registry.enter(ConnectionRecord {
                id: self.cx.id,
                protocol: "amqp",
                role: match self.cx.kind {
                    Kind::Normal | Kind::Edge => self.cx.settings.role.as_str(),
                    Kind::Control | Kind::Data => self.cx.kind.name(),
                },
                outgoing: self.cx.settings.outgoing,
                host: Host::Text(Arc::from(self.cx.peer.host.as_str())),
                entity: Arc::clone(&self.cx.settings.entity),
                container: Some(Arc::clone(container)),
                address: None,
                tls: self.wire.info().map(Arc::clone),
                peer,
                closer: Closer::Amqp(Arc::clone(&self.cx.mailbox)),
                edge: self.cx.edge.clone(),
                may_close_others: self
                    .cx
                    .peer
                    .admission
                    .as_ref()
                    .is_none_or(|admission| admission.settings().allow_admin_status_update),
                management: self.cx.settings.management,
                trace: Some(Arc::clone(&self.trace)),
                opened: (SystemTime::now(), self.cx.now),
                octets: Arc::clone(&self.cx.octets),
                flow: None,
                local: None,
            }),
        );
    }

    fn refuse_own_id(&mut self) {
        self.cx.standing.set_own_id();
        let text = format!(
            "the peer at {} has this router's own id {}",
            self.cx.peer.host,
            self.cx.core.id()
        );
        // Without the port, which is another with each attempt.
        let host =
            self.cx.peer.host.rsplit_once(':').map_or(self.cx.peer.host.as_str(), |(host, _)| host);
        crate::log_limited!(host, Router, Critical, "{text}");
        self.cx.engine.close(Some(Error::new(condition::NOT_ALLOWED, text)), self.cx.now);
    }

    /// Does for the peer what is done for one of its kind.
    fn begin_service(&mut self, container: &Arc<str>) {
        match self.cx.kind {
            Kind::Control if self.cx.settings.outgoing => self.attach_router_links(),
            Kind::Data => {
                if let Some(correlator) = &self.correlator {
                    let group = GroupKey::new(container, correlator);
                    self.cx.core.data_up(&group, self.ordinal(), &self.cx.mailbox);
                    self.links.member_of = Some(group);
                }
                self.cx.life.set_served();
            }
            // Of a client nothing more is needed, and an edge connection may stand by.
            Kind::Normal | Kind::Edge => {
                self.cx.life.set_served();
                if self.cx.settings.role == Role::RouteContainer {
                    self.join_container(container);
                }
            }
            Kind::Control => {}
        }
    }

    /// The shard where the connection belongs. Data connections go to each in turn, from the first
    /// on, where listeners accept; control connections from the last.
    fn shard(&self) -> usize {
        let shards = self.node.shards.count();
        match self.cx.kind {
            _ if self.cx.settings.outgoing => self.cx.mailbox.shard(),
            Kind::Data if self.node.data_connections <= 1 => 0,
            Kind::Data => self.node.shards.next(),
            Kind::Control | Kind::Normal | Kind::Edge => shards - 1,
        }
    }
}

/// What is kept of a peer's open for status.
fn peer_info(open: &Open, sasl: Option<&'static str>, user: Option<String>) -> PeerInfo {
    let told = |value: &Value| {
        matches!(value, Value::String(_) | Value::Symbol(_)) || value.as_i64().is_some()
    };
    let mut octets = 0;
    let properties: Vec<_> = open
        .properties
        .iter()
        .flat_map(|properties| &properties.0)
        // As C routers do: what comes behind a value of another kind is not looked at.
        .take_while(|(_, value)| told(value))
        .take(MAX_PROPERTIES)
        .take_while(|(key, value)| {
            octets += key.as_str().len() + value.as_text().map_or(0, str::len);
            octets <= MAX_PROPERTY_OCTETS
        })
        .map(|(key, value)| (key.as_str().to_owned(), value.clone()))
        .collect();
    PeerInfo {
        sasl,
        user,
        correlator: property(open, "qd.group-correlator")
            .and_then(Value::as_text)
            .map(str::to_owned),
        ordinal: group_ordinal(open),
        properties,
    }
}

/// As C routers show them.
fn properties_text(open: &Open) -> String {
    let pairs = open.properties.iter().flat_map(|properties| &properties.0).take(16);
    let pairs = pairs.map(|(key, value)| (Value::Symbol(key.clone()), value.clone())).collect();
    Show(&Value::Map(pairs), Unsigned::Decimal).to_string()
}

#[cfg(test)]
mod tests {
    use skupper_proto::amqp::{Fields, Symbol};

    use super::*;

    #[test]
    fn properties_are_told_as_c_routers_tell_them() {
        let pairs = [
            ("product", Value::from("a \"b\"\n")),
            ("qd.conn-id", Value::from(2)),
            ("raw", Value::Null),
        ];
        let properties = Fields(
            pairs.into_iter().map(|(key, value)| (Symbol::from_static(key), value)).collect(),
        );
        let open = Open { properties: Some(properties), ..Open::default() };
        assert_eq!(properties_text(&open), r#"{:product="a \"b\"\n", :"qd.conn-id"=2, :raw=null}"#);
        assert_eq!(properties_text(&Open::default()), "{}");
    }
}
