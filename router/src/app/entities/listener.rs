//! `listener`: a port for AMQP. One for HTTP is in `http_listener`.

use std::sync::Arc;

use skupper_proto::vanflow::{RecordKind, attribute as of};

use super::kept::Kept;
use crate::app::facts::Facts;
use crate::app::http_port::HttpPort;
use crate::app::planning::Planning;
use crate::app::running::{Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::flow::Described;
use crate::log;
use crate::net::AmqpListener;
use crate::schema::typed::Listener;
use crate::schema::{Entity, SaslMechanism};
use crate::tls::Acceptor;

/// A listener with its certificates.
#[derive(Debug)]
struct Secured {
    config: Listener,
    acceptor: Option<Acceptor>,
}

impl Plannable for Listener {
    fn plan(self: Box<Self>, planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        let certified = self.asks_for_certificate();
        let acceptor = planning.acceptor(self.ssl_profile.as_ref(), certified)?;
        Ok(Box::new(Secured { config: *self, acceptor }))
    }
}

impl Planned for Secured {
    fn start(
        self: Box<Self>,
        router: &Running,
        _entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        let Self { config, acceptor } = *self;
        if config.http.is_some() {
            return Ok(match router.itself() {
                Some(source) => {
                    let node = Arc::clone(&router.node);
                    let port = HttpPort::start(node, &router.runtime, source, config, acceptor);
                    let started = Arc::clone(&port);
                    router.wait(async move { started.status().tried().await });
                    port
                }
                None => Arc::new(Kept),
            });
        }
        if !config.role.is_served() {
            log!(
                ConnMgr,
                Warning,
                "listener '{}': role {} has no effect yet; not listening",
                config.name,
                config.role
            );
            return Ok(Arc::new(Kept));
        }
        if acceptor.is_none() && config.authenticate_peer && !config.offers(SaslMechanism::Plain) {
            log!(
                ConnMgr,
                Warning,
                "listener '{}': authenticatePeer without sslProfile lets nobody in: peers \
                 authenticate by certificate, or by saslMechanisms PLAIN",
                config.name
            );
        }
        log!(
            ConnMgr,
            Info,
            "Configured  Listener: {} proto=any, role={}",
            config.host_port(),
            config.role
        );
        let listener = AmqpListener::start(&router.node, config, acceptor);
        let started = Arc::clone(&listener);
        router.wait(async move { started.status().tried().await });
        Ok(listener)
    }
}

impl Managed for AmqpListener {
    fn stop(self: Arc<Self>, router: &Running) {
        Self::stop(&self);
        router.wait(async move { self.stopped().await });
    }

    fn flow_records(&self, _router: &Running) -> Vec<Described> {
        let config = self.config();
        if !config.role.is_router() {
            return Vec::new();
        }
        // Data connections belong to the link of their control connection.
        let links = self.connections().into_iter().map(|(_, standing)| standing.get());
        let links = links.filter(|known| known.trunk.is_some() || known.edge.is_some()).count();
        let facts = Facts::default()
            .with(of::NAME, config.name.as_str())
            .with(of::ROLE, config.role.as_str())
            .with(of::LINK_COUNT, links as u64);
        let identity = Some(self.access_id().to_owned());
        let described =
            facts.describe(format!("listener/{}", config.name), RecordKind::RouterAccess);
        vec![Described { identity, ..described }]
    }
}
