//! `listenerAddress`: one address of a tcpListener that has several.

use std::sync::Arc;

use skupper_proto::management::Status;

use super::tcp_listener::flow_record;
use crate::agent::{Record, Refusal};
use crate::app::figures::number;
use crate::app::planning::Planning;
use crate::app::running::{Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::flow::Described;
use crate::schema::typed::ListenerAddressConfig;
use crate::schema::{Entity, EntityKind};
use crate::tcp::{ListenerAddress, TcpListener};

/// An address with the tcpListener that it belongs to.
#[derive(Debug)]
struct Added {
    listener: Arc<TcpListener>,
    address: Arc<ListenerAddress>,
}

impl Plannable for ListenerAddressConfig {
    fn plan(self: Box<Self>, planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        if planning.takes_addresses(&self.listener) {
            return Ok(self);
        }
        let text =
            format!("Must not assign new address to non multi-address listener {}", self.listener);
        Err(Trouble::Failed { attribute: "listener", text })
    }

    fn refusal(trouble: &Trouble) -> Option<Refusal> {
        match trouble {
            Trouble::Missing { name, .. } => Some(Refusal::new(
                Status::INTERNAL_ERROR,
                format!("CError: Value: Listener for new address does not exist {name}"),
            )),
            _ => None,
        }
    }
}

impl Planned for ListenerAddressConfig {
    fn start(
        self: Box<Self>,
        router: &Running,
        _entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        let named = |listener: &TcpListener| listener.config().name == self.listener;
        let Some(listener) = router.find_of(named) else {
            return Err(Trouble::Missing {
                attribute: "listener",
                kind: EntityKind::TcpListener,
                name: self.listener,
            });
        };
        let address = ListenerAddress::new(&router.node.core, &self.address, self.value);
        listener.add(Arc::clone(&address));
        Ok(Arc::new(Added { listener, address }))
    }
}

impl Managed for Added {
    fn stop(self: Arc<Self>, _router: &Running) {
        self.listener.remove(&self.address);
    }

    fn describe(&self, _router: &Running, record: &mut Record) {
        record.put("connectionsOpened", number(self.address.connections_opened()));
    }

    /// The tcpListener tells of the address as long as it is there.
    fn last_flow_records(&self, _router: &Running) -> Vec<Described> {
        let opened = self.address.connections_opened();
        vec![flow_record(&self.listener, self.address.service(), opened)]
    }
}
