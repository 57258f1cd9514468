//! A listening port, which is tried again until it can be opened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::{Node, Stage, reached};
use crate::lock::Mutex;
use crate::socket::{self, Family, SocketUse};
use crate::{log, log_limited};

/// The time between two attempts to open a port.
const RETRY: Duration = Duration::from_secs(2);

/// A port as it is configured.
#[derive(Clone, Debug)]
pub struct Port {
    /// The entity it belongs to, as log lines name it, such as `listener site`.
    pub entity: Arc<str>,
    /// Host, empty for all addresses.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
    /// The family of the host's addresses.
    pub family: Family,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// The purpose of its connections.
    pub used_for: SocketUse,
}

/// The state of a port.
#[derive(Debug, Default)]
pub struct PortStatus {
    known: Mutex<PortKnown>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct PortKnown {
    addresses: Vec<SocketAddr>,
    error: Option<(SystemTime, String)>,
}

impl PortStatus {
    /// Returns the addresses that are open.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.known.lock().addresses.clone()
    }

    /// Returns why the port cannot be opened, and since when.
    pub fn error(&self) -> Option<(SystemTime, String)> {
        self.known.lock().error.clone()
    }

    fn set(&self, addresses: Vec<SocketAddr>, error: Option<String>) {
        let mut known = self.known.lock();
        let since = known.error.take().map(|(since, _)| since);
        let error = error.map(|error| (since.unwrap_or_else(SystemTime::now), error));
        *known = PortKnown { addresses, error };
        drop(known);
        self.changed.notify_waiters();
    }

    /// Waits until the port is open, or an attempt has failed.
    pub async fn tried(&self) {
        loop {
            let changed = self.changed.notified();
            {
                let known = self.known.lock();
                if !known.addresses.is_empty() || known.error.is_some() {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Notes that the port was closed.
    pub fn closed(&self) {
        self.set(Vec::new(), None);
    }
}

impl Port {
    /// Opens the port, and tries again until that succeeds. Returns `None` if the router stops
    /// before. The sockets belong to the caller's runtime.
    pub async fn open(&self, node: &Node, status: &PortStatus) -> Option<Vec<TcpListener>> {
        let mut stage = node.follow_stage();
        let mut failed = false;
        loop {
            let opened = socket::listen(
                &node.resolver,
                &self.host,
                self.port,
                self.family,
                self.backlog,
                self.used_for,
            )
            .await;
            let error = match opened
                .map(|sockets| sockets.into_iter().map(adopt).collect::<std::io::Result<Vec<_>>>())
            {
                Ok(Ok(sockets)) => {
                    status.set(
                        sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect(),
                        None,
                    );
                    if failed {
                        log!(Server, Info, "{}: the port is free now", self.entity);
                    }
                    return Some(sockets);
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            failed = true;
            log_limited!(
                (&*self.entity, error.as_str()),
                Server,
                Error,
                "{}: {error}; trying again every {} s",
                self.entity,
                RETRY.as_secs()
            );
            status.set(Vec::new(), Some(error));
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = reached(&mut stage, Stage::Draining) => return None,
            }
        }
    }
}

fn adopt(socket: std::net::TcpListener) -> std::io::Result<TcpListener> {
    TcpListener::from_std(socket)
}
