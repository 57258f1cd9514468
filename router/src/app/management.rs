//! The doors for operators: the management node, and the admin socket.

use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::address::{AddressClass, AddressKey};
use skupper_proto::amqp::message::DEFAULT_PRIORITY;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::arguments::Arguments;
use super::running::Running;
use crate::admin::server as admin_server;
use crate::admin::socket::AdminSocket;
use crate::agent::{Outlet, Service as AgentService};
use crate::core::{Consumption, Endpoint, LocalConsumer, Message};
use crate::http::connections::Limits;
use crate::log;

/// Serves the management node on a runtime, at this router's own addresses and at that of the
/// network.
pub(super) fn serve(running: &Arc<Running>, runtime: &Handle) -> Vec<Consumption> {
    const NAME: &str = "$management";
    /// A second name of the node for local clients, as in C routers.
    const INTERNAL: &str = "$_management_internal";
    let core = Arc::clone(&running.node.core);
    let outlet: Outlet = {
        let core = Arc::clone(&core);
        Arc::new(move |to, octets| {
            let message = Message {
                sections: octets,
                presettled: true,
                priority: DEFAULT_PRIORITY,
                internal: true,
                ..Message::default()
            };
            if !core.send_to(to, message, Bytes::new()) {
                log!(Agent, Debug, "nobody is there to take the response for {to}");
            }
        })
    };
    let service = AgentService::new(Arc::clone(running), runtime.clone(), outlet);
    log!(Agent, Info, "Activating management agent on {NAME}");
    let now = running.node.clock.now();
    let serve =
        |key| core.serve(key, LocalConsumer::own(Arc::clone(&service) as Arc<dyn Endpoint>), now);
    let local = |name| AddressKey::new(AddressClass::Local, name);
    vec![serve(local(NAME)), serve(local(INTERNAL)), serve(AddressKey::mobile(NAME))]
}

/// Starts the admin socket. Dropping the result ends it.
pub(super) fn admin(running: &Arc<Running>, arguments: &Arguments) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let bound = match &arguments.admin_socket {
        Some(path) => AdminSocket::bind(path),
        None => AdminSocket::bind_default(running.node.core.id()),
    };
    match bound {
        Ok(socket) => {
            log!(Agent, Info, "Admin socket at {}", socket.path().display());
            let source = Arc::clone(running);
            tasks.spawn(async move {
                let Err(error) = admin_server::serve(socket, source, Limits::default()).await;
                log!(Agent, Error, "the admin socket failed: {error}");
            });
        }
        Err(error) => log!(Agent, Error, "no admin socket: {error}"),
    }
    tasks
}
