//! `tcpListener`: a port on which clients reach a service.

use std::sync::Arc;

use skupper_proto::vanflow::RecordKind;

use crate::agent::{Record, Refusal};
use crate::app::facts::Facts;
use crate::app::figures::put_service;
use crate::app::planning::Planning;
use crate::app::running::{Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::flow::Described;
use crate::schema::{Entity, typed};
use crate::tcp::TcpListener;
use crate::tls::Acceptor;

/// A tcpListener with its certificates.
#[derive(Debug)]
struct Secured {
    config: typed::TcpListener,
    acceptor: Option<Acceptor>,
}

impl Plannable for typed::TcpListener {
    fn plan(self: Box<Self>, planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        let acceptor = planning.acceptor(self.ssl_profile.as_ref(), self.authenticate_peer)?;
        let acceptor = acceptor.map(|acceptor| acceptor.with_alpn(&["http/1.1", "h2"]));
        planning.add_tcp_listener(&self);
        Ok(Box::new(Secured { config: *self, acceptor }))
    }
}

impl Planned for Secured {
    fn start(
        self: Box<Self>,
        router: &Running,
        _entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        Ok(TcpListener::start(&router.node, self.config, self.acceptor))
    }
}

impl Managed for TcpListener {
    fn release(&self, _entity: &Entity, _user: &str) -> Result<(), Refusal> {
        Err(Refusal::bad(format!(
            "Listener cannot be deleted: listenerAddress entities exist for multi-address \
             listener {}",
            self.config().name
        )))
    }

    fn stop(self: Arc<Self>, router: &Running) {
        Self::stop(&self);
        router.drop_connections(&self.config().name, false);
        router.wait(async move { self.stopped().await });
    }

    fn describe(&self, _router: &Running, record: &mut Record) {
        put_service(record, self.stats());
        record.put("operStatus", if self.is_listening() { "up" } else { "down" });
        let error = self.status().error().map(|(_, text)| text);
        record.put("connectionMsg", error.unwrap_or_default());
    }

    /// An address of the listener has a record of its own as long as it is there.
    fn flow_records(&self, _router: &Running) -> Vec<Described> {
        let services = self.services();
        let record = |(service, opened): &(Arc<str>, u64)| flow_record(self, service, *opened);
        services.iter().map(record).collect()
    }
}

/// Returns the flow record of one address of a tcpListener.
pub(super) fn flow_record(listener: &TcpListener, service: &str, opened: u64) -> Described {
    let config = listener.config();
    Facts::of_service(&config.name, (&config.host, config.port.to_string()), service, opened)
        .describe(format!("tcpListener/{}/{service}", config.name), RecordKind::Listener)
}
