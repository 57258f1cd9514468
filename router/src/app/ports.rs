//! The ports without which the router does not start.

use std::time::Duration;

use tokio::time::timeout;

use super::http_port::HttpPort;
use super::running::Running;
use crate::log;
use crate::net::AmqpListener;

/// How long the start waits for a port.
const SETTLED: Duration = Duration::from_secs(2);

/// Waits for the ports for AMQP and HTTP. A router that starts without one would look as if it
/// worked.
///
/// # Errors
/// One of them cannot be listened on.
pub(super) async fn listen(running: &Running) -> Result<(), String> {
    let listeners = running.all_of::<AmqpListener>();
    let ports = running.all_of::<HttpPort>();
    let amqp = listeners.iter().map(|listener| (listener.config().host_port(), listener.status()));
    let http = ports.iter().map(|port| (port.config().host_port(), port.status()));
    for (place, status) in amqp.chain(http) {
        if timeout(SETTLED, status.tried()).await.is_ok()
            && let Some((_, error)) = status.error()
        {
            log!(Server, Critical, "Shutting down, required listener failed {place}");
            return Err(error);
        }
    }
    Ok(())
}
