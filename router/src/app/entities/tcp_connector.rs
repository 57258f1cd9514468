//! `tcpConnector`: a server of a service.

use std::sync::Arc;

use skupper_proto::vanflow::{RecordKind, attribute as of};

use crate::agent::Record;
use crate::app::facts::Facts;
use crate::app::figures::put_service;
use crate::app::planning::Planning;
use crate::app::running::{Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::flow::Described;
use crate::schema::{Entity, typed};
use crate::tcp::TcpConnector;
use crate::tls::Connector;

/// A tcpConnector with its certificates.
#[derive(Debug)]
struct Secured {
    config: typed::TcpConnector,
    tls: Option<Connector>,
}

impl Plannable for typed::TcpConnector {
    fn plan(self: Box<Self>, planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        let tls = planning.connector(self.ssl_profile.as_ref(), self.verify_hostname)?;
        Ok(Box::new(Secured { config: *self, tls }))
    }
}

impl Planned for Secured {
    fn start(
        self: Box<Self>,
        router: &Running,
        _entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        Ok(TcpConnector::start(&router.node, self.config, self.tls))
    }
}

impl Managed for TcpConnector {
    fn stop(self: Arc<Self>, router: &Running) {
        Self::stop(&self);
        router.drop_connections(&self.config().name, true);
    }

    fn describe(&self, _router: &Running, record: &mut Record) {
        put_service(record, self.stats());
    }

    fn flow_records(&self, _router: &Running) -> Vec<Described> {
        let config = self.config();
        let place = (config.host.as_str(), config.port.to_string());
        let opened = self.stats().connections().0;
        let facts = Facts::of_service(&config.name, place, &config.address, opened)
            .maybe(of::PROCESS, config.process_id.as_deref());
        vec![facts.describe(format!("tcpConnector/{}", config.name), RecordKind::Connector)]
    }
}
