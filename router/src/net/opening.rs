//! The opening of a connection: the peer's open decides whether it may stay, its role and its
//! shard.

use std::sync::Arc;
use std::time::SystemTime;

use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{Error, Open};

use super::attach::DATA;
use super::connection::ConnectionTask;
use super::peer_open;
use super::role::{Control, Data, Edge, Role};
use crate::core::Mailbox;
use crate::node::{Closer, ConnectionRecord, ConnectionRole, Host, OUTDATED};
use crate::schema::Role as ConfiguredRole;
use crate::socket::Source;

impl ConnectionTask {
    /// Acts on the peer's open. Returns the shard where the connection belongs if that is another.
    pub(super) fn on_opened(&mut self) -> Option<usize> {
        let cx = &mut self.links.cx;
        cx.life.on_opened();
        cx.peer.place = None;
        if cx.peer.mechanism.is_none() && !cx.settings.outgoing {
            // C routers give this name to peers that leave out SASL.
            cx.peer.user = Some("anonymous".to_owned());
        }
        if cx.is_governed(&self.node.access.policy) {
            if !cx.admit(&self.node.access.policy) {
                return None;
            }
            // The engine has held back what came behind the peer's open.
            self.wire.more |= !cx.settings.outgoing;
        }
        let open = cx.engine.take_remote()?;
        let kept = peer_open::read(&open);
        let container = Arc::clone(&kept.container);
        cx.peer.open = Some(kept);
        peer_open::log_opened(cx, self.wire.info(), &open);
        cx.peer.bounds_unread = peer_open::bounds_unread(&open);
        self.burden.on_opened(&open);
        if let Some(targets) = &cx.settings.targets {
            targets.learn(peer_open::failover(&open));
        }
        cx.standing.set_opened(&container, peer_open::version(&open), self.wire.info());
        self.take_role(&open, &container)
    }

    /// Takes the role that the peer's open gives to the connection. Returns the shard where it
    /// belongs if that is another.
    fn take_role(&mut self, open: &Open, container: &Arc<str>) -> Option<usize> {
        let own = **container == **self.node.core.id();
        let cx = &mut self.links.cx;
        let edge = matches!(cx.settings.role, ConfiguredRole::Edge | ConfiguredRole::InterEdge);
        if cx.settings.role == ConfiguredRole::InterRouter {
            let announced = peer_open::announced(&cx.settings, open);
            self.role = if announced.data {
                Role::Data(Data::new(announced.correlator))
            } else {
                cx.stream_capability = Some(DATA);
                Role::Control(Control::new(announced.correlator, announced.cost))
            };
        }
        let shard = self.shard();
        let cx = &mut self.links.cx;
        if shard != cx.mailbox.shard() {
            cx.mailbox = Mailbox::new(shard);
        }
        if !cx.peer.bounds_unread {
            cx.engine.restore_windows();
        }
        if edge {
            let links = if own { Edge::default() } else { Edge::new(cx, container) };
            self.role = Role::Edge(Box::new(links));
        }
        cx.is_client = self.role.is_client();
        self.register(open, container);
        let cx = &mut self.links.cx;
        if own && !cx.is_client {
            self.refuse_own_id();
            return None;
        }
        // The certificates may have expired during the handshake. After this point the check of all
        // connections finds this one.
        if self.wire.info().is_some_and(|info| info.is_outdated()) {
            cx.engine.close(Some(Error::new(condition::CONNECTION_FORCED, OUTDATED)), cx.now);
            return None;
        }
        if let Some(remote) = cx.peer.remote.filter(|_| cx.settings.role.is_router()) {
            self.node.access.neighbors.remember(Source::of(remote));
        }
        let moves = !cx.settings.outgoing && shard != 0;
        self.role.on_opened(&mut self.links, &self.node, container);
        moves.then_some(shard)
    }

    /// Enters the connection into the record of connections.
    fn register(&mut self, open: &Open, container: &Arc<str>) {
        let cx = &self.links.cx;
        let record = ConnectionRecord {
            id: cx.id,
            role: match self.role {
                Role::Client(_) | Role::Control(_) | Role::Edge(_) => {
                    ConnectionRole::Configured(cx.settings.role)
                }
                Role::Data(_) => ConnectionRole::InterRouterData,
            },
            outgoing: cx.settings.outgoing,
            host: Host::Text(Arc::from(cx.peer.host.as_str())),
            entity: Arc::clone(&cx.settings.entity),
            container: Some(Arc::clone(container)),
            address: None,
            tls: self.wire.info().map(Arc::clone),
            peer: peer_open::info(cx, open),
            closer: Closer::Amqp(Arc::clone(&cx.mailbox)),
            edge: cx.edge.clone(),
            may_close_others: cx
                .peer
                .admission
                .as_ref()
                .is_none_or(|admission| admission.settings().allow_admin_status_update),
            management: cx.settings.management,
            trace: Some(Arc::clone(&self.trace)),
            opened: (SystemTime::now(), cx.now),
            octets: Arc::clone(&cx.octets),
            flow: None,
            local: None,
        };
        self.registered = Some(self.node.registry.enter(record));
    }

    fn refuse_own_id(&mut self) {
        let cx = &mut self.links.cx;
        cx.standing.set_own_id();
        let peer = cx.peer.host.as_str();
        let text = format!("the peer at {peer} has this router's own id {}", cx.core.id());
        // The port is another with each attempt.
        let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
        crate::log_limited!(host, Router, Critical, "{text}");
        cx.engine.close(Some(Error::new(condition::NOT_ALLOWED, text)), cx.now);
    }

    /// Returns the shard where the connection belongs. A connection that this router made stays.
    /// Data connections go to each shard in turn, from the first on, where listeners accept. All
    /// others go to the last.
    fn shard(&self) -> usize {
        match self.role {
            _ if self.links.cx.settings.outgoing => self.links.cx.mailbox.shard(),
            Role::Data(_) if self.node.data_connections <= 1 => 0,
            Role::Data(_) => self.node.shards.next(),
            Role::Client(_) | Role::Control(_) | Role::Edge(_) => self.node.shards.count() - 1,
        }
    }
}
