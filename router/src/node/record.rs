//! What is known of one connection, for status and metrics.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

use skupper_proto::amqp::Value;
use skupper_proto::amqp::performative::Error;
use skupper_proto::time::Instant;

use super::{Dismissal, Octets};
use crate::core::{Command, EdgeConnection, Mailbox};
use crate::log::{self, Level, Module};
use crate::schema::{ManagementAccess, Role};

/// How a connection is closed from outside of its task.
#[derive(Clone, Debug)]
pub enum Closer {
    /// An AMQP connection, which sends close.
    Amqp(Arc<Mailbox>),
    /// A service connection, which resets its socket.
    Service(Arc<Dismissal>),
}

impl Closer {
    /// Closes it, an AMQP connection with `error`.
    pub fn close(&self, error: Option<Error>) {
        match self {
            // One that is gone needs no closing.
            Self::Amqp(mailbox) => drop(mailbox.send(Command::Close(error))),
            Self::Service(word) => word.say("closed by management"),
        }
    }
}

/// What an AMQP peer said of itself.
#[derive(Clone, Debug, Default)]
pub struct PeerInfo {
    /// The SASL mechanism, if there was SASL.
    pub sasl: Option<&'static str>,
    /// Who it is, if it said so.
    pub user: Option<String>,
    /// The properties of its open that are text or integers; a bounded number.
    pub properties: Vec<(String, Value)>,
    /// What the connections of one connector have in common.
    pub correlator: Option<String>,
    /// The TLS ordinal of that group.
    pub ordinal: Option<u64>,
}

/// Whether a connection's frames are logged.
#[derive(Debug, Default)]
pub struct Trace(AtomicU8);

impl Trace {
    /// Says whether, whatever the log's levels are.
    pub fn set(&self, on: bool) {
        self.0.store(if on { 1 } else { 2 }, Ordering::Relaxed);
    }

    /// Whether they are: as was said, or else as the module PROTOCOL has it.
    pub fn is_on(&self) -> bool {
        match self.0.load(Ordering::Relaxed) {
            0 => log::enabled(Module::Protocol, Level::Debug),
            said => said == 1,
        }
    }
}

/// The other end of a connection, as it is known. Its text is made when somebody asks for it.
#[derive(Clone, Debug)]
pub enum Host {
    /// The address that a client came from.
    Address(SocketAddr),
    /// What is configured, or what else there is to say.
    Text(Arc<str>),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// AMQP, with a router, a client or a container.
    Amqp,
    /// The protocol of a service, as TCP carries it.
    Tcp,
}

impl Protocol {
    /// The word of management and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Tcp => "tcp",
        }
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRole {
    /// An AMQP connection for the role of its listener or connector. Between interior routers it
    /// carries routing messages, and streams where there are no data connections.
    Configured(Role),
    /// Between interior routers, for streams only.
    InterRouterData,
    /// The connection of a service's client or server.
    Service,
}

impl ConnectionRole {
    /// What connections of this role speak.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Configured(_) | Self::InterRouterData => Protocol::Amqp,
            Self::Service => Protocol::Tcp,
        }
    }

    /// The word of status. (Management calls a service connection `normal`, as C routers do.)
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configured(role) => role.as_str(),
            Self::InterRouterData => "inter-router-data",
            Self::Service => "service",
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct ConnectionRecord {
    /// The number by which the log names it.
    pub id: u64,
    /// What it is for.
    pub role: ConnectionRole,
    /// Whether we connected.
    pub outgoing: bool,
    /// The other end.
    pub host: Host,
    /// Name of its listener or connector.
    pub entity: Arc<str>,
    /// The peer's container-id.
    pub container: Option<Arc<str>>,
    /// The service, of a service connection.
    pub address: Option<Arc<str>>,
    /// Its TLS.
    pub tls: Option<Arc<crate::tls::SessionInfo>>,
    /// What the peer said of itself, of an AMQP connection.
    pub peer: PeerInfo,
    /// How it is closed.
    pub closer: Closer,
    /// An edge connection as the core knows it.
    pub edge: Option<Arc<EdgeConnection>>,
    /// Its peer may have others' connections closed, as far as policy has a say.
    pub may_close_others: bool,
    /// What its peer may ask of management nodes.
    pub management: ManagementAccess,
    /// Whether its frames are logged, of an AMQP connection.
    pub trace: Option<Arc<Trace>>,
    /// When it was opened.
    pub opened: (SystemTime, Instant),
    /// Octets of its payload.
    pub octets: Arc<Octets>,
    /// The identity of its flow record, of a service connection.
    pub flow: Option<Arc<str>>,
    /// Our end's address, where flow records tell it.
    pub local: Option<SocketAddr>,
}

impl ConnectionRecord {
    /// What it speaks.
    pub const fn protocol(&self) -> Protocol {
        self.role.protocol()
    }
}
