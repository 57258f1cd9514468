//! The peer of a connection: its identity, what its open said, and what policy allows it.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use skupper_proto::engine::Verdict;

use super::settings::Settings;
use crate::policy::{Admission, Arrival};
use crate::socket::{Descriptor, Place};

/// The parts of the peer's open that a connection keeps, whatever else the open says.
pub(super) struct PeerOpen {
    /// The peer's container-id.
    pub(super) container: Arc<str>,
    /// The peer takes links that each carry one message as it arrives.
    pub(super) streaming_links: bool,
    /// The peer tells apart what comes by the connections of one group.
    pub(super) trunking: bool,
    /// The ordinal of the certificates with which the peer connected.
    pub(super) ordinal: Option<u64>,
}

/// The check of a password that is under way.
pub(super) type PasswordCheck = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// The peer of a connection.
pub(super) struct Peer {
    /// Its host and port, as logs and management tell them.
    pub(super) host: String,
    /// Its address.
    pub(super) remote: Option<IpAddr>,
    /// What its open said, once that has arrived.
    pub(super) open: Option<PeerOpen>,
    /// It is a C router, or not known yet: its engine must not hold much unread.
    pub(super) bounds_unread: bool,
    /// The SASL mechanism that succeeded.
    pub(super) mechanism: Option<&'static str>,
    /// Its user; as connector: ours at the peer.
    pub(super) user: Option<String>,
    /// The check of its password, while that is under way.
    pub(super) check: Option<PasswordCheck>,
    /// What policy allows it, where policy has a say.
    pub(super) admission: Option<Admission>,
    /// Counts it among the clients that are connected.
    pub(super) arrival: Option<Arrival>,
    /// As listener: its place among those that are opening, until its open has arrived.
    pub(super) place: Option<Place>,
    /// Counts its socket.
    pub(super) descriptor: Option<Descriptor>,
}

impl Peer {
    /// Describes the other end of a connection, of which nothing but its address is known.
    pub(super) fn new(settings: &Settings, remote: Option<SocketAddr>) -> Self {
        let host = match &settings.targets {
            // Operators know it by the address that they configured.
            Some(targets) => targets.current().host_port(),
            None => remote.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string()),
        };
        Self {
            host,
            remote: remote.map(|peer| peer.ip()),
            open: None,
            bounds_unread: true,
            mechanism: None,
            user: None,
            check: None,
            admission: None,
            arrival: None,
            place: None,
            descriptor: None,
        }
    }

    /// Returns its user; as connector: ours at the peer.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns its address as policy logs it.
    pub(super) fn address(&self) -> String {
        self.remote.map_or_else(|| "unknown".to_owned(), |host| host.to_string())
    }

    /// Returns whether it takes links that each carry one message as it arrives.
    pub(super) fn takes_streams(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.streaming_links)
    }
}
